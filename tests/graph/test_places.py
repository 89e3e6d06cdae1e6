"""TCP and UDP on one port: two places in the graph and the snapshot."""

from typing import Any

import pytest
from graph.test_distinct import EDIT, OPEN, edited
from graph.test_distinct import SETTINGS as TWO_PORTS
from graph.test_family import CLASS, SHARED
from graph.test_ports import limited, old_gateway, served
from graph.world import gateway, listener, listener_set, service, world
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.compiler.compile import compile_snapshot
from fastroute.graph.backend_ref import Referrer, resolve_backend_ref
from fastroute.graph.build import build_graph
from fastroute.graph.dependency import CONCERNS, POLICIES, SERVICES, Reader
from fastroute.graph.forbidden import find_forbidden
from fastroute.graph.mode import mode_of
from fastroute.graph.node import Graph
from fastroute.graph.protocol import Protocol
from fastroute.graph.reach import reach
from fastroute.place import Place, Transport
from fastroute.resources.gateway import Listener, ListenerTLSConfig
from fastroute.resources.http_rule import HTTPBackendRef
from fastroute.resources.meta import Key
from fastroute.snapshot import Listener as SnapshotListener
from fastroute.snapshot import ListenerTLS, Mode

TCP, UDP = Transport.TCP, Transport.UDP


def problems(graph: Graph) -> list[str]:
    return [one.reason for node in graph.holders for each in node.listeners for one in each.problems]


def dns(name: str, day: int, protocol: str) -> Any:
    return gateway(name, "infra", listener("dns", 53, protocol), meta={"uid": name, **born(day)})


def born(day: int) -> dict[str, str]:
    return {"creationTimestamp": f"2026-01-0{day}T00:00:00Z"}


def test_two_gateways_may_have_one_port_with_different_transports() -> None:
    graph = build_graph(world(CLASS, dns("tcp", 1, "HTTP"), dns("udp", 2, "UDP"), dns("late", 3, "UDP")), SHARED)
    assert problems(graph) == ["PortUnavailable"]
    [problem] = graph.gateways[Key("infra", "late")].listeners[0].problems
    assert "is used by Gateway infra/udp" in problem.message
    found = compile_snapshot(graph, 8000).snapshot.listeners.values()
    assert sorted((one.place, one.mode) for one in found) == [
        (Place(transport, address, 8053), mode)
        for transport, mode in ((TCP, Mode.HTTP), (UDP, Mode.DATAGRAMS))
        for address in SHARED.addressing.bind
    ]


def test_listeners_of_one_gateway_and_of_its_sets_conflict_only_with_their_transport() -> None:
    spec = {"allowedListeners": {"namespaces": {"from": "All"}}}
    pair = listener("web", 53), listener("dns", 53, "UDP")
    graph = build_graph(world(CLASS, gateway("g", "infra", *pair, spec=spec)), SHARED)
    assert problems(graph) == []
    own = gateway("g", "infra", listener("web", 53), spec=spec)
    graph = build_graph(world(CLASS, own, listener_set("s", "infra", listener("dns", 53, "UDP"), parent="g")), SHARED)
    assert problems(graph) == []


def test_both_count_for_the_limit_of_ports() -> None:
    both = gateway("g", "infra", listener("web", 53), listener("dns", 53, "UDP"), meta={"uid": "g", **born(1)})
    resources = world(CLASS, both, old_gateway("young", 5, 90))
    assert served(build_graph(resources, limited(3))) == {("g", 53), ("young", 90)}
    graph = build_graph(resources, limited(2))
    assert served(graph) == {("g", 53)}
    assert [one.serves for one in graph.gateways[Key("infra", "g")].listeners] == [True, True]
    graph = build_graph(resources, limited(1))
    assert [one.serves for one in graph.gateways[Key("infra", "g")].listeners] == [True, False]


def test_an_endpoint_is_the_gateway_itself_only_with_its_transport() -> None:
    graph = build_graph(world(CLASS, dns("udp", 1, "UDP")), SHARED)
    address = SHARED.addressing.bind[0]
    forbidden = find_forbidden(graph.gateways, graph.holders, SHARED)
    assert forbidden.why(reach(address), UDP, 53) == "this gateway itself"
    assert forbidden.why(reach(address), TCP, 53) is None


@given(edits=st.lists(EDIT, min_size=3, max_size=12))
@settings(deadline=None)
def test_a_snapshot_with_udp_is_the_one_of_a_graph_from_nothing(edits: list[Any]) -> None:
    resources = world(CLASS, gateway("gw", "infra", spec=OPEN))
    graph = build_graph(resources, TWO_PORTS)
    compiled = compile_snapshot(graph)
    for edit in edits:
        resources = edited(resources, edit)
        graph = build_graph(resources, TWO_PORTS, graph)
        compiled = compile_snapshot(graph, previous=compiled)
        assert compiled.snapshot == compile_snapshot(build_graph(resources, TWO_PORTS)).snapshot
        assert len({one.place[::2] for one in compiled.snapshot.listeners.values()}) <= 2


@pytest.mark.parametrize(
    ("protocol", "tls", "mode", "transport"),
    [
        ("HTTP", None, Mode.HTTP, TCP),
        ("HTTPS", ListenerTLSConfig(), Mode.TERMINATE, TCP),
        ("TLS", ListenerTLSConfig(), Mode.TERMINATE, TCP),
        ("TLS", ListenerTLSConfig(mode="Passthrough"), Mode.PASSTHROUGH, TCP),
        ("TCP", None, Mode.RAW, TCP),
        ("UDP", None, Mode.DATAGRAMS, UDP),
    ],
)
def test_the_protocol_and_the_tls_of_a_listener_determine_its_mode(
    protocol: str, tls: ListenerTLSConfig | None, mode: Mode, transport: Transport
) -> None:
    found = mode_of(Listener(name="l", port=53, protocol=protocol, tls=tls))
    assert (found, found.transport) == (mode, transport)


@pytest.mark.parametrize(
    ("mode", "tls", "scheme"),
    [
        (Mode.HTTP, None, "http"),
        (Mode.TERMINATE, ListenerTLS(certificates=()), "https"),
        (Mode.TERMINATE, ListenerTLS(certificates=(), protocol="raw"), "tls"),
        (Mode.PASSTHROUGH, None, "tls"),
        (Mode.RAW, None, "tcp"),
        (Mode.DATAGRAMS, None, "udp"),
    ],
)
def test_the_scheme_of_a_listener(mode: Mode, tls: ListenerTLS | None, scheme: str) -> None:
    place = Place(mode.transport, "127.0.0.1", 53)
    one = SnapshotListener(id="", gateway="", name="", place=place, spec_port=53, hostname="", mode=mode, tls=tls)
    assert one.scheme == scheme


# --- backendRefs

BOTH = service("dns", "infra", {"port": 53, "name": "t"}, {"port": 53, "name": "u", "protocol": "UDP"}, {"port": 54})


@pytest.mark.parametrize(
    ("transport", "port", "id_", "reason"),
    [
        (TCP, 53, "infra/dns:53", None),
        (UDP, 53, "infra/dns:53/udp", None),
        (TCP, 54, "infra/dns:54", None),
        (UDP, 54, "infra/dns:54/udp", "UnsupportedProtocol"),
        (UDP, 55, "infra/dns:55/udp", "BackendNotFound"),
    ],
)
def test_a_reference_resolves_to_a_port_of_the_transport_of_its_route(
    transport: Transport, port: int, id_: str, reason: str | None
) -> None:
    reader = Reader({SERVICES: {BOTH.key: BOTH}, POLICIES: {}, CONCERNS: {}})
    referrer = Referrer("UDPRoute", "infra", frozenset({Protocol.HTTP1}), transport)
    node = resolve_backend_ref(referrer, HTTPBackendRef(name="dns", port=port), "spec", reader)
    assert (node.id, node.problem.reason if node.problem else None) == (id_, reason)
