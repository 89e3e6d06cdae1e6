"""The manifests: teams with their backends, routes with filters and timeouts, an HTTPS listener whose certificate
changes, and backends with TLS whose CA certificates change."""

import json
import ssl
from pathlib import Path

from bench.certificate import HOST, Pems, secret, self_signed
from bench.soak.passed import BYTES, NAMED, THROUGH

KINDS = ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute")
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
HTTP2 = ("dates", "frames", "figs", "good-calls")
TLS = ("elder", "figs", "scrambled", "good-tls")
PASSED = ("plain-bytes", "tls-bytes")  # backends of TCP, TLS and UDP (passed.py); the second one has TLS itself
GOOD = ("cherries", "good-tls", "good-calls")  # their backends are in the process of the good clients
PATHS = {"h2": "dates", "tls": "elder", "frames": "frames", "scrambled": "scrambled"}  # first elements of paths
TEAMS = ("apples", "bananas", "wild", *dict.fromkeys((*HTTP2, *TLS, *GOOD)), *PASSED)


def server_tls(pems: str | Path, *protocols: str) -> ssl.SSLContext:
    """Of a backend. `pems`: a file with the certificate and the key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pems)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def policy(name: str, authorities: bytes) -> str:
    """What requires TLS to the Service of a team."""
    data = json.dumps({"ca.crt": authorities.decode()})
    return f"""---
{{apiVersion: v1, kind: ConfigMap, metadata: {{name: ca, namespace: {name}}}, data: {data}}}
---
{{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: {{name: p, namespace: {name}}}, spec: {{
  targetRefs: [{{group: "", kind: Service, name: s}}],
  validation: {{hostname: {HOST}, caCertificateRefs: [{{group: "", kind: ConfigMap, name: ca}}]}}}}}}
"""


def team(name: str, backend_port: int, edit: int) -> str:
    spoken = ", appProtocol: kubernetes.io/h2c" if name in HTTP2 and name not in TLS else ""
    endpoints = ", ".join(f'{{"addresses": ["{address}"]}}' for address in ADDRESSES[: 1 + edit % 3])
    return f"""---
{{apiVersion: v1, kind: Service, metadata: {{name: s, namespace: {name}}}, spec: {{
  ports: [{{name: tcp, port: 80{spoken}}}, {{name: udp, port: 80, protocol: UDP}}]}}}}
---
{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {{name: s, namespace: {name},
  labels: {{kubernetes.io/service-name: s}}}}, ports: [{{name: tcp, port: {backend_port}}},
    {{name: udp, port: {backend_port}, protocol: UDP}}], endpoints: [{endpoints}]}}
---
{{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {{name: g, namespace: {name}}}, spec: {{
  from: [{", ".join(f"{{group: gateway.networking.k8s.io, kind: {kind}, namespace: infra}}" for kind in KINDS)}],
  to: [{{group: "", kind: Service}}]}}}}
"""


def manifests(ports: dict[str, int], edit: int) -> str:
    """`ports`: of the backends, by team. `edit` varies weights, header values and endpoints."""
    teams = "".join(team(name, ports[name], edit + number) for number, name in enumerate(TEAMS))
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec:
  gatewayClassName: fastroute
  listeners:
  - {{name: proxy, port: 80, protocol: HTTP}}
  - {{name: secure, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{name: turning, namespace: bench}}]}}}}
  - {{name: tcp, port: {BYTES}, protocol: TCP}}
  - {{name: udp, port: {BYTES}, protocol: UDP}}
  - {{name: through, port: {NAMED}, protocol: TLS, hostname: {THROUGH}, tls: {{mode: Passthrough}}}}
  - {{name: ended, port: {NAMED}, protocol: TLS, hostname: {HOST}, tls: {{
      mode: Terminate, certificateRefs: [{{name: turning, namespace: bench}}]}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {{name: g, namespace: bench}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra}}]
  to: [{{group: "", kind: Secret}}]
{teams}{edited(edit)}{calls(edit)}{good(edit)}{passed(edit)}"""


def edited(edit: int) -> str:
    """The route that every edit changes."""
    return f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: infra}}
spec:
  parentRefs: [{{name: gw}}]
  rules:
  - timeouts: {{request: 15s}}
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {{set: [{{name: X-Edit, value: "{edit}"}}], add: [{{name: X-A, value: b}}], remove: [x-c]}}
    - type: ResponseHeaderModifier
      responseHeaderModifier: {{set: [{{name: X-Edit, value: "{edit}"}}]}}
    - type: CORS
      cors: {{allowOrigins: ["https://*.example.com"], allowMethods: ["*"], maxAge: {1 + edit}}}
    - type: RequestMirror
      requestMirror: {{backendRef: {{name: s, namespace: bananas, port: 80}}, percent: {edit % 101}}}
    retry: {{attempts: {edit % 4}, codes: [500, 503], backoff: 5ms}}
    backendRefs:
    - {{name: s, namespace: apples, port: 80, weight: {1 + edit % 7}}}
    - {{name: s, namespace: bananas, port: 80, weight: 3}}
  - matches: [{{path: {{type: PathPrefix, value: /old}}}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /new}}}}
  - matches: [{{path: {{type: PathPrefix, value: /wild}}}}]
    timeouts: {{request: 1s}}
    retry: {{attempts: 1, codes: [500, 503], backoff: 5ms}}
    backendRefs: [{{name: s, namespace: wild, port: 80}}]
{"".join(forwarding(path, name) for path, name in PATHS.items())}
"""


def forwarding(path: str, name: str) -> str:
    """A rule that sends the requests below a path to a team."""
    return f"""
  - matches: [{{path: {{type: PathPrefix, value: /{path}}}}}]
    timeouts: {{request: 15s}}
    backendRefs: [{{name: s, namespace: {name}, port: 80}}]"""


def calls(edit: int) -> str:
    """A route for calls of gRPC: to backends with and without TLS, to wild ones, and for the good clients."""
    services = {"Echo": "dates", "Sealed": "figs", "Wild": "frames", "Good": "good-calls"}
    rules = "".join(
        f"""
  - matches: [{{method: {{service: soak.{service}}}}}]
    filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier: {{set: [{{name: X-Edit, value: "{edit}"}}]}}
    backendRefs: [{{name: s, namespace: {name}, port: 80}}]"""
        for service, name in services.items()
    )
    return f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {{name: calls, namespace: infra}}
spec:
  parentRefs: [{{name: gw}}]
  rules:{rules}
"""


def passed(edit: int) -> str:
    """The routes of TCP, TLS and UDP."""
    shares = ", ".join(
        f"{{name: s, namespace: plain-bytes, port: 80, weight: {weight}}}" for weight in (1 + edit % 7, edit % 3)
    )
    return "".join(
        f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: {name}, namespace: infra}}
spec:
  parentRefs: [{{name: gw, sectionName: {name}}}]{hostnames}
  rules: [{{backendRefs: [{backends}]}}]
"""
        for name, kind, hostnames, backends in (
            ("tcp", "TCPRoute", "", shares),
            ("udp", "UDPRoute", "", shares),
            ("ended", "TLSRoute", f"\n  hostnames: [{HOST}]", shares),
            ("through", "TLSRoute", f"\n  hostnames: [{THROUGH}]", "{name: s, namespace: tls-bytes, port: 80}"),
        )
    )


def good(edit: int) -> str:
    """The route of the good clients."""
    return f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: good, namespace: infra}}
spec:
  parentRefs: [{{name: gw}}]
  rules:
  - matches: [{{path: {{type: PathPrefix, value: /good}}}}]
    filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier: {{set: [{{name: X-Edit, value: "{edit}"}}]}}
    backendRefs: [{{name: s, namespace: cherries, port: 80}}]
  - matches: [{{path: {{type: PathPrefix, value: /good-tls}}}}]
    backendRefs: [{{name: s, namespace: good-tls, port: 80}}]
"""


class World:
    """A folder of manifests that is edited. `pems`: the certificate of the TLS backends."""

    def __init__(self, folder: Path, ports: dict[str, int], pems: Pems) -> None:
        self.folder, self._ports, self._pems = folder, ports, pems
        self._other = self_signed()

    def edit(self, number: int) -> None:
        if number % 4 == 0:
            self._replace("secret.json", json.dumps(secret("turning")))
        if number % 8 == 0:
            self._replace("policies.yaml", self._policies(number // 8))
        self._replace("world.yaml", manifests(self._ports, number))

    def _policies(self, number: int) -> str:
        """Every second time with one more CA certificate: connections to backends are made anew."""
        return "".join(policy(name, self._pems.chain + self._other.chain * (number % 2)) for name in TLS)

    def _replace(self, name: str, text: str) -> None:
        fresh = self.folder / f".{name}.new"
        fresh.write_text(text)
        fresh.rename(self.folder / name)
