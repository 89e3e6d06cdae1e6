"""Lints of hostnames and matches that match no request, or other requests than intended."""

import json
import re
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import quote

from fastroute.graph.finding import Finding, warning
from fastroute.graph.hostname import common, covers, meet
from fastroute.graph.node import Graph, ListenerNode, ParentNode, RouteNode
from fastroute.graph.shadow import MatchRank, find_shadows
from fastroute.lint.rule import rules_of
from fastroute.resources.http_rule import HTTPMatch
from fastroute.resources.meta import Resource
from fastroute.resources.world import Resources
from fastroute.secrecy import is_credential

_ASTERISK = re.compile(r"(^|/)\*+(/|$)|\*$")  # a whole segment, or at the end
_ASTERISK_AT_END = re.compile(r"/\*+$")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_IN_QUERY = "!$'()*+,;=:@/?%[]\\^`{|}~-._"  # browsers escape all others (URL standard, "query percent-encode set")


def hostnames_outside_listeners(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Hostnames for which the route gets no requests from any of its listeners, while others do get requests."""
    for id_, parents in graph.parents.items():
        route = graph.routes[id_]
        attached = [listener for parent in parents for listener in _attached(parent, graph)]
        for index, name in enumerate(route.hostnames if attached else ()):
            meeting = [listener for listener in attached if meet(listener.hostname, name.lower())]
            taken = [_taken_by(listener, name.lower(), graph) for listener in meeting]
            if all(taken):
                what = "connections" if route.l4_rules else "requests"
                message = f"No listener that the route is attached to accepts {name}: the route gets no {what} for it."
                if other := next(iter(taken), None):
                    message = (
                        f"{what.capitalize()} for {name} go to listener {other.label} of Gateway {other.gateway}, "
                        f"which is more specific and to which the route is not attached: it gets none of them."
                    )
                yield warning(route.kind, route.source, "HostnameUnused", message, f"spec.hostnames[{index}]")


def _attached(parent: ParentNode, graph: Graph) -> Iterator[ListenerNode]:
    for listener in graph.holder(parent.holder).listeners:
        if listener.source.name in parent.listeners:
            yield listener


def _taken_by(listener: ListenerNode, name: str, graph: Graph) -> ListenerNode | None:
    """The listener on the same port that gets all requests which `name` matches on this one (the most specific listener
    gets a request)."""
    hosts = common(listener.hostname, name)
    for other in graph.listeners_of(listener.gateway):
        closer = other.hostname != listener.hostname and covers(listener.hostname, other.hostname)
        if other.serves and other.port == listener.port and closer and covers(other.hostname, hosts):
            return other
    return None


def shadowed_matches(resources: Resources, graph: Graph) -> Iterator[Finding]:
    found: dict[tuple[MatchRank, MatchRank], list[str]] = {}
    for holder in graph.holders:
        for listener in holder.listeners:
            for shadow in find_shadows(listener):
                where = f"{shadow.hostname or 'any host'} on listener {listener.label} of Gateway {listener.gateway}"
                found.setdefault((shadow.loser, shadow.winner), []).append(where)
    for (loser, winner), fields in sorted(found.items()):
        kind, key = winner[1]
        field = f"spec.rules[{loser[2]}].matches[{loser[3]}]"
        message = (
            f"It matches no request for {', '.join(fields)}: rule {winner[2]} of {kind} {key} "
            f"(matches[{winner[3]}]) matches all of them first."
        )
        yield warning(loser[1][0], graph.routes[loser[1]].source, "Shadowed", message, field)


def addresses_as_hostnames(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Hostnames that are IP addresses: the API documentation forbids them, but its schema does not."""
    for route in graph.routes.values():
        for index, name in enumerate(route.hostnames):
            if _is_address(name):
                field = f"spec.hostnames[{index}]"
                yield _address_as_hostname(route.kind, route.source, name, field, of_tls=bool(route.l4_rules))
    for holder in graph.holders:
        for index, listener in enumerate(holder.listeners):
            if _is_address(listener.hostname):
                field = f"spec.listeners[{index}].hostname"
                of_tls = listener.is_l4
                yield _address_as_hostname(holder.id[0], holder.source, listener.hostname, field, of_tls=of_tls)


def _address_as_hostname(kind: str, source: Resource, name: str, field: str, *, of_tls: bool) -> Finding:
    message = (
        f"{name} is an IP address, but the API allows only host names: it is compared as text with the Host of "
        f"requests. Omit the hostname to match requests for any host, including IP addresses."
    )
    if of_tls:
        message = f"{name} is an IP address, which no client of TLS sends as a server name: it matches no connection."
    return warning(kind, source, "HostnameIsAddress", message, field)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def literal_asterisks(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Paths with an asterisk where other systems have a wildcard. Here, only regular expressions have wildcards."""
    for route, index, number, match in _matches(graph):
        path = match.path
        if path.type == "RegularExpression" or not _ASTERISK.search(path.value):
            continue
        field = f"spec.rules[{index}].matches[{number}].path"
        prefix = _ASTERISK_AT_END.sub("", path.value) or "/"
        message = f"{path.value}: an asterisk in a path of type {path.type} matches only an asterisk."
        if "*" in prefix:
            message += " Use type RegularExpression for a pattern."
            yield warning(route.kind, route.source, "LiteralAsterisk", message, f"{field}.value")
        elif path.type == "Exact":
            message += f" PathPrefix {prefix} matches everything below it."
            fix = f"path:\n  type: PathPrefix\n  value: {prefix}"
            yield warning(route.kind, route.source, "LiteralAsterisk", message, field, fix=fix)
        else:
            message += f" PathPrefix {prefix} matches everything below it, without an asterisk."
            fix = f"value: {prefix}"
            yield warning(route.kind, route.source, "LiteralAsterisk", message, f"{field}.value", fix=fix)


# Fields that the gateway removes from every request. TE and Transfer-Encoding apply to one connection only.
_REMOVED = frozenset(
    {"connection", "keep-alive", "proxy", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
     "transfer-encoding", "x-forwarded-client-cert"}
)  # fmt: skip


def headers_not_forwarded(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Matches of header fields that no request has when it is matched."""
    for route, index, number, match in _matches(graph):
        for at, header in enumerate(match.headers):
            if header.name.lower() in _REMOVED:
                message = (
                    f"{header.name} is not forwarded. A match sees only fields that are forwarded, so "
                    f"it matches no request."
                )
                field = f"spec.rules[{index}].matches[{number}].headers[{at}].name"
                yield warning(route.kind, route.source, "HeaderNotForwarded", message, field)


def queries_not_sent(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Names and values of query parameters that clients encode differently. They are compared as received."""
    for route, index, number, match in _matches(graph):
        for at, query in enumerate(match.query_params):
            for part, text in (("name", query.name), ("value", query.value)):
                sent = text if query.type != "Exact" and part == "value" else _as_sent(text, part)
                if sent != text:
                    message = f"Query parameters are compared as received, and clients encode the {part} of parameter "
                    message += f"{query.name!r} differently" + (" (forms: + for a space)." if " " in text else ".")
                    field = f"spec.rules[{index}].matches[{number}].queryParams[{at}].{part}"
                    secret = part == "value" and is_credential(query.name)
                    fix = None if secret else f"{part}: {json.dumps(sent)}"
                    yield warning(route.kind, route.source, "QueryNotSent", message, field, fix=fix)


def _as_sent(text: str, part: str) -> str:
    """The text as clients encode it: characters not allowed in a query are escaped, with upper-case hex digits.

    >>> _as_sent("San Jos\u00e9", "value"), _as_sent("%c3%A9", "value"), _as_sent("a=b&c", "value")
    ('San%20Jos%C3%A9', '%C3%A9', 'a=b%26c')
    """
    safe = _IN_QUERY if part == "value" else _IN_QUERY.replace("=", "")
    return _ESCAPE.sub(lambda found: found[0].upper(), quote(text, safe=safe))


def _matches(graph: Graph) -> Iterator[tuple[RouteNode, int, int, HTTPMatch]]:
    """Every match, with its route, the index of its rule, and its index."""
    for route, index, rule in rules_of(graph):
        for number, match in enumerate(rule.matches):
            yield route, index, number, match
