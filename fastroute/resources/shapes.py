"""Shapes: the schema of every kind we read, by (group, kind).

Source: the CRDs of Gateway API v1.6.3, experimental channel, with the additions of v1.7.0.
tests/cluster/test_schemas.py compares the shapes with the CRDs of both versions, and what they accept and reject with a
real API server.

Fields that we do not use are included, because an object that the API server rejects must not be served from a file.
Core kinds have the basic parts of the API server's own validation. Defaults are in the structs (gateway.py, core.py)
and in `defaults.py`; rules over several fields are in `cel.py`. Fields are in the order of the API.
"""

from fastroute.resources.core import CERTIFICATES
from fastroute.resources.core_shapes import BUNDLE_NAME, DATA, ENDPOINT_PORTS, ENDPOINTS, SERVICE, SUBSETS, TRUST_BUNDLE
from fastroute.resources.gateway import EXPERIMENTAL, GROUP
from fastroute.resources.gateway_shapes import GATEWAY, GATEWAY_CLASS, LISTENER_SET, REFERENCE_GRANT
from fastroute.resources.policy_shapes import BACKEND_TLS_POLICY
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.schema import Anything, Flag, Record, Text
from fastroute.resources.shape import ANY, LABEL_NAME, SERVICE_NAME, kind
from fastroute.resources.telemetry_shapes import TELEMETRY_POLICY

SHAPES: dict[tuple[str, str], Record] = {
    (GROUP, "GatewayClass"): kind("spec", cluster=True, spec=GATEWAY_CLASS),
    (GROUP, "Gateway"): kind("spec", spec=GATEWAY),
    (GROUP, "ListenerSet"): kind("spec", spec=LISTENER_SET),
    **{(GROUP, route.name): kind("spec", spec=route.shape) for route in ROUTES.values()},
    (GROUP, "ReferenceGrant"): kind("spec", spec=REFERENCE_GRANT),
    (GROUP, "BackendTLSPolicy"): kind("spec", spec=BACKEND_TLS_POLICY),
    (EXPERIMENTAL, "XTelemetryPolicy"): kind("spec", spec=TELEMETRY_POLICY),
    ("", "Namespace"): kind(name=LABEL_NAME, cluster=True, spec=Anything()),
    ("", "Service"): kind(name=SERVICE_NAME, spec=SERVICE),
    ("", "Secret"): kind(type=ANY, data=DATA, stringData=DATA, immutable=Flag()),
    ("", "ConfigMap"): kind(data=DATA, binaryData=DATA, immutable=Flag()),
    ("", "Endpoints"): kind(subsets=SUBSETS),
    (CERTIFICATES, "ClusterTrustBundle"): kind("spec", name=BUNDLE_NAME, cluster=True, spec=TRUST_BUNDLE),
    ("discovery.k8s.io", "EndpointSlice"): kind(
        "addressType", addressType=Text(choices=("IPv4", "IPv6", "FQDN")), endpoints=ENDPOINTS, ports=ENDPOINT_PORTS
    ),
}
_OLDER: dict[tuple[str, str], Record] = {  # by kind and version
    (route.name, version): kind("spec", spec=shape)
    for route in ROUTES.values()
    for version, shape in route.older.items()
}


def shape_of(group: str, name: str, version: str) -> Record:
    """The shape of a kind that is read, in one of its versions."""
    older = _OLDER.get((name, version)) if group == GROUP else None
    return older or SHAPES[group, name]
