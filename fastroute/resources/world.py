"""Resources: all objects that users applied, immutable. The Store (source/store.py) holds the only mutable copy."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from fastroute.difference import Revision
from fastroute.resources.core import ClusterTrustBundle, ConfigMap, EndpointSlice, Namespace, Secret, Service
from fastroute.resources.endpoints import Endpoints
from fastroute.resources.gateway import Gateway, GatewayClass, ListenerSet, Route
from fastroute.resources.grpcroute import GRPCRoute
from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.meta import Key
from fastroute.resources.policy import BackendTLSPolicy, ReferenceGrant, UnservedPolicy
from fastroute.resources.route_kind import RouteKind
from fastroute.resources.tcproute import TCPRoute
from fastroute.resources.telemetry import XTelemetryPolicy
from fastroute.resources.tlsroute import TLSRoute
from fastroute.resources.udproute import UDPRoute

_NONE: Mapping[Key, Any] = Revision()


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """One mapping by key for each kind. An unchanged object is the same object (`is`) as in the previous Resources."""

    gateway_classes: Mapping[Key, GatewayClass] = _NONE
    gateways: Mapping[Key, Gateway] = _NONE
    listener_sets: Mapping[Key, ListenerSet] = _NONE
    http_routes: Mapping[Key, HTTPRoute] = _NONE
    grpc_routes: Mapping[Key, GRPCRoute] = _NONE
    tcp_routes: Mapping[Key, TCPRoute] = _NONE
    tls_routes: Mapping[Key, TLSRoute] = _NONE
    udp_routes: Mapping[Key, UDPRoute] = _NONE
    reference_grants: Mapping[Key, ReferenceGrant] = _NONE
    backend_tls_policies: Mapping[Key, BackendTLSPolicy] = _NONE
    telemetry_policies: Mapping[Key, XTelemetryPolicy] = _NONE
    unserved_policies: Mapping[Key, UnservedPolicy] = _NONE
    namespaces: Mapping[Key, Namespace] = _NONE
    services: Mapping[Key, Service] = _NONE
    endpoint_slices: Mapping[Key, EndpointSlice] = _NONE
    endpoints: Mapping[Key, Endpoints] = _NONE
    secrets: Mapping[Key, Secret] = _NONE
    config_maps: Mapping[Key, ConfigMap] = _NONE
    trust_bundles: Mapping[Key, ClusterTrustBundle] = _NONE
    found_grants: frozenset[Key] = frozenset()  # ReferenceGrants that were there when their namespace was first read

    @property
    def kinds(self) -> Iterator[Mapping[Key, Any]]:
        """The objects of each kind."""
        fields = (getattr(self, name) for name in self.__struct_fields__)
        return (objects for objects in fields if isinstance(objects, Mapping))

    def routes(self, kind: RouteKind) -> Mapping[Key, Route]:
        found: Mapping[Key, Route] = getattr(self, kind.field)
        return found
