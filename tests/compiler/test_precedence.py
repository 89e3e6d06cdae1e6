"""Ranks: the order of precedence of the specification; every line of the table precedes the next."""

from itertools import pairwise

from fastroute.compiler.precedence import position_of, rank, request_order
from fastroute.graph.age import NOT_CREATED, created
from fastroute.resources.httproute import HTTPRoute, HTTPRouteSpec
from fastroute.resources.meta import Metadata
from fastroute.snapshot import PathMatch, ValueMatch


def route(name: str = "r", namespace: str = "n", created: str = "2026-01-01T00:00:00Z") -> HTTPRoute:
    metadata = Metadata(name=name, namespace=namespace, creation_timestamp=created)
    return HTTPRoute(metadata=metadata, spec=HTTPRouteSpec())


PREFIX = PathMatch("PathPrefix", "/a")
BARE = request_order(PREFIX, None)
HEADER, QUERY = (ValueMatch("x", "1"),), (ValueMatch("q", "1"),)
NEW = "2026-01-01T00:00:01Z"
OTHER_ZONE = "2026-01-01T01:00:00+01:00"

# Each rank with the deciding property, in order of precedence.
ORDER = [
    ("a method", rank(request_order(PREFIX, "GET"), (), (), position_of(route(), 0, 0))),
    ("two headers", rank(BARE, HEADER * 2, (), position_of(route(created=NEW), 0, 0))),
    ("one header and queries", rank(BARE, HEADER, QUERY * 3, position_of(route(created=NEW), 0, 0))),
    ("one header", rank(BARE, HEADER, (), position_of(route(created=NEW), 0, 0))),
    ("two queries", rank(BARE, (), QUERY * 2, position_of(route(created=NEW), 0, 0))),
    ("one query", rank(BARE, (), QUERY, position_of(route(created=NEW), 0, 0))),
    ("the older route", rank(BARE, (), (), position_of(route("z", created="2025-12-31T23:59:59Z"), 5, 5))),
    (
        "the same second, in another zone",
        rank(BARE, (), (), position_of(route("y", created="2026-01-01T01:00:00+01:00"), 0, 0)),
    ),
    ("namespace/name as one text", rank(BARE, (), (), position_of(route("a", "n-1", NEW), 0, 0))),
    ("the name", rank(BARE, (), (), position_of(route("a", "n", NEW), 0, 0))),
    ("the rule", rank(BARE, (), (), position_of(route("b", "n", NEW), 0, 9))),
    ("the match", rank(BARE, (), (), position_of(route("b", "n", NEW), 1, 0))),
    ("the last", rank(BARE, (), (), position_of(route("b", "n", NEW), 1, 1))),
]


def test_the_order_of_precedence() -> None:
    for (_, winner), (what, loser) in pairwise(ORDER):
        assert winner < loser, what


def test_the_longer_regular_expression_comes_first() -> None:
    long = rank(request_order(PathMatch("RegularExpression", "/abc"), None), (), (), position_of(route("z"), 0, 0))
    short = rank(
        request_order(PathMatch("RegularExpression", "/ab"), "GET"), HEADER, QUERY, position_of(route("a"), 0, 0)
    )
    assert long < short


def test_times() -> None:
    assert created("") == created("not a time") == NOT_CREATED
    assert created("2026-01-01T00:00:00Z") == created("2026-01-01T02:00:00.5+02:00")
