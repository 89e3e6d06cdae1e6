"""How routes are built, by the name of their kind: a row for each of resources.route_kinds.ROUTES."""

from collections.abc import Mapping

from fastroute.graph import grpcroute, httproute, tcproute, tlsroute, udproute
from fastroute.graph.route_stage import RouteStage
from fastroute.resources.tcproute import TCP_ROUTE
from fastroute.resources.tlsroute import TLS_ROUTE
from fastroute.resources.udproute import UDP_ROUTE

STAGES: Mapping[str, RouteStage] = {
    grpcroute.KIND.name: grpcroute.STAGE,
    httproute.KIND.name: httproute.STAGE,
    TLS_ROUTE.name: tlsroute.STAGE,
    TCP_ROUTE.name: tcproute.STAGE,
    UDP_ROUTE.name: udproute.STAGE,
}
