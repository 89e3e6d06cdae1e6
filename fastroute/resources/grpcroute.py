"""GRPCRoute: its rules take only calls of gRPC, which are POST requests for "/service/method".

They are translated into rules for HTTP requests. A service and a method are an exact path, a service is a prefix. A
match of the method only is one of the method of a CallRule. Regular expressions are one expression for the path; how
long each of the two was is kept, because precedence depends on it.
"""

from fastroute.resources.gateway import Route, RouteSpec
from fastroute.resources.http_rule import (
    CallMatch,
    CallRule,
    HeaderMatch,
    HTTPBackendRef,
    HTTPFilter,
    HTTPPathMatch,
    HTTPRule,
    SessionPersistence,
)
from fastroute.resources.meta import Typed
from fastroute.resources.route_kind import RouteKind
from fastroute.resources.route_rules import GRPC_RULES
from fastroute.resources.route_shapes import GRPC_SPEC
from fastroute.resources.web_origins import web_filters


class GRPCMethodMatch(Typed, frozen=True):
    type: str = "Exact"
    service: str | None = None
    method: str | None = None


class GRPCRouteMatch(Typed, frozen=True):
    method: GRPCMethodMatch | None = None
    headers: tuple[HeaderMatch, ...] = ()


class GRPCRouteRule(Typed, frozen=True):
    name: str | None = None
    matches: tuple[GRPCRouteMatch, ...] = ()
    filters: tuple[HTTPFilter, ...] = ()
    backend_refs: tuple[HTTPBackendRef, ...] = ()
    session_persistence: SessionPersistence | None = None


class GRPCRouteSpec(RouteSpec, frozen=True):
    hostnames: tuple[str, ...] = ()
    rules: tuple[GRPCRouteRule, ...] = ()
    use_default_gateways: str | None = None


class GRPCRoute(Route, frozen=True, kw_only=True):
    spec: GRPCRouteSpec


def call_rules(route: GRPCRoute) -> tuple[HTTPRule, ...]:
    """Its rules as rules for HTTP requests; a rule without matches has one that takes every call."""
    shared = web_filters(route.metadata.annotations)
    return tuple(
        CallRule(
            name=rule.name,
            matches=tuple(_match(match) for match in rule.matches) or (CallMatch(),),
            filters=(*rule.filters, *shared),
            backend_refs=rule.backend_refs,
            session_persistence=rule.session_persistence,
        )
        for rule in route.spec.rules
    )


def _match(written: GRPCRouteMatch) -> CallMatch:
    method = written.method
    if method is None:
        return CallMatch(headers=written.headers)
    if method.type == "RegularExpression":
        service, name = method.service or "", method.method or ""
        path = HTTPPathMatch("RegularExpression", f"/{_part(service)}/{_part(name)}")
        return CallMatch(path=path, headers=written.headers, expressions=(len(service), len(name)))
    if not method.service:
        return CallMatch(method=method.method or None, headers=written.headers)
    if not method.method:
        return CallMatch(path=HTTPPathMatch("PathPrefix", f"/{method.service}"), headers=written.headers)
    return CallMatch(path=HTTPPathMatch("Exact", f"/{method.service}/{method.method}"), headers=written.headers)


def _part(pattern: str) -> str:
    """
    >>> _part("^foo[.].*$"), _part(""), _part("a|b")
    ('(?:foo[.].*)', '[^/]+', '(?:a|b)')
    """
    return f"(?:{whole(pattern)})" if pattern else "[^/]+"


def whole(pattern: str) -> str:
    """The pattern without "^" at its beginning and "$" at its end: it must match the whole text anyway, and in a longer
    pattern the two would match nothing."""
    pattern = pattern.removeprefix("^")
    bare = pattern.removesuffix("$")
    escapes = len(bare) - len(bare.rstrip("\\"))
    return pattern if escapes % 2 else bare


GRPC_ROUTE = RouteKind(
    name="GRPCRoute",
    type=GRPCRoute,
    field="grpc_routes",
    plural="grpcroutes",
    versions=("v1",),
    shape=GRPC_SPEC,
    rules=GRPC_RULES,
    is_served=True,
    protocols=("HTTP", "HTTPS"),
    has_web_origins=True,
    http_rules=call_rules,
)
