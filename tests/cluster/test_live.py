"""`check --kubernetes` and `explain --kubernetes` with a real API server and a gateway that serves its objects.

Both say what the gateway does, and need no other rights than those of the user.
"""

import json
from pathlib import Path
from typing import Any

import yaml
from commands import fastroute
from worlds import grant

from cluster.account import LEASE, account_kubeconfig
from cluster.api import Api
from cluster.cluster import Cluster
from cluster.echo import eventually
from cluster.gateway import CLASS, POOL, start_gateway

ADMIN = "127.0.0.1:9901"
WORLD = """
apiVersion: v1
kind: Namespace
metadata: {name: bank}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec:
  gatewayClassName: fastroute
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: missing}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: pay, namespace: shop}
spec:
  parentRefs: [{name: web}]
  rules:
  - matches: [{path: {value: /pay}}]
    backendRefs: [{name: pay, namespace: bank, port: 80, weight: 3}, {name: front, port: 80}]
  - matches: [{path: {value: /front}, headers: [{name: x-canary, value: "yes"}]}]
    backendRefs: [{name: front, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: bank}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: front, namespace: shop, labels: {kubernetes.io/service-name: front}}
addressType: IPv4
ports: [{port: 8080, name: ""}]
endpoints: [{addresses: [10.9.8.7]}]
"""
OWN = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: developer, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: developer, namespace: shop}
rules:
- apiGroups: ["", gateway.networking.k8s.io, discovery.k8s.io]
  resources: [gateways, listenersets, httproutes, grpcroutes, tlsroutes, tcproutes, udproutes, referencegrants,
    backendtlspolicies, services, endpointslices]
  verbs: [list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: developer, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: developer}
subjects: [{kind: ServiceAccount, name: developer, namespace: shop}]
"""
QUESTIONS = (
    ("GET", "http://a/pay"),
    ("GET", "http://a/pay/x?y=1", "-H", "X-Canary: no"),
    ("GET", "http://a/front"),
    ("GET", "http://a/front", "-H", "X-Canary: yes"),
    ("POST", "https://a/"),
    ("tcp://127.0.0.1:80",),
)


def said(*words: object) -> Any:
    result = fastroute(*words, "-o", "json")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return json.loads(result.stdout)


def conditions(status: Any, part: str) -> list[tuple[str, str, str, str]]:
    """Of the listeners or parents of a status."""
    kept = ("type", "status", "reason", "message")
    return [tuple(one[name] for name in kept) for entry in status[part] for one in entry["conditions"]]


def test_a_cluster_is_judged_and_explained_as_it_is_served(api: Api, cluster: Cluster) -> None:
    api.apply_text(CLASS)
    api.apply_text(WORLD)
    words = ("--address-pool", POOL, "--workers", "1", "--status-lease", LEASE)
    program = start_gateway(account_kubeconfig(cluster), cluster.folder / "fastroute.log", words)
    there = ("--kubeconfig", cluster.kubeconfig, "--address-pool", POOL)

    def agree() -> bool:
        objects = {(one["kind"], one["metadata"]["name"]): one["status"] for one in said("check", *there)["objects"]}
        return all(
            conditions(objects[kind, name], part) == conditions(api.get(kind, "shop", name)["status"], part)
            for kind, name, part in (("Gateway", "web", "listeners"), ("HTTPRoute", "pay", "parents"))
        )

    try:
        eventually(lambda: api.get("HTTPRoute", "shop", "pay").get("status", {}).get("parents"))
        eventually(agree)
        for given in (False, True):
            if given:
                api.apply_text(grant("bank", "shop", "pay"))
                eventually(lambda: said("explain", *QUESTIONS[0], "--admin", ADMIN)["backends"][0]["status"] == 503)
            for question in QUESTIONS:
                assert said("explain", *question, *there) == said("explain", *question, "--admin", ADMIN)
        eventually(agree)
    finally:
        program.end(10)


def test_a_developer_needs_only_the_rights_of_a_namespace(api: Api, cluster: Cluster, folder: Path) -> None:
    api.apply_text(CLASS)
    api.apply_text(WORLD)
    api.apply_text(OWN)
    config = yaml.safe_load(api.kubeconfig_of(api.token("shop", "developer")))
    config["contexts"][0]["context"]["namespace"] = "shop"
    file = folder / "developer.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    report = said("check", "--kubeconfig", file, "--address-pool", POOL)
    warnings = [one["message"] for one in report["warnings"] if one["reason"] == "NotRead"]
    assert any(one.startswith("GatewayClasses cannot be read, and are left out") for one in warnings)
    assert any(one.startswith("only Services of namespace shop can be read") for one in warnings)
    assert any(one.startswith("Secret shop/missing cannot be read") for one in warnings)
    assert {one["metadata"]["name"] for one in report["objects"]} == {"web", "pay"}
    told = said("explain", *QUESTIONS[3], "--kubeconfig", file)
    assert [one["endpoints"] for one in told["backends"]] == [["10.9.8.7:8080"]]
    change = folder / "change.yaml"
    change.write_text(
        WORLD.partition("---\napiVersion: v1\nkind: Service")[0].replace("path: {value: /pay}", "path: {value: /p}")
    )
    assert fastroute("check", change, "--kubeconfig", file, "--address-pool", POOL).exit_code == 1
