"""How routes are compiled, by the name of their kind: one row for each kind that is served (RouteKind.is_served)."""

from collections.abc import Callable, Mapping

from fastroute.compiler.body import Body, http_bodies
from fastroute.graph.node import RouteNode
from fastroute.resources.grpcroute import GRPC_ROUTE
from fastroute.resources.httproute import HTTP_ROUTE

BODIES: Mapping[str, Callable[[RouteNode], tuple[Body, ...]]] = {
    HTTP_ROUTE.name: http_bodies,
    GRPC_ROUTE.name: http_bodies,
}
