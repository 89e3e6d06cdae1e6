"""How routes are compiled, by the name of their kind: a row for each of resources.route_kinds.ROUTES."""

from collections.abc import Callable, Mapping

from fastroute.compiler.body import Body, http_bodies
from fastroute.compiler.l4_body import l4_bodies
from fastroute.graph.node import RouteNode
from fastroute.resources.grpcroute import GRPC_ROUTE
from fastroute.resources.httproute import HTTP_ROUTE
from fastroute.resources.tcproute import TCP_ROUTE
from fastroute.resources.tlsroute import TLS_ROUTE
from fastroute.resources.udproute import UDP_ROUTE

BODIES: Mapping[str, Callable[[RouteNode], tuple[Body, ...]]] = {
    HTTP_ROUTE.name: http_bodies,
    GRPC_ROUTE.name: http_bodies,
    TLS_ROUTE.name: l4_bodies,
    TCP_ROUTE.name: l4_bodies,
    UDP_ROUTE.name: l4_bodies,
}
