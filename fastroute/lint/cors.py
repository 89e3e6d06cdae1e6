"""Lints of CORS filters: filters of rules that never match the preflight requests which the filter should answer."""

from collections.abc import Iterator

from fastroute.graph.finding import Finding, warning
from fastroute.graph.hostname import ANY, meet
from fastroute.graph.node import Graph, RouteNode
from fastroute.graph.path import matched_path
from fastroute.lint.rule import rules_of
from fastroute.resources.http_rule import HTTPMatch, HTTPPathMatch, HTTPRule
from fastroute.resources.world import Resources

# Fields that browsers send in a preflight (Fetch standard, "CORS-preflight fetch"), and fields that proxies add.
_SENT = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "cache-control", "connection", "host", "origin", "pragma"),
        *("access-control-request-headers", "access-control-request-method", "access-control-request-private-network"),
        *("referer", "user-agent", "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port"),
        *("x-forwarded-proto", "x-real-ip", "x-request-id"),
    }
)


def preflights_not_taken(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Matches of rules with a CORS filter that match no preflight, unless another rule with such a filter does."""
    rules = [
        (route, index, rule, fields)
        for route, index, rule in rules_of(graph)
        if (fields := _cors_fields(rule)) and route.accepted and not rule.calls
    ]
    sharing = [(route, rule) for route, _, rule, _ in rules]
    for route, index, rule, fields in rules:
        for number, match in enumerate(rule.matches):
            why = _misses_preflights(match)
            if why and not _taken_elsewhere(route, match, sharing):
                message = (
                    f"matches[{number}] requires {why}, which no preflight request has: the filter does not answer the "
                    f"preflights of such requests. Add a match with the same path and method OPTIONS."
                )
                yield warning(
                    route.kind, route.source, "PreflightNotTaken", message, f"spec.rules[{index}].{fields[0]}"
                )


def _cors_fields(rule: HTTPRule) -> list[str]:
    """The fields of the CORS filters of a rule."""
    lists = [("filters", rule.filters)] if rule.filters else []
    lists += [(f"backendRefs[{i}].filters", ref.filters) for i, ref in enumerate(rule.backend_refs) if ref.filters]
    return [f"{field}[{i}]" for field, filters in lists for i, each in enumerate(filters) if each.type == "CORS"]


def _misses_preflights(match: HTTPMatch) -> str | None:
    """The reason why the match never matches a preflight; None if it may."""
    if match.method not in (None, "OPTIONS"):
        return f"method {match.method}"
    names = [header.name for header in match.headers if not _is_sent(header.name.lower())]
    return f"header {names[0]}" if names else None


def _is_sent(name: str) -> bool:
    return name in _SENT or name.startswith("sec-")


def _taken_elsewhere(route: RouteNode, match: HTTPMatch, sharing: list[tuple[RouteNode, HTTPRule]]) -> bool:
    """Whether a rule on one of the route's hosts matches the preflights for `match`."""
    return any(
        _takes_preflights(other_match, match) and _share_a_host(route, other)
        for other, rule in sharing
        for other_match in rule.matches or (HTTPMatch(),)
    )


def _share_a_host(one: RouteNode, other: RouteNode) -> bool:
    names = [route.hostnames or (ANY,) for route in (one, other)]
    return any(meet(a.lower(), b.lower()) for a in names[0] for b in names[1])


def _takes_preflights(other: HTTPMatch, match: HTTPMatch) -> bool:
    """Whether `other` matches the preflights for the requests that `match` matches. True if that is uncertain."""
    wanted = {(query.name, query.value) for query in match.query_params}
    rest = all((query.name, query.value) in wanted for query in other.query_params)
    return rest and not _misses_preflights(other) and _covers(other.path, match.path)


def _covers(other: HTTPPathMatch, path: HTTPPathMatch) -> bool:
    if "RegularExpression" in (other.type, path.type):
        return True
    prefix, value = matched_path(other), matched_path(path)
    if other.type == "Exact":
        return (other.type, prefix) == (path.type, value)
    return value.removesuffix("/") == prefix or value.startswith(f"{prefix}/")
