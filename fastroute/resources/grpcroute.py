"""GRPCRoute."""

from fastroute.resources.gateway import Route, RouteSpec
from fastroute.resources.http_rule import HeaderMatch, HTTPBackendRef, HTTPFilter, SessionPersistence
from fastroute.resources.meta import Typed
from fastroute.resources.route_kind import RouteKind
from fastroute.resources.route_rules import GRPC_RULES
from fastroute.resources.route_shapes import GRPC_SPEC


class GRPCMethodMatch(Typed, frozen=True):
    type: str = "Exact"
    service: str | None = None
    method: str | None = None


class GRPCRouteMatch(Typed, frozen=True):
    method: GRPCMethodMatch | None = None
    headers: tuple[HeaderMatch, ...] = ()


class GRPCRouteRule(Typed, frozen=True):
    name: str | None = None
    matches: tuple[GRPCRouteMatch, ...] = ()
    filters: tuple[HTTPFilter, ...] = ()
    backend_refs: tuple[HTTPBackendRef, ...] = ()
    session_persistence: SessionPersistence | None = None


class GRPCRouteSpec(RouteSpec, frozen=True):
    hostnames: tuple[str, ...] = ()
    rules: tuple[GRPCRouteRule, ...] = ()
    use_default_gateways: str | None = None


class GRPCRoute(Route, frozen=True, kw_only=True):
    spec: GRPCRouteSpec


GRPC_ROUTE = RouteKind(
    name="GRPCRoute",
    type=GRPCRoute,
    field="grpc_routes",
    plural="grpcroutes",
    versions=("v1",),
    shape=GRPC_SPEC,
    rules=GRPC_RULES,
    protocols=("HTTP", "HTTPS"),
)
