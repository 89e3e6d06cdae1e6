"""Manifests with N routes: one HTTPRoute per path prefix, all to one Service with one endpoint."""

from pathlib import Path

_WORLD = """\
apiVersion: v1
kind: Namespace
metadata: {{name: bench}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{namespace: bench, name: edge}}
spec:
  gatewayClassName: fastroute
  listeners:
    - {{name: proxy, port: 80, protocol: HTTP}}
---
apiVersion: v1
kind: Service
metadata: {{namespace: bench, name: backend}}
spec:
  ports: [{{name: http, port: 80{protocol}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  namespace: bench
  name: backend-1
  labels: {{kubernetes.io/service-name: backend}}
addressType: IPv4
endpoints: [{{addresses: [127.0.0.1]}}]
ports: [{{name: http, port: {backend}}}]
"""

_ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{namespace: bench, name: route-{index}}}
spec:
  parentRefs: [{{name: edge}}]
  rules:
    - matches: [{{path: {{type: PathPrefix, value: /route-{index}}}}}]
{filters}      backendRefs: [{{name: backend, port: 80}}]
"""

_MARK = """\
      filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: {{set: [{{name: x-mark, value: "{mark}"}}]}}
"""


def route_document(index: int, mark: int | None = None) -> str:
    """One HTTPRoute; with `mark` its responses contain `x-mark: MARK`."""
    return _ROUTE.format(index=index, filters="" if mark is None else _MARK.format(mark=mark))


def write_manifests(folder: Path, routes: int, backend: int, files: int = 100, *, http2: bool = False) -> None:
    """Writes the other objects to world.yaml, and the routes to `files` files: routes-0.yaml, ... `http2`: the backend
    speaks HTTP/2."""
    protocol = ", appProtocol: kubernetes.io/h2c" if http2 else ""
    folder.mkdir(parents=True)
    (folder / "world.yaml").write_text(_WORLD.format(backend=backend, protocol=protocol))
    for number in range(min(files, routes)):
        documents = [route_document(index) for index in range(number, routes, files)]
        (folder / f"routes-{number}.yaml").write_text("---\n".join(documents))
