"""Translates matches of a rule for the data plane: normalised like requests, and ranked."""

from collections.abc import Iterable

from fastroute.compiler.precedence import place_of, rank
from fastroute.graph.path import matched_path
from fastroute.resources.http_rule import HeaderMatch, HTTPMatch, HTTPPathMatch
from fastroute.resources.httproute import HTTPRoute
from fastroute.snapshot import Match, PathMatch, ValueMatch


def matches_of(route: HTTPRoute, rule: int) -> tuple[Match, ...]:
    """The matches of rule number `rule` of `route`; a rule without matches matches every request
    (HTTPRouteRule.matches)."""
    written = route.spec.rules[rule].matches or (HTTPMatch(),)
    return tuple(_match(route, rule, index, match) for index, match in enumerate(written))


def _match(route: HTTPRoute, rule: int, index: int, written: HTTPMatch) -> Match:
    path = path_match(written.path)
    headers = _first_of_each((match.name.lower(), match) for match in written.headers)
    query = _first_of_each((match.name, match) for match in written.query_params)
    place = place_of(route, rule, index)
    return Match(
        path=path,
        method=written.method,
        headers=headers,
        query=query,
        rank=rank(path, written.method, headers, query, place),
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
