"""Least privilege, checked with the API server's audit log: every request is allowed, and every right is used.

The API server runs without WatchList, so that the gateway sends list requests as well as watches; with WatchList,
`list` is not needed. It has ClusterTrustBundles, because the right to read them is not used otherwise.
"""

import pytest
from cluster.account import rights
from cluster.echo import echo, eventually, ready_addresses
from deploy.audit import asked, granted, judged

from fastroute.resources.route_kinds import ROUTES
from installed.release import NAMESPACE, Release, audit_log, balancer

WORLD = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: rights}
spec:
  gatewayClassName: fastroute
  infrastructure: {labels: {team: one}}
  allowedListeners: {namespaces: {from: All}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more, namespace: rights}
spec:
  parentRef: {name: edge}
  listeners: [{name: other, port: 80, protocol: HTTP, hostname: other.example.com}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: echo, namespace: rights}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: echo, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: echo, namespace: rights}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: echo, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: echo, namespace: rights}
spec:
  parentRefs: [{name: edge}]
  hostnames: [echo.example.com]
  rules: [{backendRefs: [{name: echo, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: echo, namespace: rights}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: echo, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: echo, namespace: rights}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: echo, port: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: secured, namespace: rights}
spec: {ports: [{port: 443}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: secured, namespace: rights}
spec:
  parentRefs: [{name: edge}]
  hostnames: [secured.example.com]
  rules: [{backendRefs: [{name: secured, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: secured, namespace: rights}
spec:
  targetRefs: [{group: "", kind: Service, name: secured}]
  validation: {hostname: secured, caCertificateRefs: [
    {group: "", kind: ConfigMap, name: ca}, {group: certificates.k8s.io, kind: ClusterTrustBundle, name: ca}]}
"""
ROOT = "/apis/gateway.networking.k8s.io/v1/namespaces/rights"


@pytest.fixture
def installed(release: Release):
    release.install("--set=infrastructure.enabled=true")
    with balancer(release):
        release.api.apply(*echo("rights"))
        eventually(lambda: len(ready_addresses(release.api, "rights")) == 1)
        release.api.apply_text(WORLD)
        yield
    release.kubectl("delete", "namespace", "rights", "--wait=false")
    release.run("helm", "uninstall", "fastroute", f"--namespace={NAMESPACE}", "--wait")


def services(release: Release) -> dict[str, dict]:
    """The labels of the Services of Gateways, by name."""
    found = release.api.list("Service", "rights")
    return {
        one["metadata"]["name"]: one["metadata"]["labels"] for one in found if one["metadata"].get("ownerReferences")
    }


def resolves(release: Release) -> str:
    """The reason of the route's ResolvedRefs condition, once it is for the current generation."""
    route = release.api.get("HTTPRoute", "rights", "echo")
    [parent] = route["status"]["parents"]
    [found] = [one for one in parent["conditions"] if one["type"] == "ResolvedRefs"]
    return found["reason"] if found["observedGeneration"] == route["metadata"]["generation"] else ""


def live(release: Release) -> None:
    """Exercises every right: objects are created, changed, refused, refused again, and deleted."""
    routes = (kind.plural for kind in ROUTES.values())
    for kind in ("gateways", "listenersets", *routes, "backendtlspolicies"):
        name = {"gateways": "edge", "listenersets": "more", "backendtlspolicies": "secured"}.get(kind, "echo")
        eventually(lambda where=f"{ROOT}/{kind}/{name}": release.api.request("GET", where).get("status"))
    eventually(lambda: len(services(release)) == 1)
    labels = {"spec": {"infrastructure": {"labels": {"team": "two"}}}}
    release.api.patch("Gateway", "rights", "edge", labels)
    eventually(lambda: [one["team"] for one in services(release).values()] == ["two"])
    for name, reason in (("missing", "BackendNotFound"), ("echo", "ResolvedRefs")) * 2:  # repeated: an Event series
        rules = [{"backendRefs": [{"name": name, "port": 8080}]}]
        release.api.patch("HTTPRoute", "rights", "echo", {"spec": {"rules": rules}})
        eventually(lambda wanted=reason: resolves(release) == wanted)
    release.api.patch("Gateway", "rights", "edge", {"spec": {"gatewayClassName": "of-somebody-else"}})
    eventually(lambda: not services(release))


@pytest.mark.timeout(400)
def test_nothing_is_refused_and_no_right_is_never_used(release: Release, installed) -> None:
    live(release)
    given = granted(rights(infrastructure=True))

    def verdict():
        with audit_log(release.cluster.folder).open() as lines:
            return judged(asked(lines), given)

    eventually(lambda: verdict().unused == frozenset(), 60)
    assert verdict().refused == frozenset()
