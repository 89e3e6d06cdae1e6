"""Gateways and GatewayClasses: which ones this controller serves, and ports that several Gateways use."""

import pytest
from graph.world import gateway, listener, listener_set, make, world

from fastroute.graph.build import build_graph
from fastroute.graph.node import Graph
from fastroute.resources.gateway import Gateway, GatewayClass
from fastroute.resources.meta import Key, Resource
from fastroute.settings import Addressing, GraphSettings


def gateway_class(name: str, controller: str = "fastroute.dev/gateway") -> GatewayClass:
    made: GatewayClass = make(GatewayClass, "", name, {"controllerName": controller})
    return made


def built(*objects: Resource, **settings: object) -> Graph:
    return build_graph(world(*objects), GraphSettings(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("classes", "settings", "ours"),
    [
        ([], {}, ["gw"]),
        ([], {"class_name": "other"}, ["elsewhere"]),
        ([gateway_class("fastroute"), gateway_class("other", "x.io/other")], {}, ["gw"]),
        ([gateway_class("other")], {}, ["elsewhere"]),
        ([gateway_class("fastroute", "x.io/other")], {}, []),
        ([gateway_class("fastroute", "x.io/other")], {"controller_name": "x.io/other"}, ["gw"]),
        ([gateway_class("fastroute"), gateway_class("other")], {}, ["elsewhere", "gw"]),
        ([], {"gateways": frozenset({"infra/gw"})}, ["gw"]),
        ([], {"gateways": frozenset({"infra/none"})}, []),
    ],
)
def test_ours(classes: list[GatewayClass], settings: dict[str, object], ours: list[str]) -> None:
    graph = built(gateway("gw"), gateway("elsewhere", class_name="other"), *classes, **settings)
    assert [key.name for key in graph.gateways] == ours


def test_an_implied_class_has_no_status_to_write() -> None:
    assert [node.implied for node in built(gateway()).classes.values()] == [True]
    assert [node.implied for node in built(gateway_class("fastroute")).classes.values()] == [False]


BORN_FIRST, BORN_SECOND = ({"creationTimestamp": f"2026-01-0{day}T00:00:00Z"} for day in (1, 2))


def aged(name: str, created: str, *ports: int, namespace: str = "infra") -> Gateway:
    listeners = [listener(f"p{port}", port) for port in ports]
    return gateway(name, namespace, *listeners, meta={"creationTimestamp": created})


def lost(graph: Graph) -> list[str]:
    return [
        f"{node.key}/{found.source.name}"
        for node in graph.gateways.values()
        for found in node.listeners
        if any(problem.reason == "PortUnavailable" for problem in found.problems)
    ]


@pytest.mark.parametrize(
    ("gateways", "expected"),
    [
        ([aged("a", "", 80), aged("b", "", 80)], ["infra/b/p80"]),
        ([aged("a", "", 80), aged("b", "", 81)], []),
        ([aged("a", "2026-01-02T00:00:00Z", 80, 81), aged("b", "2026-01-01T00:00:00Z", 80)], ["infra/a/p80"]),
        ([aged("a", "2026-01-01T02:00:00+02:00", 80), aged("b", "2026-01-01T00:30:00Z", 80)], ["infra/b/p80"]),
        # ties are broken by "namespace/name" as one string: "-" sorts before "/"
        ([aged("a", "", 80, namespace="x"), aged("a", "", 80, namespace="x-y")], ["x/a/p80"]),
        ([aged("a", "", 80), aged("b", "", 80), aged("c", "", 80)], ["infra/b/p80", "infra/c/p80"]),
    ],
)
def test_the_older_gateway_has_the_port(gateways: list[Gateway], expected: list[str]) -> None:
    graph = built(*gateways)
    assert lost(graph) == expected
    for node in graph.gateways.values():
        for found in node.listeners:
            assert found.serves is (f"{node.key}/{found.source.name}" not in expected)


def test_a_listener_that_is_not_served_takes_no_port_from_others() -> None:
    broken = gateway("a", "infra", listener("one", 80, "HTTPS"), meta={"creationTimestamp": "2026-01-01T00:00:00Z"})
    assert lost(built(broken, aged("b", "2026-02-01T00:00:00Z", 80))) == []
    unaccepted = gateway("a", "infra", listener("one", 80), spec={"defaultScope": "All"})
    assert lost(built(unaccepted, aged("b", "2026-02-01T00:00:00Z", 80))) == []


def test_the_loser_is_told_by_whom_and_what_to_do() -> None:
    (node,) = built(aged("a", "", 80), aged("b", "", 80)).gateways[Key("infra", "b")].listeners
    assert node.problems[0].field == "spec.listeners[0].port"
    assert node.problems[0].message == (
        "Port 80 of address 127.0.0.1 is used by Gateway infra/a, which has precedence by age and name. "
        "Use another port, attach the routes "
        "to that Gateway, or give each Gateway its own address with --address-pool."
    )


def test_of_listener_sets_of_several_gateways_the_oldest_has_the_port() -> None:
    open_ = {"allowedListeners": {"namespaces": {"from": "All"}}}
    old, young = (gateway(name, "infra", listener("own", port), spec=open_) for name, port in (("a", 80), ("b", 81)))
    theirs = listener_set("s", "att", listener("y", 82), parent="a", meta=BORN_SECOND)
    older = listener_set("t", "victim", listener("z", 82), parent="b", meta=BORN_FIRST)
    graph = built(old, young, theirs, older)
    assert lost(graph) == []
    found = [node for name in ("att", "victim") for key, node in graph.listener_sets.items() if key.namespace == name]
    assert [[one.serves for one in node.listeners] for node in found] == [[False], [True]]


@pytest.mark.parametrize(
    ("spec", "reason", "field"),
    [
        ({"tls": {"backend": {}}}, None, None),
        ({"tls": {}}, None, None),
        ({"tls": {"frontend": {"default": {}}}}, None, None),
        ({"defaultScope": "All"}, "UnsupportedValue", "spec.defaultScope"),
        ({"defaultScope": "None"}, None, None),
        ({"infrastructure": {"labels": {"a": "b"}}}, None, None),
        (
            {"infrastructure": {"parametersRef": {"group": "x.io", "kind": "Tuning", "name": "t"}}},
            "InvalidParameters",
            "spec.infrastructure.parametersRef",
        ),
    ],
)
def test_fields_that_are_not_served(spec: dict[str, object], reason: str | None, field: str | None) -> None:
    (node,) = built(gateway(spec=spec)).gateways.values()
    assert [(problem.reason, problem.field) for problem in node.problems] == ([(reason, field)] if reason else [])
    assert node.listeners[0].serves is (reason is None)
    assert bool(node.bind) is (reason is None)


def test_a_gateway_of_a_class_that_is_not_accepted() -> None:
    parameters = {"group": "x.io", "kind": "Tuning", "name": "t"}
    tuned = make(
        GatewayClass, "", "fastroute", {"controllerName": "fastroute.dev/gateway", "parametersRef": parameters}
    )
    graph = built(tuned, gateway())
    assert [problem.reason for problem in graph.classes[Key("", "fastroute")].problems] == ["InvalidParameters"]
    (node,) = graph.gateways.values()
    assert [problem.reason for problem in node.problems] == ["Invalid"]
    assert not node.listeners[0].serves


def test_a_port_above_the_highest() -> None:
    graph = built(
        gateway("gw", "infra", listener(port=80), listener("high", port=65_000)),
        addressing=Addressing(port_offset=8000),
    )
    low, high = graph.gateways[Key("infra", "gw")].listeners
    assert low.problems == ()
    assert [problem.reason for problem in high.problems] == ["PortUnavailable"]
