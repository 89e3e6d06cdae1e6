"""Kinds that are read only to warn about them: kinds of route that are not served, and Endpoints.

They are read from manifests, not from an API server, get no status, and are used only by the warnings (lint/): of a
route, its parents; of Endpoints, the addresses for the EndpointSlices that are missing.
"""

from fastroute.resources.core import EndpointPort
from fastroute.resources.gateway import Route
from fastroute.resources.meta import Resource, Typed


class TCPRoute(Route, frozen=True):
    pass


class TLSRoute(Route, frozen=True):
    pass


class UDPRoute(Route, frozen=True):
    pass


class EndpointAddress(Typed, frozen=True):
    ip: str


class EndpointSubset(Typed, frozen=True):
    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Endpoints(Resource, frozen=True, kw_only=True):
    """The predecessor of EndpointSlice. A cluster creates EndpointSlices from it; with manifests, nothing does."""

    subsets: tuple[EndpointSubset, ...] = ()
