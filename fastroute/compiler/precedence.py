"""Which of several matches for a request has precedence (Gateway API, HTTPRouteRule.matches, GRPCRouteRule.matches).

The data plane compares hostnames first (exact, longest wildcard, none), then paths (Exact, longest PathPrefix, regular
expressions). Among matches with the same hostname and path, the one with the smaller *rank* wins; all ranks are
different. The specification does not define an order of regular expressions: all of them count as the same path, and
the longer pattern comes first.

Of calls of gRPC, the specification compares the characters of the service, then those of the method. A service of type
Exact, with or without a method, is a path, which the data plane compares. All other matches of calls count as the same
path: those with a regular expression and those for every service.
"""

from fastroute.graph.age import age
from fastroute.resources.gateway import Route
from fastroute.resources.http_rule import CallMatch
from fastroute.snapshot import PathMatch, ValueMatch

Rank = tuple[int | str, ...]
EXACT = 1 << 16  # more than the characters of any regular expression


def rank(first: Rank, headers: tuple[ValueMatch, ...], query: tuple[ValueMatch, ...], position: Rank) -> Rank:
    """The rank of one match. `first`: the result of `request_order` or `call_order`; `position`: that of `position_of`
    for its route, rule and match."""
    return (*first, -len(headers), -len(query), *position)


def request_order(path: PathMatch, method: str | None) -> Rank:
    return (-len(path.value) if path.type == "RegularExpression" else 0, 0 if method else 1)


def call_order(match: CallMatch) -> Rank:
    """
    >>> call_order(CallMatch(expressions=(4, 3))), call_order(CallMatch(method="Get")), call_order(CallMatch())
    ((-4, -3), (0, -65536), (0, 0))
    """
    service, method = match.expressions
    return (-service, -EXACT if match.method else -method)


def position_of(route: Route, rule: int, match: int) -> Rank:
    """The tie-breaker between equal matches: the older route, then "ns/name", then the order in the route."""
    return (*age(route), rule, match)
