"""Valid manifests, which tests make invalid in one place, and the resulting problems."""

from fastroute.resources.decode import decode

GATEWAY_CLASS = """\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: fastroute
spec:
  controllerName: fastroute.dev/gateway
"""

GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: edge
  namespace: infra
spec:
  gatewayClassName: fastroute
  listeners:
    - name: proxy
      port: 80
      protocol: HTTP
"""

LISTENER_SET = """\
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata:
  name: more
  namespace: apples
spec:
  parentRef:
    name: edge
    namespace: infra
  listeners:
    - name: own
      port: 80
      protocol: HTTP
"""

HTTP_ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: fruits
  namespace: infra
spec:
  parentRefs:
    - name: edge
  rules:
    - matches:
        - path: {type: PathPrefix, value: /fruits}
      backendRefs:
        - name: apples
          port: 8080
"""

GRPC_ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata:
  name: fruits
  namespace: infra
spec:
  parentRefs:
    - name: edge
  rules:
    - matches:
        - method: {service: fruits.Basket, method: Pick}
      backendRefs:
        - name: apples
          port: 8080
"""

REFERENCE_GRANT = """\
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata:
  name: from-infra
  namespace: apples
spec:
  from:
    - group: gateway.networking.k8s.io
      kind: HTTPRoute
      namespace: infra
  to:
    - group: ""
      kind: Service
"""

SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: apples
  namespace: apples
spec:
  ports:
    - port: 8080
"""

ENDPOINT_SLICE = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: apples-1
  namespace: apples
  labels:
    kubernetes.io/service-name: apples
addressType: IPv4
endpoints:
  - addresses: [127.0.0.1]
ports:
  - port: 3000
"""

SECRET = """\
apiVersion: v1
kind: Secret
metadata:
  name: certificate
data:
  tls.crt: aGVsbG8=
stringData:
  tls.key: hello
"""

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: authorities
data:
  ca.crt: hello
"""

NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: apples
  labels:
    team: apples
"""

L4_ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: KIND
metadata:
  name: fruits
  namespace: infra
spec:
  parentRefs:
    - name: web
  rules:
    - backendRefs:
        - name: apples
          port: 8080
"""
TCP_ROUTE, UDP_ROUTE = (L4_ROUTE.replace("KIND", kind) for kind in ("TCPRoute", "UDPRoute"))
TLS_ROUTE = L4_ROUTE.replace("KIND", "TLSRoute").replace("  rules:", "  hostnames: [fruits.example.com]\n  rules:")

ENDPOINTS = """\
apiVersion: v1
kind: Endpoints
metadata:
  name: apple-echo
  namespace: apples
subsets:
  - addresses:
      - ip: 10.0.0.1
    ports:
      - port: 8080
"""

BACKEND_TLS_POLICY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata:
  name: secure
  namespace: apples
spec:
  targetRefs:
    - group: ""
      kind: Service
      name: apples
      sectionName: https
  validation:
    hostname: apples.example.com
    wellKnownCACertificates: System
"""

CLUSTER_TRUST_BUNDLE = """\
apiVersion: certificates.k8s.io/v1
kind: ClusterTrustBundle
metadata: {name: corporate}
spec: {trustBundle: PEM}
"""

TELEMETRY_POLICY = """\
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XTelemetryPolicy
metadata:
  name: traced
  namespace: apples
spec:
  targetRefs:
    - group: gateway.networking.k8s.io
      kind: Gateway
      name: apples
  tracing:
    mode: Enabled
    provider:
      backendRef: {name: otel, port: 4318}
    samplingRate: {numerator: 5}
    parentBasedSampling: {mode: Enabled}
"""

EVERY_KIND = {
    "GatewayClass": GATEWAY_CLASS,
    "Gateway": GATEWAY,
    "ListenerSet": LISTENER_SET,
    "HTTPRoute": HTTP_ROUTE,
    "GRPCRoute": GRPC_ROUTE,
    "TCPRoute": TCP_ROUTE,
    "TLSRoute": TLS_ROUTE,
    "UDPRoute": UDP_ROUTE,
    "ReferenceGrant": REFERENCE_GRANT,
    "BackendTLSPolicy": BACKEND_TLS_POLICY,
    "XTelemetryPolicy": TELEMETRY_POLICY,
    "Service": SERVICE,
    "EndpointSlice": ENDPOINT_SLICE,
    "Endpoints": ENDPOINTS,
    "Secret": SECRET,
    "ConfigMap": CONFIG_MAP,
    "ClusterTrustBundle": CLUSTER_TRUST_BUNDLE,
    "Namespace": NAMESPACE,
}


def said(text: str) -> list[str]:
    """The problems of a document, as users see them."""
    return [str(problem) for entry in decode(text, "x.yaml") for problem in entry.problems]


def resource(text: str):
    """The object of a valid document."""
    [entry] = decode(text, "x.yaml")
    assert not entry.problems
    return entry.resource


def with_lines(text: str, after: str, *lines: str) -> str:
    """`text` with `lines` inserted after the line `after`, with the same indentation."""
    depth = next(len(line) - len(line.lstrip()) for line in text.splitlines() if line.strip() == after.strip())
    more = "".join(f"\n{' ' * depth}{line}" for line in lines)
    return text.replace(after, after + more, 1)
