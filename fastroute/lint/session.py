"""Lints of cookie sessions: cookies that browsers do not store, and cookies that overwrite each other."""

from collections.abc import Iterator
from typing import NamedTuple

from fastroute.graph.finding import Finding, warning
from fastroute.graph.hostname import ANY, common
from fastroute.graph.node import Graph, ListenerNode, RouteId, RouteNode
from fastroute.graph.path import matched_path
from fastroute.graph.session import cookie_path
from fastroute.lint.rule import rules_of
from fastroute.resources.http_rule import HTTPRule, SessionPersistence
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources

Owner = tuple[RouteId, int]  # a rule: its route and index


class Cookie(NamedTuple):
    """The Gateway that sets the cookie, and what identifies it within one host for a browser."""

    gateway: Key
    name: str
    path: str


def cookies_not_kept(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Cookie sessions on HTTP listeners only: the cookie has the attribute Secure, so browsers do not store it."""
    attached = _attached(graph)
    for route, index, rule in rules_of(graph):
        listeners = attached.get(route.id, [])
        if _cookie_session(rule) and listeners and all(each.source.protocol == "HTTP" for each in listeners):
            message = (
                "The session cookie has the attribute Secure, but only HTTP listeners serve it: browsers do not store "
                "it unless a proxy in front terminates TLS. Attach the route to an HTTPS listener, or use type Header."
            )
            field = f"spec.rules[{index}].sessionPersistence"
            yield warning(route.kind, route.source, "SessionCookieNotKept", message, field)


def cookies_that_clash(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Rules on the same host whose cookies have the same name and path: each response overwrites the other rule's
    cookie."""
    owners: dict[Cookie, dict[str, list[Owner]]] = {}  # by host
    for cookie, host, owner in sorted(_cookies(graph)):
        owners.setdefault(cookie, {}).setdefault(host, []).append(owner)
    clashes: dict[Owner, tuple[Owner, Cookie, str]] = {}
    for cookie, hosts in owners.items():
        for host, (first, *others) in hosts.items():
            found = next(
                (hosts[wider][0] for wider in _wider(host) if wider in hosts and hosts[wider][0] != first), None
            )
            if found is not None:
                clashes.setdefault(first, (found, cookie, host))
            for owner in others:
                if owner != first:
                    clashes.setdefault(owner, (first, cookie, host))
    for (id_, index), (((kind, key), rule), cookie, host) in sorted(clashes.items()):
        message = (
            f"Rule {rule} of {kind} {key} sets a cookie with the same name {cookie.name} and path {cookie.path} on "
            f"{host or 'any host'}: browsers store only one, so each rule ends the sessions of the other. Use "
            f"another name."
        )
        field = f"spec.rules[{index}].sessionPersistence"
        yield warning(id_[0], graph.routes[id_].source, "SessionCookieClash", message, field)


def _wider(host: str) -> Iterator[str]:
    """The patterns that cover `host`, itself not included.

    >>> list(_wider("a.b.com")), list(_wider("*.b.com"))
    (['*.b.com', '*.com', ''], ['*.com', ''])
    """
    rest = host.removeprefix("*.").partition(".")[2]
    while rest:
        yield f"*.{rest}"
        rest = rest.partition(".")[2]
    if host != ANY:
        yield ANY


def _cookies(graph: Graph) -> Iterator[tuple[Cookie, str, Owner]]:
    """Each named cookie of each rule, with the hosts for which a listener sets it."""
    for holder in graph.holders:
        for listener in holder.listeners:
            for attachment in listener.attachments.values():
                for index, name, path in _named_cookies(attachment.route):
                    for hostname in attachment.hostnames:
                        cookie = Cookie(listener.gateway, name, path)
                        yield cookie, common(listener.hostname, hostname), (attachment.route.id, index)


def _named_cookies(route: RouteNode) -> Iterator[tuple[int, str, str]]:
    """Rule index, name and path. Generated names are not included: they are different for each rule."""
    for index, rule in enumerate(route.http_rules):
        written = _cookie_session(rule)
        if written is not None and (name := written.token[1]) is not None:
            paths = {(match.path.type, matched_path(match.path)) for match in rule.matches}
            holds = route.rules[index].session_holds_backend
            yield index, name, cookie_path(written, paths, holds_backend=holds)


def _cookie_session(rule: HTTPRule) -> SessionPersistence | None:
    written = rule.session_persistence
    return written if written is not None and written.type == "Cookie" else None


def _attached(graph: Graph) -> dict[RouteId, list[ListenerNode]]:
    found: dict[RouteId, list[ListenerNode]] = {}
    for holder in graph.holders:
        for listener in holder.listeners:
            for id_ in listener.attachments:
                found.setdefault(id_, []).append(listener)
    return found
