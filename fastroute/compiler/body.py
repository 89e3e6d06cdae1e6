"""Body: the part of a compiled rule that does not depend on the listener; for rules for HTTP requests of any kind."""

import msgspec

from fastroute.compiler.backends import backends_of, backends_showing, filters_showing, mirrors_at
from fastroute.compiler.filters import filters_of
from fastroute.compiler.matches import matches_of
from fastroute.compiler.retry import retry_of
from fastroute.compiler.session import session_of
from fastroute.graph.node import RouteNode, RuleNode
from fastroute.resources.duration import milliseconds
from fastroute.resources.gateway import Route
from fastroute.resources.http_rule import HTTPRule, HTTPTimeouts
from fastroute.snapshot import Filter, Match, Retry, Session, WeightedBackend


class Body(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    name: str
    calls: bool
    matches: tuple[Match, ...]
    filters: tuple[Filter, ...]
    backends: tuple[WeightedBackend, ...]
    request_timeout_ms: int
    backend_timeout_ms: int
    retry: Retry | None
    session: Session | None


def http_bodies(route: RouteNode) -> tuple[Body, ...]:
    """The rules for HTTP requests of an accepted route."""
    rules = zip(route.http_rules, route.rules, strict=True)
    return tuple(_body(route.source, written, node) for written, node in rules)


def showing_bodies(bodies: tuple[Body, ...], certificate: str | None, secured: frozenset[str]) -> tuple[Body, ...]:
    """The same for a Gateway with this certificate for backends, which it shows to those that are `secured`."""
    if certificate is None or not secured:
        return bodies
    return tuple(
        msgspec.structs.replace(
            body,
            filters=filters_showing(body.filters, certificate, secured),
            backends=backends_showing(body.backends, certificate, secured),
        )
        for body in bodies
    )


def _body(route: Route, written: HTTPRule, node: RuleNode) -> Body:
    timeouts = written.timeouts or HTTPTimeouts()
    matches = matches_of(route, node.index, written)
    return Body(
        index=node.index,
        name=written.name or str(node.index),
        calls=written.calls,
        matches=matches,
        filters=filters_of(written.filters, mirrors_at(node, None)),
        backends=backends_of(node, written.backend_refs),
        request_timeout_ms=milliseconds(timeouts.request or "0s"),
        backend_timeout_ms=milliseconds(timeouts.backend_request or "0s"),
        retry=retry_of(written.retry),
        session=session_of(route, written, node, matches),
    )
