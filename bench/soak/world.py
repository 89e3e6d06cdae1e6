"""The manifests: three teams, routes with filters and timeouts, and an HTTPS listener whose certificate changes."""

import json
from pathlib import Path

from bench.certificate import secret

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
TEAMS = ("apples", "bananas", "cherries", "wild")


def team(name: str, backend_port: int, edit: int) -> str:
    endpoints = ", ".join(f'{{"addresses": ["{address}"]}}' for address in ADDRESSES[: 1 + edit % 3])
    return f"""---
{{apiVersion: v1, kind: Service, metadata: {{name: s, namespace: {name}}}, spec: {{ports: [{{port: 80}}]}}}}
---
{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {{name: s, namespace: {name},
  labels: {{kubernetes.io/service-name: s}}}}, ports: [{{port: {backend_port}}}], endpoints: [{endpoints}]}}
---
{{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {{name: g, namespace: {name}}}, spec: {{
  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: infra}}],
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
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {{name: g, namespace: bench}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra}}]
  to: [{{group: "", kind: Secret}}]
{teams}{edited(edit)}{good(edit)}"""


def edited(edit: int) -> str:
    """The route that every edit changes."""
    return f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: infra}}
spec:
  parentRefs: [{{name: gw}}]
  rules:
  - timeouts: {{request: 1s}}
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
"""


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
"""


class World:
    """A folder of manifests that is edited."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self.folder, self._ports = folder, ports

    def edit(self, number: int) -> None:
        if number % 4 == 0:
            self._replace("secret.json", json.dumps(secret("turning")))
        self._replace("world.yaml", manifests(self._ports, number))

    def _replace(self, name: str, text: str) -> None:
        fresh = self.folder / f".{name}.new"
        fresh.write_text(text)
        fresh.rename(self.folder / name)
