"""Decoding the JSON of an API server into typed objects."""

import msgspec
import pytest

from fastroute.apiserver.kinds import BY_KIND
from fastroute.apiserver.objects import MOST_POINTS, named, typed
from fastroute.graph.certificate import judge
from fastroute.resources.core import MOST_CHARACTERS, Secret
from fastroute.resources.web_origins import ANNOTATION


def test_a_slice_without_endpoints_has_null_where_lists_are():
    """As the API server writes it for a Service without pods: a valid object."""
    content = msgspec.json.encode(
        {
            "metadata": {"name": "echo-1", "namespace": "apples", "labels": {"kubernetes.io/service-name": "echo"}},
            "addressType": "IPv4",
            "endpoints": None,
            "ports": None,
        }
    )
    piece = typed(BY_KIND["EndpointSlice"], "v1", msgspec.Raw(content))
    assert not piece.endpoints
    assert not piece.ports


def test_of_a_gateways_status_the_addresses_are_read_and_nothing_else():
    addresses = [{"type": "IPAddress", "value": "127.1.0.3"}]
    status = {"addresses": addresses, "conditions": [], "listeners": []}
    spec = {"gatewayClassName": "c", "listeners": []}
    content = msgspec.json.encode({"metadata": {"name": "g", "namespace": "n"}, "spec": spec, "status": status})
    assert typed(BY_KIND["Gateway"], "v1", msgspec.Raw(content)).status == {"addresses": addresses}


@pytest.mark.parametrize(("kind", "kept"), [("GRPCRoute", True), ("HTTPRoute", False), ("ReferenceGrant", False)])
def test_the_annotation_with_origins_is_kept_only_of_routes_of_grpc(kind: str, kept: bool):
    """It may be long, and no other kind uses it."""
    metadata = {"name": "r", "namespace": "n", "annotations": {"other": "x", ANNOTATION: "https://a.test"}}
    content = msgspec.Raw(msgspec.json.encode({"metadata": metadata, "spec": {"from": [], "to": []}}))
    assert typed(BY_KIND[kind], "v1", content).metadata.annotations == ({ANNOTATION: "https://a.test"} if kept else {})
    assert named(BY_KIND[kind], content).held.web_origins == ("https://a.test" if kept else None)


def test_of_a_services_status_some_addresses_are_read_and_nothing_else():
    def read(balancer: object) -> dict:
        content = {"metadata": {"name": "s"}, "status": {"loadBalancer": balancer, "conditions": [{}]}}
        return typed(BY_KIND["Service"], "v1", msgspec.Raw(msgspec.json.encode(content))).status

    point = {"ip": "127.0.0.3", "hostname": "a.test"}
    assert read({"ingress": [{**point, "ports": [{}], "ipMode": "VIP"}]}) == {"loadBalancer": {"ingress": [point]}}
    assert len(read({"ingress": [point] * 5_000})["loadBalancer"]["ingress"]) == MOST_POINTS
    for balancer in ({}, None, {"ingress": None}, {"ingress": [7]}, []):
        assert read(balancer) == {}


def test_of_a_secret_the_certificate_and_the_key_are_kept_and_nothing_else():
    def read(**data: str) -> Secret:
        content = {"metadata": {"name": "s", "namespace": "n"}, "type": "kubernetes.io/tls", "data": data}
        secret = typed(BY_KIND["Secret"], "v1", msgspec.Raw(msgspec.json.encode({**content, "omission": "x"})))
        assert isinstance(secret, Secret)
        return secret

    parts = {"tls.crt": "AAAA", "tls.key": "BBBB"}
    secret = read(**parts, other="C" * 1_000_000)
    assert (secret.data, secret.omission) == (parts, "")
    for name in parts:
        assert read(**{**parts, name: "A" * MOST_CHARACTERS}).omission == ""
        secret = read(**{**parts, name: "A" * (MOST_CHARACTERS + 4)})
        assert secret.data == {}
        assert judge(secret).mistake == f"has 262,148 characters of base64 in {name} (maximum 262,144)"
