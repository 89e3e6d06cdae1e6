"""TLSRoutes: a connection goes to a backend by the server name that the client asks for.

On a listener that ends TLS, the bytes inside go to the backend; if a BackendTLSPolicy applies to it, they are encrypted
again. On a listener that passes TLS on, nothing is read or encrypted here, whatever policies say.
"""

from fastroute.graph.dependency import Reader
from fastroute.graph.edition import Edition
from fastroute.graph.l4_rule import build_l4_route, references_of
from fastroute.graph.node import RouteNode
from fastroute.graph.route_stage import Features, RouteStage
from fastroute.place import Transport
from fastroute.resources.tlsroute import TLS_ROUTE, TLSRoute


def build_tls_route(source: TLSRoute, reader: Reader, edition: Edition) -> RouteNode:
    return build_l4_route(TLS_ROUTE, source, reader, Transport.TCP)


FEATURES: Features = {"TLSRoute": None, "TLSRouteModeMixed": None, "TLSRouteModeTerminate": None}
STAGE = RouteStage(build=build_tls_route, references=references_of, features=FEATURES)
