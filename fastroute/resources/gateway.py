"""The kinds of gateway.networking.k8s.io that we read: only the fields we use, with the CRDs' defaults.

Source: Gateway API v1.6.3, experimental channel. What a field may hold is checked in `schema.py` and `cel.py`, before
an object becomes one of these.
"""

from typing import Any

from fastroute.resources.meta import Resource, Typed

GROUP = "gateway.networking.k8s.io"


class Condition(Typed):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    observed_generation: int = 0
    last_transition_time: str = ""


class LabelSelectorRequirement(Typed):
    key: str
    operator: str                       # In, NotIn, Exists, DoesNotExist
    values: tuple[str, ...] = ()


class LabelSelector(Typed):
    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


# --- GatewayClass


class ParametersReference(Typed):
    group: str
    kind: str
    name: str
    namespace: str | None = None


class GatewayClassSpec(Typed):
    controller_name: str
    parameters_ref: ParametersReference | None = None
    description: str | None = None


class GatewayClass(Resource, kw_only=True):
    spec: GatewayClassSpec
    status: dict[str, Any] = {}


# --- Gateway


class RouteNamespaces(Typed, rename={"from_": "from"}):
    from_: str = "Same"                 # "from": All, Selector, Same
    selector: LabelSelector | None = None


class RouteGroupKind(Typed):
    kind: str
    group: str = GROUP


class AllowedRoutes(Typed):
    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: tuple[RouteGroupKind, ...] = ()


class SecretObjectReference(Typed):
    name: str
    namespace: str | None = None
    group: str = ""
    kind: str = "Secret"


class ListenerTLSConfig(Typed):
    mode: str = "Terminate"
    certificate_refs: tuple[SecretObjectReference, ...] = ()
    options: dict[str, str] = {}


class Listener(Typed):
    name: str
    port: int
    protocol: str
    hostname: str | None = None
    tls: ListenerTLSConfig | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()


class GatewayAddress(Typed):
    type: str | None = "IPAddress"
    value: str | None = None


class GatewaySpec(Typed):
    gateway_class_name: str
    listeners: tuple[Listener, ...]
    addresses: tuple[GatewayAddress, ...] = ()
    infrastructure: dict[str, Any] | None = None
    allowed_listeners: dict[str, Any] | None = None
    tls: dict[str, Any] | None = None
    default_scope: str | None = None


class Gateway(Resource, kw_only=True):
    spec: GatewaySpec
    status: dict[str, Any] = {}


# --- Routes


class ParentReference(Typed):
    name: str
    namespace: str | None = None
    section_name: str | None = None
    port: int | None = None
    group: str = GROUP
    kind: str = "Gateway"


class HeaderMatch(Typed):
    name: str
    value: str
    type: str = "Exact"


class HTTPPathMatch(Typed):
    type: str = "PathPrefix"
    value: str = "/"


class HTTPRouteMatch(Typed):
    path: HTTPPathMatch = HTTPPathMatch()
    headers: tuple[HeaderMatch, ...] = ()
    query_params: tuple[HeaderMatch, ...] = ()
    method: str | None = None


class HTTPHeader(Typed):
    name: str
    value: str


class HTTPHeaderFilter(Typed):
    set: tuple[HTTPHeader, ...] = ()
    add: tuple[HTTPHeader, ...] = ()
    remove: tuple[str, ...] = ()


class HTTPPathModifier(Typed):
    type: str
    replace_full_path: str | None = None
    replace_prefix_match: str | None = None


class HTTPRequestRedirectFilter(Typed):
    scheme: str | None = None
    hostname: str | None = None
    path: HTTPPathModifier | None = None
    port: int | None = None
    status_code: int = 302


class HTTPURLRewriteFilter(Typed):
    hostname: str | None = None
    path: HTTPPathModifier | None = None


class BackendObjectReference(Typed):
    name: str
    namespace: str | None = None
    port: int | None = None
    group: str = ""
    kind: str = "Service"


class HTTPRequestMirrorFilter(Typed):
    backend_ref: BackendObjectReference
    percent: int | None = None
    fraction: dict[str, int] | None = None


class LocalObjectReference(Typed):
    group: str
    kind: str
    name: str


class HTTPRouteFilter(Typed):
    """Also GRPCRoute's: the same types, fewer of them."""

    type: str
    request_header_modifier: HTTPHeaderFilter | None = None
    response_header_modifier: HTTPHeaderFilter | None = None
    request_mirror: HTTPRequestMirrorFilter | None = None
    request_redirect: HTTPRequestRedirectFilter | None = None
    url_rewrite: HTTPURLRewriteFilter | None = None
    cors: dict[str, Any] | None = None
    external_auth: dict[str, Any] | None = None
    extension_ref: LocalObjectReference | None = None


class HTTPBackendRef(Typed):
    name: str
    namespace: str | None = None
    port: int | None = None
    group: str = ""
    kind: str = "Service"
    weight: int = 1
    filters: tuple[HTTPRouteFilter, ...] = ()


class HTTPRouteTimeouts(Typed):
    request: str | None = None          # GEP-2257 durations
    backend_request: str | None = None


class HTTPRouteRule(Typed):
    name: str | None = None
    matches: tuple[HTTPRouteMatch, ...] = (HTTPRouteMatch(),)
    filters: tuple[HTTPRouteFilter, ...] = ()
    backend_refs: tuple[HTTPBackendRef, ...] = ()
    timeouts: HTTPRouteTimeouts | None = None
    retry: dict[str, Any] | None = None
    session_persistence: dict[str, Any] | None = None


class HTTPRouteSpec(Typed):
    parent_refs: tuple[ParentReference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[HTTPRouteRule, ...] = (HTTPRouteRule(),)
    use_default_gateways: str | None = None


class HTTPRoute(Resource, kw_only=True):
    spec: HTTPRouteSpec
    status: dict[str, Any] = {}


class GRPCMethodMatch(Typed):
    type: str = "Exact"
    service: str | None = None
    method: str | None = None


class GRPCRouteMatch(Typed):
    method: GRPCMethodMatch | None = None
    headers: tuple[HeaderMatch, ...] = ()


class GRPCRouteRule(Typed):
    name: str | None = None
    matches: tuple[GRPCRouteMatch, ...] = ()
    filters: tuple[HTTPRouteFilter, ...] = ()
    backend_refs: tuple[HTTPBackendRef, ...] = ()
    session_persistence: dict[str, Any] | None = None


class GRPCRouteSpec(Typed):
    parent_refs: tuple[ParentReference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[GRPCRouteRule, ...] = ()
    use_default_gateways: str | None = None


class GRPCRoute(Resource, kw_only=True):
    spec: GRPCRouteSpec
    status: dict[str, Any] = {}
