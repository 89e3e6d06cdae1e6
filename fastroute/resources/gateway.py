"""The kinds of gateway.networking.k8s.io that we read: only the fields we use, with the defaults of the CRDs.

Source: Gateway API v1.6.3, experimental channel. Values are checked by `schema.py` and `cel.py`.
"""

from typing import Any

from fastroute.resources.meta import Resource, Typed

GROUP = "gateway.networking.k8s.io"


class Condition(Typed, frozen=True):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    observed_generation: int = 0
    last_transition_time: str = ""


class LabelSelectorRequirement(Typed, frozen=True):
    key: str
    operator: str  # In, NotIn, Exists, DoesNotExist
    values: tuple[str, ...] = ()


class LabelSelector(Typed, frozen=True):
    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


# --- GatewayClass


class ParametersReference(Typed, frozen=True):
    group: str
    kind: str
    name: str
    namespace: str | None = None


class GatewayClassSpec(Typed, frozen=True):
    controller_name: str
    parameters_ref: ParametersReference | None = None
    description: str | None = None


class GatewayClass(Resource, frozen=True, kw_only=True):
    spec: GatewayClassSpec
    status: dict[str, Any] = {}


# --- Gateway


class RouteNamespaces(Typed, frozen=True, rename={"from_": "from"}):
    from_: str = "Same"  # "from": All, Selector, Same
    selector: LabelSelector | None = None


class RouteGroupKind(Typed, frozen=True):
    kind: str
    group: str = GROUP


class AllowedRoutes(Typed, frozen=True):
    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: tuple[RouteGroupKind, ...] = ()


class SecretObjectReference(Typed, frozen=True):
    name: str
    namespace: str | None = None
    group: str = ""
    kind: str = "Secret"


class ListenerTLSConfig(Typed, frozen=True):
    mode: str = "Terminate"
    certificate_refs: tuple[SecretObjectReference, ...] = ()
    options: dict[str, str] = {}


class Listener(Typed, frozen=True):
    name: str
    port: int
    protocol: str
    hostname: str | None = None
    tls: ListenerTLSConfig | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()
    filters: dict[str, Any] | None = None  # since v1.7


class GatewayAddress(Typed, frozen=True):
    type: str | None = "IPAddress"
    value: str | None = None
    routability: str | None = None  # since v1.7


class ListenerNamespaces(Typed, frozen=True, rename={"from_": "from"}):
    """The namespaces whose ListenerSets a Gateway accepts."""

    from_: str = "None"  # "from": All, Selector, Same, None
    selector: LabelSelector | None = None


class AllowedListeners(Typed, frozen=True):
    namespaces: ListenerNamespaces = ListenerNamespaces()


class LocalParametersReference(Typed, frozen=True):
    group: str
    kind: str
    name: str


class GatewayInfrastructure(Typed, frozen=True):
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    parameters_ref: LocalParametersReference | None = None


class GatewaySpec(Typed, frozen=True):
    gateway_class_name: str
    listeners: tuple[Listener, ...]
    addresses: tuple[GatewayAddress, ...] = ()
    infrastructure: GatewayInfrastructure | None = None
    allowed_listeners: AllowedListeners | None = None
    tls: dict[str, Any] | None = None
    default_scope: str | None = None


class Gateway(Resource, frozen=True, kw_only=True):
    spec: GatewaySpec
    status: dict[str, Any] = {}


# --- ListenerSet


class ParentGatewayReference(Typed, frozen=True):
    name: str
    namespace: str | None = None
    group: str = GROUP
    kind: str = "Gateway"


class ListenerSetSpec(Typed, frozen=True):
    parent_ref: ParentGatewayReference
    listeners: tuple[Listener, ...]


class ListenerSet(Resource, frozen=True, kw_only=True):
    spec: ListenerSetSpec
    status: dict[str, Any] = {}


# --- Routes


class ParentReference(Typed, frozen=True):
    name: str
    namespace: str | None = None
    section_name: str | None = None
    port: int | None = None
    group: str = GROUP
    kind: str = "Gateway"


class HeaderMatch(Typed, frozen=True):
    name: str
    value: str
    type: str = "Exact"


class HTTPPathMatch(Typed, frozen=True):
    type: str = "PathPrefix"
    value: str = "/"


class HTTPRouteMatch(Typed, frozen=True):
    path: HTTPPathMatch = HTTPPathMatch()
    headers: tuple[HeaderMatch, ...] = ()
    query_params: tuple[HeaderMatch, ...] = ()
    method: str | None = None


class HTTPHeader(Typed, frozen=True):
    name: str
    value: str


class HTTPHeaderFilter(Typed, frozen=True):
    set: tuple[HTTPHeader, ...] = ()
    add: tuple[HTTPHeader, ...] = ()
    remove: tuple[str, ...] = ()


class HTTPPathModifier(Typed, frozen=True):
    type: str
    replace_full_path: str | None = None
    replace_prefix_match: str | None = None


class HTTPRequestRedirectFilter(Typed, frozen=True):
    scheme: str | None = None
    hostname: str | None = None
    path: HTTPPathModifier | None = None
    port: int | None = None
    status_code: int = 302


class HTTPURLRewriteFilter(Typed, frozen=True):
    hostname: str | None = None
    path: HTTPPathModifier | None = None


class BackendObjectReference(Typed, frozen=True):
    name: str
    namespace: str | None = None
    port: int | None = None
    group: str = ""
    kind: str = "Service"


class Fraction(Typed, frozen=True):
    numerator: int
    denominator: int = 100


class HTTPRequestMirrorFilter(Typed, frozen=True):
    backend_ref: BackendObjectReference
    percent: int | None = None
    fraction: Fraction | None = None


class HTTPCORSFilter(Typed, frozen=True):
    allow_origins: tuple[str, ...] = ()
    allow_credentials: bool = False
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: int = 5  # seconds


class LocalObjectReference(Typed, frozen=True):
    group: str
    kind: str
    name: str


class HTTPRouteFilter(Typed, frozen=True):
    """Used by GRPCRoute as well, which allows fewer of the types."""

    type: str
    request_header_modifier: HTTPHeaderFilter | None = None
    response_header_modifier: HTTPHeaderFilter | None = None
    request_mirror: HTTPRequestMirrorFilter | None = None
    request_redirect: HTTPRequestRedirectFilter | None = None
    url_rewrite: HTTPURLRewriteFilter | None = None
    cors: HTTPCORSFilter | None = None
    external_auth: dict[str, Any] | None = None
    extension_ref: LocalObjectReference | None = None


class HTTPBackendRef(Typed, frozen=True):
    name: str
    namespace: str | None = None
    port: int | None = None
    group: str = ""
    kind: str = "Service"
    weight: int = 1
    filters: tuple[HTTPRouteFilter, ...] = ()


class CookieConfig(Typed, frozen=True):
    lifetime_type: str = "Session"  # or "Permanent"


class SessionCookie(Typed, frozen=True):
    """Since v1.7; replaces sessionName and cookieConfig."""

    name: str | None = None
    path: str = "/"
    lifetime_type: str = "Session"  # or "Permanent"


class SessionHeader(Typed, frozen=True):
    """Since v1.7; replaces sessionName."""

    name: str


class SessionPersistence(Typed, frozen=True):
    session_name: str | None = None
    absolute_timeout: str | None = None  # GEP-2257 duration
    type: str = "Cookie"  # or "Header"
    cookie_config: CookieConfig | None = None
    cookie: SessionCookie | None = None
    header: SessionHeader | None = None

    @property
    def token(self) -> tuple[str, str | None]:
        """The field with the name of the cookie or header of the session, and that name."""
        if self.header is not None:
            return "header.name", self.header.name
        if self.cookie is not None:
            return "cookie.name", self.cookie.name
        return "sessionName", self.session_name

    @property
    def is_permanent(self) -> bool:
        config = self.cookie or self.cookie_config
        return config is not None and config.lifetime_type == "Permanent"


class HTTPRouteTimeouts(Typed, frozen=True):
    request: str | None = None  # GEP-2257 durations
    backend_request: str | None = None


class HTTPRouteRetry(Typed, frozen=True):
    """What a rule specifies for failed attempts; without `attempts` there is one retry."""

    codes: tuple[int, ...] = ()  # status codes of the backend that are retried: 400 to 599
    attempts: int = 1  # retries after the first attempt; 0 disables them
    backoff: str | None = None  # GEP-2257 duration; None: the gateway's default


class HTTPRouteRule(Typed, frozen=True):
    name: str | None = None
    matches: tuple[HTTPRouteMatch, ...] = (HTTPRouteMatch(),)
    filters: tuple[HTTPRouteFilter, ...] = ()
    backend_refs: tuple[HTTPBackendRef, ...] = ()
    timeouts: HTTPRouteTimeouts | None = None
    retry: HTTPRouteRetry | None = None
    session_persistence: SessionPersistence | None = None


class HTTPRouteSpec(Typed, frozen=True):
    parent_refs: tuple[ParentReference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[HTTPRouteRule, ...] = (HTTPRouteRule(),)
    use_default_gateways: str | None = None


class HTTPRoute(Resource, frozen=True, kw_only=True):
    spec: HTTPRouteSpec
    status: dict[str, Any] = {}


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
    filters: tuple[HTTPRouteFilter, ...] = ()
    backend_refs: tuple[HTTPBackendRef, ...] = ()
    session_persistence: SessionPersistence | None = None


class GRPCRouteSpec(Typed, frozen=True):
    parent_refs: tuple[ParentReference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[GRPCRouteRule, ...] = ()
    use_default_gateways: str | None = None


class GRPCRoute(Resource, frozen=True, kw_only=True):
    spec: GRPCRouteSpec
    status: dict[str, Any] = {}
