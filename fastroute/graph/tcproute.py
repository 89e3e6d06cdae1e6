"""TCPRoutes: the bytes of a connection go to a backend that is chosen by weight. If a BackendTLSPolicy applies to it,
the gateway encrypts them."""

from fastroute.graph.dependency import Reader
from fastroute.graph.edition import Edition
from fastroute.graph.l4_rule import build_l4_route, references_of
from fastroute.graph.node import RouteNode
from fastroute.graph.route_stage import Features, RouteStage
from fastroute.place import Transport
from fastroute.resources.tcproute import TCP_ROUTE, TCPRoute


def build_tcp_route(source: TCPRoute, reader: Reader, edition: Edition) -> RouteNode:
    return build_l4_route(TCP_ROUTE, source, reader, Transport.TCP)


FEATURES: Features = {"TCPRoute": None}
STAGE = RouteStage(build=build_tcp_route, references=references_of, features=FEATURES)
