"""The objects of the tests: Services of two teams behind one Gateway, with routes that stay unchanged and routes that
tests edit.

host              who answers
calm.test         apples, whatever happens: route and Service in one namespace, no grant needed
shared.test       bananas, by a grant
split.test        apples and bananas, half each, by grants
missing.test      404: no route

The Gateway serves them on port 80 with HTTP, and on port 443 with HTTPS; a grant allows the certificate, which is in
another namespace. Port 81 allows routes from namespaces with the label `tenant: "yes"`: apples has it, infra does not.
HTTPS has one more listener, for spare.test, whose Secret is created and deleted by a test.
"""

import base64
import random

from certificates import Certificate, certificate

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
PASSING = ("passing-0", "passing-1", "passing-2")  # namespaces that a test creates and deletes
CHURNED = tuple(f"churn-{number}" for number in range(5))  # routes that a test edits
HOSTS = tuple(f"{name}.test" for name in ("calm", "shared", "split", "missing", "spare", "hand", *CHURNED, *PASSING))
DOORS = ((80, False), (81, False), (443, True))  # (port, whether it uses TLS)

CALM = Ask("calm.test", "/", frozenset({"apples"}))
SHARED = Ask("shared.test", "/", frozenset({"bananas"}))
SPLIT = Ask("split.test", "/", frozenset({"apples", "bananas"}))
MISSING = Ask("missing.test", "/", frozenset({"404"}))
TENANT = Ask("calm.test", "/", frozenset({"apples"}), 81)
NO_TENANT = Ask("shared.test", "/", frozenset({"404"}), 81)
SECURE = tuple(one._replace(port=443, secure=True) for one in (CALM, SHARED, SPLIT, MISSING))
ASKS = (CALM, SHARED, SPLIT, MISSING, TENANT, NO_TENANT, *SECURE)


def route(name: str, namespace: str, *backends: tuple[str, int], hostname: str = "") -> Object:
    """An HTTPRoute of the Gateway `public` with the echo Services of namespaces as backends, each with its weight."""
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
    """A ReferenceGrant: HTTPRoutes of `origin` may refer to the Services of `namespace`."""
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
    """A ReferenceGrant: Gateways of infra may refer to the Secrets of certs."""
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
    """A Secret in certs with a newly made certificate."""
    made = certificate(*hosts, days=30 + random.random())
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "certs"},
        "type": "kubernetes.io/tls",
        "data": encoded(made),
    }


def encoded(made: Certificate) -> dict[str, str]:
    """The data of a Secret with a certificate."""
    return {
        "tls.crt": base64.b64encode(made.chain).decode(),
        "tls.key": base64.b64encode(made.key).decode(),
    }


def namespace(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def policy() -> Object:
    """A BackendTLSPolicy for no Service. The ConfigMap that it names is watched."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "BackendTLSPolicy",
        "metadata": {"namespace": "certs", "name": "unused"},
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": "none"}],
            "validation": {
                "hostname": "none.test",
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "authorities"}],
            },
        },
    }


def config_map() -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "certs", "name": "authorities"}}


def objects() -> list[Object]:
    """All objects except the GatewayClass and the Gateway."""
    return [
        *echo("apples", replicas=2),
        *echo("bananas", replicas=2),
        namespace("apples", tenant="yes"),
        namespace("certs"),
        tls_secret("edge", *HOSTS),
        certificate_grant(),
        config_map(),
        policy(),
        namespace("infra"),
        grant("apples"),
        grant("bananas"),
        route("calm", "apples", ("apples", 1)),
        route("shared", "infra", ("bananas", 1)),
        route("split", "infra", ("apples", 1), ("bananas", 1)),
    ]


def plant(api: Api) -> None:
    """Creates the objects; returns when the pods are ready."""
    api.apply_text(CLASS)
    api.apply(*objects()[:-5])
    api.apply_text(GATEWAY)
    api.apply(*objects()[-5:])
    eventually(lambda: all(len(ready_addresses(api, one)) == 2 for one in ("apples", "bananas")))
