"""Kinds that are read only to warn about them: kinds of route that are not served, and Endpoints.

They are read from manifests, not from an API server, get no status, and are used only by the warnings (lint/): of a
route, its parents; of Endpoints, the addresses for the EndpointSlices that are missing.
"""

from fastroute.resources.core import EndpointPort
from fastroute.resources.gateway import ParentReference
from fastroute.resources.meta import Resource, Typed


class UnservedSpec(Typed, frozen=True):
    parent_refs: tuple[ParentReference, ...] = ()


class UnservedRoute(Resource, frozen=True, kw_only=True):
    spec: UnservedSpec


class TCPRoute(UnservedRoute, frozen=True):
    pass


class TLSRoute(UnservedRoute, frozen=True):
    pass


class UDPRoute(UnservedRoute, frozen=True):
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
