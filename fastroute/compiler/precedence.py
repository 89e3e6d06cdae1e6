"""Which of several matches that take a request wins (Gateway API, HTTPRouteRule.matches).

The data plane compares hostnames first (exact, longest wildcard, none), then paths (Exact, longest PathPrefix, regular
expressions). Among matches of one hostname and one path the smaller *rank* wins, and no two ranks are equal. For
regular expressions, whose order the spec leaves open, "one path" is all of them: the longer pattern comes first.
"""

from fastroute.graph.age import age
from fastroute.resources.gateway import HTTPRoute
from fastroute.snapshot import PathMatch, ValueMatch

Rank = tuple[int | str, ...]


def rank(
    path: PathMatch,
    method: str | None,
    headers: tuple[ValueMatch, ...],
    query: tuple[ValueMatch, ...],
    place: Rank,
) -> Rank:
    """The rank of one match; `place` is `place_of` its route, rule and match."""
    pattern = len(path.value) if path.type == "RegularExpression" else 0
    return (-pattern, 0 if method else 1, -len(headers), -len(query), *place)


def place_of(route: HTTPRoute, rule: int, match: int) -> Rank:
    """What decides when the matches themselves are level: the older route, then "ns/name", then the order written."""
    return (*age(route), rule, match)
