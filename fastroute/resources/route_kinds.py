"""The kinds of routes. Everything that treats routes of all kinds iterates over this table.

graph/route_stages.py has how they are built, compiler/route_bodies.py how they are compiled.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fastroute.resources.grpcroute import GRPC_ROUTE
from fastroute.resources.httproute import HTTP_ROUTE
from fastroute.resources.meta import Resource
from fastroute.resources.route_kind import RouteKind
from fastroute.resources.tcproute import TCP_ROUTE
from fastroute.resources.tlsroute import TLS_ROUTE
from fastroute.resources.udproute import UDP_ROUTE

ROUTES: Mapping[str, RouteKind] = {
    kind.name: kind for kind in (HTTP_ROUTE, GRPC_ROUTE, TLS_ROUTE, TCP_ROUTE, UDP_ROUTE)
}
BY_TYPE: Mapping[type[Resource], RouteKind] = {kind.type: kind for kind in ROUTES.values()}


def hostnames_of(kind: str, route: Any) -> tuple[str, ...]:
    return route.spec.hostnames if ROUTES[kind].has_hostnames else ()


def names_by_protocol(kinds: Iterable[RouteKind]) -> Mapping[str, tuple[str, ...]]:
    """The names of the kinds that may attach to listeners of each protocol."""
    found: dict[str, tuple[str, ...]] = {}
    for kind in kinds:
        for protocol in kind.protocols:
            found[protocol] = (*found.get(protocol, ()), kind.name)
    return found
