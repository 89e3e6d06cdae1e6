"""Which of several matches for a request has precedence (Gateway API, HTTPRouteRule.matches).

The data plane compares hostnames first (exact, longest wildcard, none), then paths (Exact, longest PathPrefix, regular
expressions). Among matches with the same hostname and path, the one with the smaller *rank* wins; all ranks are
different. The specification does not define an order of regular expressions: all of them count as the same path, and
the longer pattern comes first.
"""

from fastroute.graph.age import age
from fastroute.resources.gateway import Route
from fastroute.snapshot import PathMatch, ValueMatch

Rank = tuple[int | str, ...]


def rank(
    path: PathMatch,
    method: str | None,
    headers: tuple[ValueMatch, ...],
    query: tuple[ValueMatch, ...],
    position: Rank,
) -> Rank:
    """The rank of one match; `position`: the result of `position_of` for its route, rule and match."""
    pattern = len(path.value) if path.type == "RegularExpression" else 0
    return (-pattern, 0 if method else 1, -len(headers), -len(query), *position)


def position_of(route: Route, rule: int, match: int) -> Rank:
    """The tie-breaker between equal matches: the older route, then "ns/name", then the order in the route."""
    return (*age(route), rule, match)
