"""GatewayClass, Gateway and ListenerSet, and what all kinds of routes have in common.

Types contain only the fields we use, with the defaults of the CRDs.

Source: Gateway API v1.6.3, experimental channel. Values are checked by `schema.py` and `cel.py`.
"""

from typing import Any

from fastroute.resources.meta import Resource, Typed

GROUP = "gateway.networking.k8s.io"
EXPERIMENTAL = "gateway.networking.x-k8s.io"  # the group of kinds such as XTelemetryPolicy


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


class LabelSelector(Typed, frozen=True, dict=True):
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


class FrontendValidation(Typed, frozen=True):
    ca_certificate_refs: tuple[ParametersReference, ...]
    mode: str = "AllowValidOnly"  # or AllowInsecureFallback


class FrontendTLS(Typed, frozen=True):
    validation: FrontendValidation | None = None


class FrontendPort(Typed, frozen=True):
    port: int
    tls: FrontendTLS


class GatewayFrontend(Typed, frozen=True):
    default: FrontendTLS
    per_port: tuple[FrontendPort, ...] = ()


class GatewayBackend(Typed, frozen=True):
    client_certificate_ref: SecretObjectReference | None = None


class GatewayTLS(Typed, frozen=True):
    backend: GatewayBackend | None = None
    frontend: GatewayFrontend | None = None


class GatewaySpec(Typed, frozen=True):
    gateway_class_name: str
    listeners: tuple[Listener, ...]
    addresses: tuple[GatewayAddress, ...] = ()
    infrastructure: GatewayInfrastructure | None = None
    allowed_listeners: AllowedListeners | None = None
    tls: GatewayTLS | None = None
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


class RouteSpec(Typed, frozen=True):
    parent_refs: tuple[ParentReference, ...] = ()


class Route(Resource, frozen=True, kw_only=True):
    """Base of all kinds of routes."""

    spec: RouteSpec
    status: dict[str, Any] = {}


class BackendObjectReference(Typed, frozen=True):
    name: str
    namespace: str | None = None
    port: int | None = None
    group: str = ""
    kind: str = "Service"


class BackendRef(BackendObjectReference, frozen=True):
    weight: int = 1
