"""An EndpointSlice with the metadata address of a cloud, which the API server accepts: no request goes there."""

from typing import Any

import pytest

from cluster.account import LEASE, account_kubeconfig
from cluster.api import Api
from cluster.cluster import Cluster
from cluster.echo import eventually
from cluster.gateway import CLASS, POOL, start_gateway

WORLD = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: default}
spec:
  gatewayClassName: fastroute
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: credentials, namespace: default}
spec:
  parentRefs: [{name: public}]
  rules: [{backendRefs: [{name: credentials, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: credentials, namespace: default}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: credentials, namespace: default, labels: {kubernetes.io/service-name: credentials}}
addressType: IPv6
ports: [{port: 80, name: ""}]
endpoints: [{addresses: ["fd00:ec2::254"]}]
"""


def resolved(api: Api) -> dict[str, Any]:
    """The condition ResolvedRefs of the route; without a status it is empty."""
    parents = api.get("HTTPRoute", "default", "credentials").get("status", {}).get("parents", [])
    conditions = [one for parent in parents for one in parent["conditions"] if one["type"] == "ResolvedRefs"]
    return conditions[0] if conditions else {}


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [((), "False", "EndpointRefused"), (("--allow-local-endpoints",), "True", "ResolvedRefs")],
)
def test_a_metadata_address(api: Api, cluster: Cluster, options: tuple[str, ...], status: str, reason: str) -> None:
    api.apply_text(CLASS)
    api.apply_text(WORLD)
    words = ("--address-pool", POOL, "--workers", "1", "--status-lease", LEASE, *options)
    program = start_gateway(account_kubeconfig(cluster), cluster.folder / "fastroute.log", words)
    try:
        eventually(lambda: resolved(api).get("status") == status)
        found = resolved(api)
        assert found["reason"] == reason
        assert ("[fd00:ec2::254]:80 (a metadata address)" in found["message"]) is (status == "False")
    finally:
        program.end(10)
