"""Test input as manifests in text form, read by the same code as the manifests in a directory."""

from fastroute.graph.build import build_graph
from fastroute.graph.node import Graph
from fastroute.resources.decode import decode
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings
from fastroute.source.store import Apply, Store


def world(*manifests: str) -> Resources:
    """The Resources of manifests, which must be free of problems."""
    store = Store()
    for text in manifests:
        for entry in decode(text, "world.yaml"):
            assert not entry.problems, entry.problems
            assert entry.resource is not None
            store.apply([Apply(entry.resource)])
    return store.snapshot()


def graph_of(*manifests: str, settings: GraphSettings | None = None) -> Graph:
    return build_graph(world(*manifests), settings or GraphSettings())


GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: infra}
spec:
  gatewayClassName: fastroute
  listeners:
  - {name: proxy, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
"""


def service(key: str, *ready: int, port: int = 80) -> str:
    """A Service "namespace/name" whose Pods listen on the ports `ready` of the loopback interface."""
    namespace, name = key.split("/")
    slices = "".join(
        f"""
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-{number}, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: {number}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""
        for number in ready
    )
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{ports: [{{name: http, port: {port}}}]}}
{slices}"""


def grant(namespace: str, origin: str, *services: str) -> str:
    """A ReferenceGrant in `namespace` from HTTPRoutes of `origin` to the named Services (without names: to all)."""
    to = "".join(f"\n  - {{group: '', kind: Service, name: {name}}}" for name in services) or (
        "\n  - {group: '', kind: Service}"
    )
    return f"""
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {{name: from-{origin}-{"-".join(services) or "all"}, namespace: {namespace}}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: {origin}}}]
  to: {to}
"""


def route(key: str, rules: str, hostnames: str = "[]", parent: str = "{name: web, namespace: infra}") -> str:
    """An HTTPRoute "namespace/name" with `rules` as a YAML list, indented by two spaces."""
    namespace, name = key.split("/")
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  parentRefs: [{parent}]
  hostnames: {hostnames}
  rules:{rules}
"""


FRUITS = route(
    "infra/fruits",
    """
  - matches: [{path: {type: PathPrefix, value: /fruits}}]
    backendRefs:
    - {name: banana-echo, namespace: bananas, port: 80, weight: 70}
    - {name: apple-echo, namespace: apples, port: 80, weight: 30}
""",
)
APPLES, BANANAS = service("apples/apple-echo", 18001), service("bananas/banana-echo", 18002)
