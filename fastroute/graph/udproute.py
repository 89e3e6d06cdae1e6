"""UDPRoutes: the datagrams of a client go to a backend that is chosen by weight. BackendTLSPolicies do not apply."""

from fastroute.graph.dependency import Reader
from fastroute.graph.edition import Edition
from fastroute.graph.l4_rule import build_l4_route, references_of
from fastroute.graph.node import RouteNode
from fastroute.graph.route_stage import Features, RouteStage
from fastroute.place import Transport
from fastroute.resources.udproute import UDP_ROUTE, UDPRoute


def build_udp_route(source: UDPRoute, reader: Reader, edition: Edition) -> RouteNode:
    return build_l4_route(UDP_ROUTE, source, reader, Transport.UDP)


FEATURES: Features = {"UDPRoute": None}
STAGE = RouteStage(build=build_udp_route, references=references_of, features=FEATURES)
