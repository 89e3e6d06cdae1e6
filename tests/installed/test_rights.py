"""Least privilege, checked with the API server's audit log: every request is allowed, and every right is used.

The API server runs without WatchList, so that the gateway sends list requests as well as watches; with WatchList,
`list` is not needed. It has ClusterTrustBundles and XTelemetryPolicies, because the rights for them are not
used otherwise.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cluster.account import rights
from cluster.echo import echo, eventually, ready_addresses
from cluster.programs import crds
from deploy.audit import USER, asked, granted, judged
from deploy.rendering import chart

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
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XTelemetryPolicy
metadata: {name: traced, namespace: rights}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]
  tracing: {mode: ImplementationDefault}
"""
TELEMETRY = "gateway.networking.x-k8s.io_xtelemetrypolicies.yaml"  # its CRD: the release of the cluster has none
ROOT = "/apis/gateway.networking.k8s.io/v1/namespaces/rights"


EVERYWHERE = ("--set=infrastructure.enabled=true",)
SOME = (*EVERYWHERE, "--set=watchNamespaces={rights,also}")
OWN = {"rights", "also", NAMESPACE}  # the namespaces in which there is a Role with SOME
IN_NO_NAMESPACE = {"namespaces", "gatewayclasses", "clustertrustbundles", "customresourcedefinitions"}


@contextmanager
def installed(release: Release, *values: str) -> Iterator[int]:
    """Yields the size of the audit log before."""
    log = audit_log(release.cluster.folder)
    size = log.stat().st_size if log.exists() else 0
    release.api.apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": one}} for one in OWN))
    release.api.apply_text((crds("v1.7.0") / "experimental" / TELEMETRY).read_text())
    release.install(*values)
    with balancer(release):
        release.api.apply(*echo("rights"))
        eventually(lambda: len(ready_addresses(release.api, "rights")) == 1)
        release.api.apply_text(WORLD)
        yield size
    release.run("helm", "uninstall", "fastroute", f"--namespace={NAMESPACE}", "--wait")
    release.kubectl("delete", "namespace", "rights", "also", "--wait=true")
    release.kubectl("delete", "lease", "fastroute", f"--namespace={NAMESPACE}")  # to create one is a right, too


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
    traced = f"{ROOT.replace('k8s.io/v1', 'x-k8s.io/v1alpha1')}/xtelemetrypolicies/traced"
    eventually(lambda: release.api.request("GET", traced).get("status"))
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


def logged(release: Release, size: int) -> list[str]:
    """The lines of the audit log after its first `size` bytes."""
    with audit_log(release.cluster.folder).open("rb") as log:
        log.seek(size)
        return log.read().decode().splitlines()


@pytest.mark.timeout(400)
def test_nothing_is_refused_and_no_right_is_never_used(release: Release) -> None:
    given = granted(rights(infrastructure=True))
    with installed(release, *EVERYWHERE) as size:
        live(release)
        eventually(lambda: judged(asked(logged(release, size)), given).unused == frozenset(), 60)
        assert judged(asked(logged(release, size)), given).refused == frozenset()


@pytest.mark.timeout(400)
def test_with_some_namespaces_nothing_is_refused_and_nothing_is_asked_for_elsewhere(release: Release) -> None:
    given = granted(chart(*SOME).values())
    with installed(release, *SOME) as size:
        eventually(lambda: release.api.get("HTTPRoute", "rights", "echo").get("status"))
        refs = [{"name": "echo", "namespace": "elsewhere", "port": 8080}]
        release.api.patch("HTTPRoute", "rights", "echo", {"spec": {"rules": [{"backendRefs": refs}]}})
        eventually(lambda: resolves(release) == "RefNotPermitted")
        [parent] = release.api.get("HTTPRoute", "rights", "echo")["status"]["parents"]
        [said] = [one["message"] for one in parent["conditions"] if one["type"] == "ResolvedRefs"]
        assert "namespace elsewhere is not read (--watch-namespace)" in said
        live(release)
        eventually(lambda: judged(asked(logged(release, size)), given).unused == frozenset(), 60)
        requests = [json.loads(line) for line in logged(release, size)]
    assert judged(asked(map(json.dumps, requests)), given).refused == frozenset()
    objects = [one["objectRef"] for one in requests if one["user"]["username"] == USER and "objectRef" in one]
    assert {one["namespace"] for one in objects if "namespace" in one and one["resource"] != "namespaces"} == OWN
    assert {one["resource"] for one in objects if "namespace" not in one} <= IN_NO_NAMESPACE
    names = {one.get("name") for one in objects if one["resource"] == "namespaces"}
    assert names == {"rights", "also"}
