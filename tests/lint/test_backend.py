"""Endpoints objects, which the gateway does not read, in place of the EndpointSlices that a route needs."""

from typing import Any

import pytest
from graph.world import endpoint_slice, gateway, make, ref, route, service
from resources.manifests import ENDPOINTS

from fastroute.graph import ration
from fastroute.resources.decode import decode
from fastroute.resources.endpoints import Endpoints

from .judged import fields, found

USED = (gateway(), route("r", "red", ref("s")), service("s", "red"))
SUBSETS = [
    {"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "ports": [{"port": 8080}]},
    {"notReadyAddresses": [{"ip": "10.0.0.2"}], "ports": [{"port": 8080, "name": "web"}]},
]


def endpoints(name: str = "s", namespace: str = "red", subsets: Any = SUBSETS) -> Endpoints:
    return make(Endpoints, namespace, name, subsets=subsets)  # type: ignore[no-any-return]


def test_endpoints_of_a_service_that_a_route_uses() -> None:
    assert fields("EndpointsNotRead", *USED, endpoints()) == [("red/s", "subsets")]
    assert fields("NoEndpoints", *USED, endpoints()) == [("red/s", "spec.ports")]


@pytest.mark.parametrize(
    "others",
    [
        [endpoints("other")],
        [endpoints(namespace="blue")],
        [endpoints(), endpoint_slice("e", "red", "s", "10.0.0.1")],
    ],
)
def test_endpoints_that_no_route_needs(others: list[Any]) -> None:
    assert fields("EndpointsNotRead", *USED, *others) == []


def test_the_fix_is_the_slices_that_are_missing() -> None:
    [warning] = found("EndpointsNotRead", *USED, endpoints())
    parts = (warning.fix or "").split("---\n")
    slices = [entry.resource for part in parts for entry in decode(part, "fix.yaml")]
    assert [(each.key.name, each.address_type) for each in slices] == [
        ("s-1", "IPv4"),
        ("s-1-ipv6", "IPv6"),
        ("s-2", "IPv4"),
    ]
    assert fields("EndpointsNotRead", *USED, endpoints(), *slices) == []
    assert fields("NoEndpoints", *USED, endpoints(), *slices) == []
    assert slices[2].endpoints[0].conditions.ready is False
    assert slices[2].ports[0].name == "web"


@pytest.mark.parametrize("subsets", [[], [{"addresses": [{"ip": "nothing"}]}]])
def test_no_fix_where_there_is_no_address(subsets: Any) -> None:
    [warning] = found("EndpointsNotRead", *USED, endpoints(subsets=subsets))
    assert warning.fix is None


def test_endpoints_are_judged_as_the_api_server_judges_them() -> None:
    [entry] = decode(ENDPOINTS.replace("- ip: 10.0.0.1", "- hostname: a"), "x.yaml")
    assert [problem.field for problem in entry.problems] == ["subsets[0].addresses[0].ip"]


def test_an_endpoint_that_is_refused_in_a_cluster() -> None:
    pieces = endpoint_slice("e", "red", "s", "169.254.169.254", "127.0.0.1", "10.0.0.1", "169.254.0.7")
    [warning] = found("LocalEndpoint", *USED, pieces)
    named = "169.254.0.7:8080 (a link-local address), 169.254.169.254:8080 (a metadata address)."
    assert (str(warning.key), warning.message.partition(": ")[2]) == ("red/s", named)
    assert found("LocalEndpoint", *USED, endpoint_slice("e", "red", "s", "10.0.0.1")) == []


def test_a_filter_of_the_field_that_detects_loops() -> None:
    def route_with(name: str) -> Any:
        filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": [name]}}]
        return route("r", "red", rules=[{"backendRefs": [ref("s")], "filters": filters}])

    assert fields("LoopFieldKept", gateway(), route_with("fastroute-LOOP")) == [("red/r", "spec.rules[0].filters[0]")]
    assert fields("LoopFieldKept", gateway(), route_with("Fastroute_Loop")) == [("red/r", "spec.rules[0].filters[0]")]
    assert fields("LoopFieldKept", gateway(), route_with("Via")) == []


def test_addresses_that_are_not_used() -> None:
    two = {"addresses": ["10.0.0.1", "10.0.0.2"]}
    [warning] = found("AddressesNotUsed", *USED, endpoint_slice("e", "red", "s", "10.0.0.3", two, two))
    assert (warning.field, warning.message[:21]) == ("endpoints[1].addresses", "2 endpoints have seve")
    assert found("AddressesNotUsed", *USED, endpoint_slice("e", "red", "s", "10.0.0.3")) == []
    assert found("AddressesNotUsed", *USED, endpoint_slice("e", "red", "other", two)) == []


def test_endpoints_above_the_limit_are_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status of the route reports them."""
    monkeypatch.setattr(ration, "MOST_OF_NAMESPACE", 0)
    assert found("NoEndpoints", *USED, endpoint_slice("e", "red", "s", "10.0.0.1")) == []
    [warning] = found("NoEndpoints", *USED)
    assert warning.key.name == "s"
