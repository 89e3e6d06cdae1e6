"""Endpoints: a kind that is read only to warn about it.

It is read from manifests, not from an API server, and used only by the warnings (lint/): its addresses are those of the
EndpointSlices that are missing.
"""

from fastroute.resources.core import EndpointPort
from fastroute.resources.meta import Resource, Typed


class EndpointAddress(Typed, frozen=True):
    ip: str


class EndpointSubset(Typed, frozen=True):
    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Endpoints(Resource, frozen=True, kw_only=True):
    """The predecessor of EndpointSlice. A cluster creates EndpointSlices from it; with manifests, nothing does."""

    subsets: tuple[EndpointSubset, ...] = ()
