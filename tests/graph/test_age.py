"""Precedence by age: an object that is not created yet is the youngest, whatever its name."""

import pytest

from fastroute.graph.age import age
from fastroute.resources.httproute import HTTPRoute, HTTPRouteSpec
from fastroute.resources.meta import Metadata

OLD, YOUNG = "2019-01-01T00:00:00Z", "2026-11-29T12:00:00+01:00"


def route(namespace: str, timestamp: str) -> HTTPRoute:
    metadata = Metadata(name="r", namespace=namespace, creation_timestamp=timestamp)
    return HTTPRoute(metadata=metadata, spec=HTTPRouteSpec())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (route("b", OLD), route("a", YOUNG)),
        (route("b", YOUNG), route("a", "")),
        (route("b", YOUNG), route("a", "not a time")),
        (route("a", ""), route("b", "")),
        (route("a", OLD), route("b", OLD)),
    ],
    ids=["older", "only one is in a cluster", "invalid time", "none is in a cluster", "same age"],
)
def test_precedence(first: HTTPRoute, second: HTTPRoute) -> None:
    assert sorted([second, first], key=age) == [first, second]
