"""RouteStage: how the routes of one kind are built. Each kind has its row in its own file (table: route_stages.py)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fastroute.graph import conditions
from fastroute.graph.dependency import Reader
from fastroute.graph.edition import Edition
from fastroute.graph.node import Problem, RouteNode
from fastroute.resources.gateway import BackendObjectReference

Features = Mapping[str, str | None]  # names of supported features; the edition, for a name that exists in one only


class RouteStage(NamedTuple):
    """One row."""

    build: Callable[[Any, Reader, Edition], RouteNode]
    references: Callable[[Any], Iterable[BackendObjectReference]]  # all references to backends
    features: Features


def unserved_spec(use_default_gateways: str | None) -> Iterator[Problem]:
    """For a field that all kinds of routes have."""
    if use_default_gateways not in (None, "None"):
        yield conditions.unsupported_value("default Gateways are not served yet.", "spec.useDefaultGateways")
