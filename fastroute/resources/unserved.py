"""The kinds of route that are not served: only who they name, so that this can be said where it is a Gateway of ours.

They are read from manifests, not from an API server, get no status, and reach no further than the warnings (lint/).
"""

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
