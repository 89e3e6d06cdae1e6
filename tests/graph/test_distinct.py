"""Listeners of many ListenerSets: which one has a port and hostname, and what an edit of one ListenerSet costs."""

import sys
from collections import Counter
from typing import Any

import pytest
from graph.secrets import secret
from graph.world import gateway, listener, listener_set, make, removed, replaced, world
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.graph import listenerset
from fastroute.graph.build import build_graph
from fastroute.graph.node import Graph
from fastroute.resources.gateway import GatewayClass, ListenerSet
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings

SETTINGS = GraphSettings(max_ports=2)
OPEN = {"allowedListeners": {"namespaces": {"from": "All"}}}
CLASS = make(GatewayClass, "", "fastroute", {"controllerName": SETTINGS.controller_name})
TEAMS = ("red", "blue", "infra", "red", "blue")  # the namespace of each ListenerSet
PROTOCOLS = ("HTTP", "HTTP", "HTTPS", "HTTPS", "TCP", "UDP", "example.com/own")
HOSTS = (None, "a.example.com", "b.example.com", "*.example.com")
LISTENERS = st.lists(
    st.tuples(st.sampled_from((80, 81, 443)), st.sampled_from(PROTOCOLS), st.sampled_from(HOSTS)),
    min_size=1,
    max_size=4,
)
EDIT = st.tuples(st.sampled_from(("set", "set", "set", "remove", "gateway", "closed")), st.integers(0, 4), LISTENERS)


def made(number: int, port: int, protocol: str, host: str | None) -> Any:
    more: dict[str, Any] = {"hostname": host} if host else {}
    if protocol == "HTTPS":
        more["tls"] = {"certificateRefs": [{"name": "tls"}]}
    return listener(f"l{number}", port, protocol, **more)


def edited(resources: Resources, edit: Any) -> Resources:
    kind, number, asked = edit
    listeners = [made(index, *one) for index, one in enumerate(asked)]
    match kind:
        case "set":
            return replaced(resources, listener_set(f"s{number}", TEAMS[number], *listeners))
        case "remove":
            return removed(resources, ListenerSet, Key(TEAMS[number], f"s{number}"))
        case _:
            return replaced(resources, gateway("gw", "infra", *listeners, spec=OPEN if kind == "gateway" else {}))


@given(edits=st.lists(EDIT, min_size=3, max_size=25))
@settings(deadline=None)
def test_listeners_are_those_of_a_graph_from_nothing(edits: list[Any]) -> None:
    secrets = [secret("tls", namespace) for namespace in sorted(set(TEAMS))]
    resources = world(CLASS, gateway("gw", "infra", spec=OPEN), *secrets)
    graph = build_graph(resources, SETTINGS)
    for edit in edits:
        resources = edited(resources, edit)
        graph = build_graph(resources, SETTINGS, graph)
        whole = build_graph(resources, SETTINGS)
        assert graph.gateways == whole.gateways
        assert graph.listener_sets == whole.listener_sets


def many(count: int, width: int, protocol: str = "HTTP", port: int = 80) -> list[ListenerSet]:
    """ListenerSets of one team, each with `width` listeners."""
    return [
        listener_set(
            f"s{number}",
            "red",
            *(made(index, port, protocol, f"h{number}-{index}.example.com") for index in range(width)),
        )
        for number in range(count)
    ]


def victim(host: str) -> ListenerSet:
    return listener_set("mine", "blue", listener("l", 80, hostname=host))


def calls_of_an_edit(sets: list[ListenerSet]) -> tuple[int, Graph]:
    """The number of functions that are called in the second edit of a ListenerSet beside these."""
    certificate = secret("tls", "red")
    resources = world(CLASS, gateway("gw", "infra", spec=OPEN), certificate, victim("a.example.org"), *sets)
    graph = build_graph(resources, SETTINGS)
    resources = replaced(resources, victim("b.example.org"))
    graph = build_graph(resources, SETTINGS, graph)
    resources, calls = replaced(resources, victim("c.example.org")), 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        graph = build_graph(resources, SETTINGS, graph)
    finally:
        sys.setprofile(None)
    return calls, graph


@pytest.mark.parametrize(
    ("protocol", "port"),
    [("HTTP", 80), ("HTTPS", 443), ("TCP", 80), ("example.com/own", 80)],
    ids=["HTTP", "HTTPS", "another protocol on the port", "an unknown protocol"],
)
def test_an_edit_of_a_listener_set_does_not_cost_the_listeners_of_others(protocol: str, port: int) -> None:
    narrow, _ = calls_of_an_edit(many(20, 1, protocol, port))
    wide, _ = calls_of_an_edit(many(20, 64, protocol, port))
    none, _ = calls_of_an_edit([])
    assert narrow - none < 20 * 200, "for each ListenerSet"
    assert wide - narrow < 20 * 63 * 4, "for each further listener, of which 50 calls were made"


def test_only_listeners_that_conflict_are_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    built: Counter[str] = Counter()
    real = listenerset.build_listener

    def build(standing: Any, *more: Any) -> Any:
        built[standing.holder[1].name] += 1
        return real(standing, *more)

    monkeypatch.setattr(listenerset, "build_listener", build)
    resources = world(CLASS, gateway("gw", "infra", spec=OPEN), *many(5, 8), victim("a.example.org"))
    graph = build_graph(resources, SETTINGS)
    assert built == {f"s{number}": 8 for number in range(5)} | {"mine": 1}
    built.clear()
    graph = build_graph(replaced(resources, victim("h1-3.example.com")), SETTINGS, graph)
    assert built == {"mine": 1, "s1": 1}
    reasons = [[problem.reason for problem in one.problems] for one in graph.listener_sets[Key("red", "s1")].listeners]
    assert reasons == [[], [], [], ["HostnameConflict"], [], [], [], []]
