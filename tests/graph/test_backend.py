"""backendRefs and endpoints: the order of checks, and which endpoints are ready for requests."""

from typing import Any

import pytest
from graph.world import endpoint_slice, gateway, grant, ref, route, service, world

from fastroute.ext.routing.tables import Upstreams
from fastroute.graph.build import build_graph
from fastroute.graph.endpoint import eligible, index_slices, move_slices, offers_of, piece_of
from fastroute.graph.node import BackendRefNode
from fastroute.graph.protocol import NAMES
from fastroute.resources.core import EndpointSlice, Service
from fastroute.resources.grpcroute import GRPCRoute
from fastroute.resources.meta import Key, Resource
from fastroute.settings import GraphSettings
from fastroute.snapshot import Endpoint


def resolved(written: Any, *others: Resource, **more: Any) -> BackendRefNode:
    one = route("r", "infra", written, **more)
    kind = "GRPCRoute" if isinstance(one, GRPCRoute) else "HTTPRoute"
    graph = build_graph(world(gateway(), one, *others), GraphSettings())
    node = graph.routes[kind, one.key].rules[0].backend_refs[0]
    assert (node.id in graph.backends) is node.resolved
    return node


ECHO = service("echo", "red")
H2C = service("echo", "red", {"port": 80, "appProtocol": "kubernetes.io/h2c"})
TLS = service("echo", "red", {"port": 80, "appProtocol": "tls"})


@pytest.mark.parametrize(
    ("written", "others", "reason", "field"),
    [
        (ref("echo", "red"), [ECHO, grant("g", "red", "infra")], None, None),
        (ref("echo", "red"), [ECHO], "RefNotPermitted", ""),
        (ref("echo", "red"), [], "RefNotPermitted", ""),
        (ref("echo", "red", port=81), [ECHO], "RefNotPermitted", ""),
        (ref("echo", "red", kind="Bucket", group="x.io"), [], "InvalidKind", ".kind"),
        (ref("echo", "red", group="core"), [ECHO, grant("g", "red", "infra")], "InvalidKind", ".kind"),
        (ref("echo", "red"), [grant("g", "red", "infra")], "BackendNotFound", ".name"),
        (ref("echo", "red", port=81), [ECHO, grant("g", "red", "infra")], "BackendNotFound", ".port"),
        (ref("echo", "red", port=None), [ECHO, grant("g", "red", "infra")], "BackendNotFound", ".port"),
        (ref("echo", "red"), [TLS, grant("g", "red", "infra")], "UnsupportedProtocol", ".port"),
        (
            ref("echo", "red"),
            [service("echo", "red", {"port": 80, "protocol": "UDP"}), grant("g", "red", "infra")],
            "UnsupportedProtocol",
            ".port",
        ),
        (
            ref("echo", "red"),
            [service("echo", "red", type="ExternalName"), grant("g", "red", "infra")],
            "BackendNotFound",
            ".name",
        ),
        (ref("echo"), [service("echo", "infra")], None, None),
        (
            ref("echo", "infra"),
            [service("echo", "infra", {"port": 80, "appProtocol": "HTTPS"})],
            "UnsupportedProtocol",
            ".port",
        ),
    ],
)
def test_decisions_in_their_order(written: Any, others: list[Resource], reason: str | None, field: str | None) -> None:
    node = resolved(written, *others)
    assert (node.problem.reason if node.problem else None) == reason
    assert (node.problem.field if node.problem else None) == (
        None if field is None else f"spec.rules[0].backendRefs[0]{field}"
    )


def test_a_refusal_never_says_whether_the_target_exists() -> None:
    without, with_ = resolved(ref("echo", "red")), resolved(ref("echo", "red"), ECHO)
    assert without == with_
    assert without.problem is not None


def test_a_grpc_route_may_speak_h2c_and_needs_its_own_grant() -> None:
    own, foreign = grant("g", "red", "infra", from_kind="GRPCRoute"), grant("g", "red", "infra")
    assert resolved(ref("echo", "red"), H2C, own, type_=GRPCRoute).resolved
    refused = resolved(ref("echo", "red"), H2C, foreign, type_=GRPCRoute).problem
    assert refused is not None
    assert refused.reason == "RefNotPermitted"


def speaking(name: str | None) -> Service:
    return service("echo", "infra", {"port": 80, "appProtocol": name})


PLAIN = (None, "", "http", "HTTP", "http/1.1", "ws", "kubernetes.io/ws", "Kubernetes.io/WS")
UNKNOWN = ("example.com/custom", "kubernetes.io/unheard-of")  # names in a custom domain
CLEARTEXT_HTTP2 = ("h2c", "H2C", "grpc", "http2", "kubernetes.io/h2c")
SECURE = ("https", "HTTPS", "tls", "h2", "wss", "kubernetes.io/wss", "KUBERNETES.IO/WSS")
FOREIGN = ("mysql", "redis", "tcp", "smtp", "htps")
MIRRORED = [{"type": "RequestMirror", "requestMirror": {"backendRef": ref("echo")}}]


@pytest.mark.parametrize("name", [*PLAIN, *UNKNOWN, *CLEARTEXT_HTTP2])
def test_what_is_http_without_tls_is_forwarded(name: str | None) -> None:
    assert resolved(ref("echo"), speaking(name)).resolved


@pytest.mark.parametrize("name", [*SECURE, *FOREIGN])
def test_no_other_protocol_is_spoken_in_its_place(name: str) -> None:
    problem = resolved(ref("echo"), speaking(name)).problem
    assert problem is not None
    assert (problem.reason, problem.field) == ("UnsupportedProtocol", "spec.rules[0].backendRefs[0].port")
    assert name in problem.message


@pytest.mark.parametrize("name", [*SECURE, *FOREIGN])
def test_nor_to_mirrors(name: str) -> None:
    mirrored = route("r", "infra", rules=[{"filters": MIRRORED}])
    graph = build_graph(world(gateway(), mirrored, speaking(name)), GraphSettings())
    (mirror,) = graph.routes["HTTPRoute", mirrored.key].rules[0].mirrors
    assert mirror.problem is not None
    assert mirror.problem.reason == "UnsupportedProtocol"
    assert graph.backends == {}


def test_grpc_routes_speak_http_2_and_no_tls() -> None:
    reasons = {}
    for name in (*PLAIN, *UNKNOWN, *CLEARTEXT_HTTP2, *SECURE, *FOREIGN):
        problem = resolved(ref("echo"), speaking(name), type_=GRPCRoute).problem
        reasons[name] = problem.reason if problem else None
    assert [name for name, reason in reasons.items() if reason == "UnsupportedProtocol"] == [*SECURE, *FOREIGN]


def test_every_name_of_the_table_is_in_lower_case() -> None:
    assert [name for name in NAMES if name != name.lower()] == []


def test_one_number_for_tcp_and_udp_is_the_tcp_port() -> None:
    both = service("dns", "infra", {"port": 80, "protocol": "UDP"}, {"port": 80, "name": "web"})
    assert resolved(ref("dns"), both).resolved


# --- Endpoints


def selected(*slices: EndpointSlice) -> tuple[Endpoint, ...]:
    return eligible(offers_of(map(piece_of, slices)).get(("http", "TCP"), ()))


def conditions(address: str, **values: bool | None) -> dict[str, Any]:
    return {"addresses": [address], "conditions": values}


def named(*endpoints: Any, **more: Any) -> EndpointSlice:
    return endpoint_slice("s", "red", "echo", *endpoints, ports=[{"name": "http", "port": 8080}], **more)


DRAINING = {"ready": False, "serving": True, "terminating": True}


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ([], []),
        ([named()], []),
        ([named("10.0.0.2", "10.0.0.1")], ["10.0.0.1:8080", "10.0.0.2:8080"]),
        ([named("10.0.0.1"), named("10.0.0.1", "10.0.0.2")], ["10.0.0.1:8080", "10.0.0.2:8080"]),
        ([named(conditions("10.0.0.1", ready=None)), named(conditions("10.0.0.2", ready=False))], ["10.0.0.1:8080"]),
        ([named(conditions("10.0.0.1", ready=True), conditions("10.0.0.2", **DRAINING))], ["10.0.0.1:8080"]),
        ([named(conditions("10.0.0.1", ready=False), conditions("10.0.0.2", **DRAINING))], ["10.0.0.2:8080"]),
        ([named(conditions("10.0.0.1", ready=False, serving=True, terminating=False))], []),
        ([named(conditions("10.0.0.1", ready=False, terminating=True))], []),
        ([named("fd00::1", addressType="IPv6")], ["fd00::1:8080"]),
        ([named("echo.example.com", addressType="FQDN")], []),
        ([endpoint_slice("s", "red", "echo", "10.0.0.1", ports=[{"name": "admin", "port": 9090}])], []),
        ([endpoint_slice("s", "red", "echo", "10.0.0.1", ports=[{"name": "http", "port": 1, "protocol": "UDP"}])], []),
        ([endpoint_slice("s", "red", "echo", "10.0.0.1", ports=[{"name": "http"}])], []),
        ([named({"addresses": ["10.0.0.2", "10.0.0.1"]})], ["10.0.0.2:8080"]),
        ([named({"addresses": ["", "10.0.0.1"]}, {"addresses": []})], []),
        ([named("010.0.000.01", "10.0.0.1")], ["10.0.0.1:8080"]),
        (
            [named("::ffff:010.0.0.01", "fd00:0db8::001", addressType="IPv6")],
            ["::ffff:10.0.0.1:8080", "fd00:0db8::001:8080"],
        ),
        ([named("10.0.0.256", "", "x", "fe80::1%eth0", "10.0.0.1")], ["10.0.0.1:8080"]),
        *(
            ([endpoint_slice("s", "red", "echo", "10.0.0.1", ports=[{"name": "http", "port": number}])], [])
            for number in (-1, 0, 65_536, 2**31 - 1)
        ),
    ],
)
def test_eligible(slices: list[EndpointSlice], expected: list[str]) -> None:
    assert [f"{e.address}:{e.port}" for e in selected(*slices)] == expected


@pytest.mark.parametrize(
    "address", ["010.0.0.01", "::ffff:010.0.0.1", "2001:0db8::01", "0.0.0.0", "1.2.3", "fe80::1%1", ""]
)
def test_what_is_eligible_is_an_endpoint_for_the_workers(address: str) -> None:
    for port in (-1, 0, 1, 65_535, 65_536):
        piece = endpoint_slice("s", "red", "echo", address, ports=[{"name": "http", "port": port}])
        Upstreams().update("red/echo:80", [(each.address, each.port) for each in selected(piece)])


def test_slices_that_move_are_indexed_as_from_nothing() -> None:
    before = world(
        endpoint_slice("a", "red", "echo", "10.0.0.1"),
        endpoint_slice("b", "red", "echo", "10.0.0.2"),
        endpoint_slice("c", "red", None, "10.0.0.3"),
    ).endpoint_slices
    after = world(
        endpoint_slice("a", "red", "other", "10.0.0.1"),
        endpoint_slice("c", "red", "echo", "10.0.0.3"),
        endpoint_slice("d", "blue", "echo", "10.0.0.4"),
    ).endpoint_slices
    touched = [Key("red", "a"), Key("red", "b"), Key("red", "c"), Key("blue", "d")]
    moved = move_slices(index_slices(before), before, after, touched)
    assert moved == index_slices(after)
    assert set(moved) == {Key("red", "other"), Key("red", "echo"), Key("blue", "echo")}


def test_a_message_about_a_wrong_port_names_few_ports() -> None:
    many = service("many", "infra", *range(10_000, 30_000))
    node = resolved(ref("many", port=1), many)
    assert node.problem is not None
    assert node.problem.message.startswith("Service infra/many: it has no port 1; its ports are 10000, 10001, ")
    assert node.problem.message.endswith(", 10015 and 19984 more.")


def test_equal_messages_about_references_are_one_string() -> None:
    refs = [ref("many", port=1), ref("echo", "red"), ref("absent"), ref("tls")]
    objects = service("many", "infra", 80), service("tls", "infra", {"port": 80, "appProtocol": "tls"})
    routes = [route(name, "infra", *refs, *refs) for name in ("a", "b")]
    graph = build_graph(world(gateway(), *objects, *routes), GraphSettings())
    found = [problem for one in graph.routes.values() for problem in one.problems]
    assert len(found) == 4 * len(refs)
    assert len({id(problem.message) for problem in found}) == len(refs)


def test_a_port_with_two_protocols_is_found_by_its_number() -> None:
    ports = ({"port": 53, "protocol": "UDP", "name": "u"}, {"port": 53, "name": "t"}, {"port": 54, "protocol": "UDP"})
    spec = service("dns", "infra", *ports).spec
    assert {number: ports[0].protocol for number, ports in spec.by_number.items()} == {53: "TCP", 54: "UDP"}
    assert spec.by_number is spec.by_number
    assert spec == service("dns", "infra", *ports).spec
