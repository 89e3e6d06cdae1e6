"""Listeners of one Gateway: conflicts, route kinds, allowed routes."""

from typing import Any

import msgspec
import pytest
from graph.world import gateway, listener, namespace, route, world

from fastroute.graph.build import build_graph
from fastroute.graph.listener import find_conflicts
from fastroute.resources.gateway import Listener
from fastroute.resources.meta import Key, Resource
from fastroute.settings import GraphSettings


def listeners(*written: tuple[int, str, str | None]) -> tuple[Listener, ...]:
    return tuple(
        msgspec.convert({"name": f"l{i}", "port": port, "protocol": protocol, "hostname": host}, Listener)
        for i, (port, protocol, host) in enumerate(written)
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ([(80, "HTTP", None), (80, "HTTP", "a.com")], {}),
        ([(80, "HTTP", None), (81, "HTTP", None)], {}),
        ([(80, "HTTP", "a.com"), (80, "HTTP", "A.com")], {0: "HostnameConflict", 1: "HostnameConflict"}),
        ([(80, "HTTP", None), (80, "HTTP", "")], {0: "HostnameConflict", 1: "HostnameConflict"}),
        ([(80, "HTTP", None), (80, "HTTPS", None)], {0: "ProtocolConflict", 1: "ProtocolConflict"}),
        ([(80, "HTTP", "a.com"), (80, "HTTPS", "b.com")], {0: "ProtocolConflict", 1: "ProtocolConflict"}),
        ([(443, "HTTPS", "a.com"), (443, "TLS", "b.com")], {}),
        ([(443, "HTTPS", "a.com"), (443, "TLS", "a.com")], {0: "HostnameConflict", 1: "HostnameConflict"}),
        ([(80, "TCP", None), (80, "TCP", None)], {0: "HostnameConflict", 1: "HostnameConflict"}),
        ([(80, "UDP", None), (80, "UDP", None)], {0: "HostnameConflict", 1: "HostnameConflict"}),
        ([(80, "UDP", None), (80, "HTTP", None)], {}),
        (
            [(80, "TCP", None), (80, "HTTP", "a.com"), (80, "HTTP", "b.com"), (81, "HTTP", None)],
            dict.fromkeys((0, 1, 2), "ProtocolConflict"),
        ),
        ([(80, "example.com/odd", None), (80, "HTTP", None)], {}),
    ],
)
def test_conflicts(written: list[tuple[int, str, str | None]], expected: dict[int, str]) -> None:
    found = find_conflicts(listeners(*written))
    assert {index: problem.reason for index, problem in found.items()} == expected
    assert all(problem.field == f"spec.listeners[{index}]" for index, problem in found.items())


def test_a_conflict_names_the_others() -> None:
    found = find_conflicts(listeners((80, "TCP", None), (80, "HTTP", "a.com"), (80, "HTTP", "b.com")))
    assert "listener l1 (HTTP), l2 (HTTP)" in found[0].message
    assert "listener l0 (TCP)" in found[1].message


def attached(allow: Any, *others: Resource, home: str = "red", **more: Any) -> bool:
    graph = build_graph(
        world(gateway("gw", "infra", listener(allow=allow, **more)), route("r", home), *others), GraphSettings()
    )
    (node,) = graph.gateways[Key("infra", "gw")].listeners
    (parent,) = graph.parents["HTTPRoute", Key(home, "r")]
    assert [problem.reason for problem in parent.problems] == ([] if node.attachments else ["NotAllowedByListeners"])
    return bool(node.attachments)


def selector(*expressions: Any, **labels: str) -> Any:
    return {"from": "Selector", "selector": {"matchLabels": labels, "matchExpressions": expressions}}


@pytest.mark.parametrize(
    ("allow", "home", "expected"),
    [
        ("All", "red", True),
        ("Same", "red", False),
        ("Same", "infra", True),
        (selector(team="red"), "red", True),
        (selector(team="blue"), "red", False),
        (selector(), "red", True),
        (selector({"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["red"]}), "red", True),
        (
            selector({"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["unmentioned"]}),
            "unmentioned",
            True,
        ),
        (selector({"key": "team", "operator": "Matches", "values": ["red"]}), "red", False),
        ({"from": "Selector"}, "red", False),
        ("None", "infra", False),
    ],
)
def test_admission_by_namespace(allow: Any, home: str, expected: bool) -> None:
    assert attached(allow, namespace("red", team="red"), home=home) is expected


@pytest.mark.parametrize(
    ("kinds", "supported", "vain", "expected"),
    [
        ([], ["HTTPRoute", "GRPCRoute"], False, True),
        ([{"kind": "HTTPRoute"}], ["HTTPRoute"], False, True),
        ([{"kind": "HTTPRoute", "group": "x.io"}], [], True, False),
        ([{"kind": "TLSRoute"}, {"kind": "HTTPRoute"}], ["HTTPRoute"], True, True),
        ([{"kind": "GRPCRoute"}], ["GRPCRoute"], False, False),
        ([{"kind": "HTTPRoute"}, {"kind": "HTTPRoute"}], ["HTTPRoute"], False, True),
    ],
)
def test_admission_by_kind(kinds: list[Any], supported: list[str], vain: bool, expected: bool) -> None:
    assert attached("All", kinds=kinds) is expected
    graph = build_graph(world(gateway("gw", "infra", listener(kinds=kinds))), GraphSettings())
    (node,) = graph.gateways[Key("infra", "gw")].listeners
    assert [kind for _, kind in node.supported_kinds] == supported
    assert [problem.reason for problem in node.problems] == (["InvalidRouteKinds"] if vain else [])
    assert node.serves


@pytest.mark.parametrize("protocol", ["DTLS", "SCTP", "example.com/odd"])
def test_protocols_that_are_not_served(protocol: str) -> None:
    graph = build_graph(
        world(gateway("gw", "infra", listener(protocol=protocol, kinds=[{"kind": "X"}]))), GraphSettings()
    )
    (node,) = graph.gateways[Key("infra", "gw")].listeners
    assert [(problem.condition, problem.reason) for problem in node.problems] == [("Accepted", "UnsupportedProtocol")]
    assert node.supported_kinds == ()
    assert not node.serves


def test_a_selector_that_takes_nothing_still_serves_and_says_so() -> None:
    graph = build_graph(world(gateway("gw", "infra", listener(allow={"from": "Selector"}))), GraphSettings())
    (node,) = graph.gateways[Key("infra", "gw")].listeners
    assert node.serves
    (problem,) = node.problems
    assert (problem.condition, problem.field) == ("Accepted", "spec.listeners[0].allowedRoutes.namespaces.selector")
