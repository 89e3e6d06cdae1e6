"""Translates matches of a rule for the data plane: normalised like requests, and ranked."""

from collections.abc import Iterable

from fastroute.compiler.precedence import Rank, call_order, position_of, rank, request_order
from fastroute.graph.path import matched_path
from fastroute.resources.gateway import Route
from fastroute.resources.http_rule import CallMatch, HeaderMatch, HTTPMatch, HTTPPathMatch, HTTPRule
from fastroute.snapshot import Match, PathMatch, ValueMatch


def matches_of(route: Route, index: int, rule: HTTPRule) -> tuple[Match, ...]:
    """The matches of `rule`, number `index` of `route`; without matches it matches every request
    (HTTPRouteRule.matches)."""
    written = rule.matches or (HTTPMatch(),)
    return tuple(_match(match, position_of(route, index, number)) for number, match in enumerate(written))


def _match(written: HTTPMatch, position: Rank) -> Match:
    path = path_match(written.path)
    headers = _first_of_each((match.name.lower(), match) for match in written.headers)
    query = _first_of_each((match.name, match) for match in written.query_params)
    first = call_order(written) if isinstance(written, CallMatch) else request_order(path, written.method)
    return Match(
        path=path,
        method=written.method,
        headers=headers,
        query=query,
        rank=rank(first, headers, query, position),
    )


def path_match(written: HTTPPathMatch) -> PathMatch:
    """Raises ValueError for a path that no request can have: the graph should have refused the route."""
    return PathMatch(written.type, matched_path(written))


def _first_of_each(matches: Iterable[tuple[str, HeaderMatch]]) -> tuple[ValueMatch, ...]:
    """Of several matches with the same name the first counts (HTTPRouteMatch.headers, .queryParams)."""
    first: dict[str, ValueMatch] = {}
    for name, match in matches:
        first.setdefault(name, ValueMatch(name, match.value, match.type))
    return tuple(first.values())
