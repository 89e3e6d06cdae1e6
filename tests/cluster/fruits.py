"""A world of two teams' Services behind one Gateway: routes that nobody touches, and routes that a test edits.

host              who answers
calm.test         apples, whatever happens: route and Service in one namespace, no grant needed
shared.test       bananas, by a grant
split.test        apples and bananas, half each, by grants
missing.test      404: no route
"""

from cluster.api import Api, Object
from cluster.echo import PORT, echo, eventually, ready_addresses
from cluster.gateway import CLASS
from cluster.traffic import Ask

ADDRESS = "127.0.1.1"  # the first of the pool
GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: infra}
spec:
  gatewayClassName: fastroute
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]
"""

CALM = Ask("calm.test", "/", frozenset({"apples"}))
SHARED = Ask("shared.test", "/", frozenset({"bananas"}))
SPLIT = Ask("split.test", "/", frozenset({"apples", "bananas"}))
MISSING = Ask("missing.test", "/", frozenset({"404"}))
ASKS = (CALM, SHARED, SPLIT, MISSING)


def route(name: str, namespace: str, *backends: tuple[str, int], hostname: str = "") -> Object:
    """An HTTPRoute of the public Gateway to the echo Services of namespaces, each with its weight."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": "public", "namespace": "infra"}],
            "hostnames": [hostname or f"{name}.test"],
            "rules": [
                {
                    "backendRefs": [
                        {"name": "echo", "namespace": where, "port": PORT, "weight": weight}
                        for where, weight in backends
                    ]
                }
            ],
        },
    }


def grant(namespace: str, origin: str = "infra", name: str = "routes") -> Object:
    """HTTPRoutes of `origin` may use the Services of `namespace`."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ReferenceGrant",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": origin}],
            "to": [{"group": "", "kind": "Service"}],
        },
    }


def objects() -> list[Object]:
    """The whole world but its class and Gateway."""
    return [
        *echo("apples", replicas=2),
        *echo("bananas", replicas=2),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "infra"}},
        grant("apples"),
        grant("bananas"),
        route("calm", "apples", ("apples", 1)),
        route("shared", "infra", ("bananas", 1)),
        route("split", "infra", ("apples", 1), ("bananas", 1)),
    ]


def plant(api: Api) -> None:
    """Makes the world; comes back when its pods are ready."""
    api.apply_text(CLASS)
    api.apply(*objects()[:-5])
    api.apply_text(GATEWAY)
    api.apply(*objects()[-5:])
    eventually(lambda: all(len(ready_addresses(api, one)) == 2 for one in ("apples", "bananas")))
