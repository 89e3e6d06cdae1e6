"""How routes are built, by the name of their kind: a row for each of resources.route_kinds.ROUTES."""

from collections.abc import Mapping

from fastroute.graph import grpcroute, httproute
from fastroute.graph.route_stage import RouteStage

STAGES: Mapping[str, RouteStage] = {
    grpcroute.KIND.name: grpcroute.STAGE,
    httproute.KIND.name: httproute.STAGE,
}
