"""Which listener has which port after any sequence of changes: the same as after a rebuild without previous state."""

import functools
from typing import Any

import msgspec
import pytest
from graph.world import gateway, listener, listener_set, make, removed, replaced, world
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.graph.build import build_graph, forgotten
from fastroute.resources.gateway import Gateway, GatewayClass, ListenerSet
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources
from fastroute.settings import Addressing, GraphSettings

SHARED = GraphSettings(class_name=None, addressing=Addressing(bind=("127.0.0.1", "127.0.0.2")))
POOL = GraphSettings(class_name=None, addressing=Addressing(pool="127.0.1.0/29"))
CLASS = make(GatewayClass, "", "fastroute", {"controllerName": SHARED.controller_name})
TEAMS = ("red", "blue", "infra", "red", "blue")  # the namespace of each ListenerSet
PORTS = st.lists(st.sampled_from((80, 81, 82)), min_size=1, max_size=3, unique=True)
EDIT = st.tuples(
    st.sampled_from(("gateway", "gateway", "set", "remove gateway", "remove set")),
    st.integers(0, 4),  # the number of the object
    st.integers(0, 3),  # the age of a Gateway; the parent Gateway of a ListenerSet
    PORTS,
    st.sampled_from((None, "127.0.0.1", "127.0.0.2", "127.0.1.2", "192.0.2.1")),
)


def edited(resources: Resources, edit: Any) -> Resources:
    kind, number, other, ports, asked = edit
    listeners = [listener(f"l{port}", port) for port in ports]
    match kind:
        case "gateway":
            addresses = {"addresses": [{"value": asked}]} if asked else {}
            spec = {"allowedListeners": {"namespaces": {"from": "All"}}, **addresses}
            meta = {"uid": f"u{number}", "creationTimestamp": f"2026-01-0{other + 1}T00:00:00Z"}
            return replaced(resources, gateway(f"g{number}", "infra", *listeners, spec=spec, meta=meta))
        case "set":
            return replaced(resources, listener_set(f"s{number}", TEAMS[number], *listeners, parent=f"g{other}"))
        case "remove gateway":
            return removed(resources, Gateway, Key("infra", f"g{number}"))
        case _:
            return removed(resources, ListenerSet, Key(TEAMS[number], f"s{number}"))


FEW = [msgspec.structs.replace(one, max_ports=3) for one in (SHARED, POOL)]


@pytest.mark.parametrize("asked", [SHARED, POOL, *FEW], ids=["shared", "pool", "shared few", "pool few"])
@given(edits=st.lists(EDIT, min_size=3, max_size=25))
@settings(deadline=None)
def test_ports_are_those_of_a_graph_from_nothing(asked: GraphSettings, edits: list[Any]) -> None:
    resources = world(CLASS)
    graph = build_graph(resources, asked)
    for edit in edits:
        resources = edited(resources, edit)
        graph = build_graph(resources, asked, graph)
        whole = build_graph(resources, asked, forgotten(graph))
        assert graph.gateways == whole.gateways
        assert graph.listener_sets == whole.listener_sets
        assert list(graph.gateways) == sorted(graph.gateways)
        if graph.gateways:
            assert graph.memo.exclusion.forbidden == whole.memo.exclusion.forbidden


def test_a_port_that_becomes_free_goes_to_the_next_by_age() -> None:
    resources = functools.reduce(edited, [("gateway", n, n, [80], None) for n in (0, 1, 2)], world(CLASS))
    graph = build_graph(resources, SHARED)
    assert [node.listeners[0].serves for node in graph.gateways.values()] == [True, False, False]
    graph = build_graph(removed(resources, Gateway, Key("infra", "g0")), SHARED, graph)
    assert [node.listeners[0].serves for node in graph.gateways.values()] == [True, False]
