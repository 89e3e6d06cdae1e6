"""Ranks: the order of precedence of the specification; every line of the table precedes the next."""

from itertools import pairwise

from fastroute.compiler.precedence import place_of, rank
from fastroute.graph.age import NOT_CREATED, created
from fastroute.resources.httproute import HTTPRoute, HTTPRouteSpec
from fastroute.resources.meta import Metadata
from fastroute.snapshot import PathMatch, ValueMatch


def route(name: str = "r", namespace: str = "n", created: str = "2026-01-01T00:00:00Z") -> HTTPRoute:
    metadata = Metadata(name=name, namespace=namespace, creation_timestamp=created)
    return HTTPRoute(metadata=metadata, spec=HTTPRouteSpec())


PREFIX = PathMatch("PathPrefix", "/a")
HEADER, QUERY = (ValueMatch("x", "1"),), (ValueMatch("q", "1"),)
NEW = "2026-01-01T00:00:01Z"
OTHER_ZONE = "2026-01-01T01:00:00+01:00"

# Each rank with the deciding property, in order of precedence.
ORDER = [
    ("a method", rank(PREFIX, "GET", (), (), place_of(route(), 0, 0))),
    ("two headers", rank(PREFIX, None, HEADER * 2, (), place_of(route(created=NEW), 0, 0))),
    ("one header and queries", rank(PREFIX, None, HEADER, QUERY * 3, place_of(route(created=NEW), 0, 0))),
    ("one header", rank(PREFIX, None, HEADER, (), place_of(route(created=NEW), 0, 0))),
    ("two queries", rank(PREFIX, None, (), QUERY * 2, place_of(route(created=NEW), 0, 0))),
    ("one query", rank(PREFIX, None, (), QUERY, place_of(route(created=NEW), 0, 0))),
    ("the older route", rank(PREFIX, None, (), (), place_of(route("z", created="2025-12-31T23:59:59Z"), 5, 5))),
    (
        "the same second, in another zone",
        rank(PREFIX, None, (), (), place_of(route("y", created="2026-01-01T01:00:00+01:00"), 0, 0)),
    ),
    ("namespace/name as one text", rank(PREFIX, None, (), (), place_of(route("a", "n-1", NEW), 0, 0))),
    ("the name", rank(PREFIX, None, (), (), place_of(route("a", "n", NEW), 0, 0))),
    ("the rule", rank(PREFIX, None, (), (), place_of(route("b", "n", NEW), 0, 9))),
    ("the match", rank(PREFIX, None, (), (), place_of(route("b", "n", NEW), 1, 0))),
    ("the last", rank(PREFIX, None, (), (), place_of(route("b", "n", NEW), 1, 1))),
]


def test_the_order_of_precedence() -> None:
    for (_, winner), (what, loser) in pairwise(ORDER):
        assert winner < loser, what


def test_the_longer_regular_expression_comes_first() -> None:
    long = rank(PathMatch("RegularExpression", "/abc"), None, (), (), place_of(route("z"), 0, 0))
    short = rank(PathMatch("RegularExpression", "/ab"), "GET", HEADER, QUERY, place_of(route("a"), 0, 0))
    assert long < short


def test_times() -> None:
    assert created("") == created("not a time") == NOT_CREATED
    assert created("2026-01-01T00:00:00Z") == created("2026-01-01T02:00:00.5+02:00")
