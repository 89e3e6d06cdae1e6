"""RouteStage: how the routes of one kind are built. Each kind has its row in its own file (table: route_stages.py)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from fastroute.graph.dependency import Reader
from fastroute.graph.edition import Edition
from fastroute.graph.node import RouteNode
from fastroute.resources.gateway import BackendObjectReference
from fastroute.resources.http_rule import HTTPBackendRef

Features = Mapping[str, str | None]  # names of supported features; the edition, for a name that exists in one only


class RouteStage(NamedTuple):
    """One row."""

    build: Callable[[Any, Reader, Edition], RouteNode]
    references: Callable[[Any], Iterable[HTTPBackendRef | BackendObjectReference]]  # all references to backends
    features: Features
