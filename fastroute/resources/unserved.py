"""Kinds that are read only to warn about them: kinds of route that are not served, and Endpoints.

They are read from manifests, not from an API server, get no status, and are used only by the warnings (lint/): of a
route, its parents; of Endpoints, the addresses for the EndpointSlices that are missing.
"""

from fastroute.resources.core import EndpointPort
from fastroute.resources.gateway import Route
from fastroute.resources.meta import Resource, Typed
from fastroute.resources.route_kind import RouteKind
from fastroute.resources.route_shapes import UNSERVED_SPEC


class TCPRoute(Route, frozen=True):
    pass


class TLSRoute(Route, frozen=True):
    pass


class UDPRoute(Route, frozen=True):
    pass


UNSERVED_ROUTES = (
    RouteKind("TCPRoute", TCPRoute, "tcp_routes", "tcproutes", ("v1", "v1alpha2"), UNSERVED_SPEC),
    RouteKind("TLSRoute", TLSRoute, "tls_routes", "tlsroutes", ("v1", "v1alpha3", "v1alpha2"), UNSERVED_SPEC),
    RouteKind("UDPRoute", UDPRoute, "udp_routes", "udproutes", ("v1", "v1alpha2"), UNSERVED_SPEC),
)


class EndpointAddress(Typed, frozen=True):
    ip: str


class EndpointSubset(Typed, frozen=True):
    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Endpoints(Resource, frozen=True, kw_only=True):
    """The predecessor of EndpointSlice. A cluster creates EndpointSlices from it; with manifests, nothing does."""

    subsets: tuple[EndpointSubset, ...] = ()
