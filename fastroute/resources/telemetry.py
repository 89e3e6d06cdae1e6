"""XTelemetryPolicy (GEP-4768): how requests of a Gateway are traced. Experimental channel of Gateway API v1.7."""

from typing import Any

from fastroute.resources.gateway import GROUP, BackendObjectReference
from fastroute.resources.meta import Key, Resource, Typed
from fastroute.resources.policy import LocalReference

KIND = "XTelemetryPolicy"
ENABLED, DISABLED = "Enabled", "Disabled"
_DEFAULT = "ImplementationDefault"
MOST_HEADERS = 16  # attributes of type Header that a policy may have: workers keep no more values of a request
# Keys of OpenTelemetry's semantic conventions that an attribute may have: those that spans have (traces/spans.py).
KEYS = frozenset(
    {
        "client.address",
        "error.type",
        "http.request.method",
        "http.request.method_original",
        "http.request.resend_count",
        "http.response.status_code",
        "network.protocol.version",
        "rpc.grpc.status_code",
        "server.address",
        "server.port",
        "url.full",
        "url.path",
        "url.scheme",
        "user_agent.original",
    }
)


class Fraction(Typed, frozen=True):
    numerator: int
    denominator: int = 100


class ParentBasedSampling(Typed, frozen=True):
    mode: str = _DEFAULT
    sampling_rate: Fraction | None = None


class HTTPHeader(Typed, frozen=True):
    name: str
    value: str


class TracingProvider(Typed, frozen=True):
    backend_ref: BackendObjectReference
    headers: tuple[HTTPHeader, ...] = ()


class TracingAttribute(Typed, frozen=True):
    """One of the last three fields is set, as `source_type` says."""

    name: str
    source_type: str  # Header, Literal, Attribute
    header_name: str | None = None
    literal_value: str | None = None
    attribute_key: str | None = None


class TelemetryTracing(Typed, frozen=True):
    """Fields that may be set only with mode Enabled are None if they are not set."""

    mode: str = _DEFAULT
    provider: TracingProvider | None = None
    sampling_rate: Fraction | None = None
    parent_based_sampling: ParentBasedSampling | None = None
    service_name: str | None = None
    span_name: str | None = None
    attributes: tuple[TracingAttribute, ...] | None = None


class TelemetryPolicySpec(Typed, frozen=True):
    target_refs: tuple[LocalReference, ...]
    tracing: TelemetryTracing | None = None  # the CRD's rule demands it


class XTelemetryPolicy(Resource, frozen=True, kw_only=True):
    spec: TelemetryPolicySpec
    status: dict[str, Any] = {}

    @property
    def gateways(self) -> frozenset[Key]:
        """The Gateways that it targets, whether they exist or not."""
        home = self.metadata.namespace
        return frozenset(Key(home, target.name) for target in self.spec.target_refs if is_gateway(target))


def is_gateway(target: LocalReference) -> bool:
    return (target.group, target.kind) == (GROUP, "Gateway")
