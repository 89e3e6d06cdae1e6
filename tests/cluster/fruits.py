"""A world of two teams' Services behind one Gateway: routes that nobody touches, and routes that a test edits.

host              who answers
calm.test         apples, whatever happens: route and Service in one namespace, no grant needed
shared.test       bananas, by a grant
split.test        apples and bananas, half each, by grants
missing.test      404: no route

They answer at port 80, and at 443 by HTTPS, with a certificate of another namespace, by a grant. Port 81 takes routes
of namespaces that have the label `tenant: "yes"`; apples has it, infra has not. HTTPS has one more listener, for
spare.test, whose Secret is left to a test.
"""

import base64
import random

from certificates import certificate

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
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
  - name: tenants
    port: 81
    protocol: HTTP
    allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {tenant: "yes"}}}}
  - name: https
    port: 443
    protocol: HTTPS
    tls: {certificateRefs: [{name: edge, namespace: certs}]}
    allowedRoutes: {namespaces: {from: All}}
  - name: spare
    port: 443
    protocol: HTTPS
    hostname: spare.test
    tls: {certificateRefs: [{name: spare, namespace: certs}]}
    allowedRoutes: {namespaces: {from: All}}
"""
PASSING = ("passing-0", "passing-1", "passing-2")  # namespaces that a test has come and go
CHURNED = tuple(f"churn-{number}" for number in range(5))  # routes that a test edits
HOSTS = tuple(f"{name}.test" for name in ("calm", "shared", "split", "missing", "spare", "hand", *CHURNED, *PASSING))
DOORS = ((80, False), (81, False), (443, True))  # ports, and whether there is TLS

CALM = Ask("calm.test", "/", frozenset({"apples"}))
SHARED = Ask("shared.test", "/", frozenset({"bananas"}))
SPLIT = Ask("split.test", "/", frozenset({"apples", "bananas"}))
MISSING = Ask("missing.test", "/", frozenset({"404"}))
TENANT = Ask("calm.test", "/", frozenset({"apples"}), 81)
NO_TENANT = Ask("shared.test", "/", frozenset({"404"}), 81)
SECURE = tuple(one._replace(port=443, secure=True) for one in (CALM, SHARED, SPLIT, MISSING))
ASKS = (CALM, SHARED, SPLIT, MISSING, TENANT, NO_TENANT, *SECURE)


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


def certificate_grant() -> Object:
    """Gateways of infra may show the certificates of certs."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "gateways", "namespace": "certs"},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "infra"}],
            "to": [{"group": "", "kind": "Secret"}],
        },
    }


def tls_secret(name: str, *hosts: str) -> Object:
    """A Secret of certs with a certificate that was never seen before."""
    made = certificate(*hosts, days=30 + random.random())
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "certs"},
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": base64.b64encode(made.chain).decode(),
            "tls.key": base64.b64encode(made.key).decode(),
        },
    }


def namespace(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def objects() -> list[Object]:
    """The whole world but its class and Gateway."""
    return [
        *echo("apples", replicas=2),
        *echo("bananas", replicas=2),
        namespace("apples", tenant="yes"),
        namespace("certs"),
        tls_secret("edge", *HOSTS),
        certificate_grant(),
        namespace("infra"),
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
