"""How much memory the routes of a namespace may take, and which of them are refused."""

from typing import Any

import msgspec
import pytest
from graph.world import gateway, listener, make, ref, removed, replaced, route, world
from hypothesis import given
from hypothesis import strategies as st

from fastroute.graph import memory
from fastroute.graph.build import build_graph
from fastroute.graph.memory import MOST_OF_NAMESPACE, MOST_OF_ROUTE, Footprint, Storage, Use, footprint, store
from fastroute.graph.node import Graph, Problem, RouteId
from fastroute.resources.gateway import GatewayClass
from fastroute.resources.http_rule import HTTPRule
from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings

CLASS = make(GatewayClass, "", "fastroute", {"controllerName": "fastroute.dev/gateway"})
SETTINGS = GraphSettings()
EXACT = {"path": {"type": "Exact", "value": "/" + "p" * 900}}


def listeners(count: int) -> list[Any]:
    return [listener(f"l{number}", hostname=f"h{number}.example.com") for number in range(count)]


def a_route(name: str, matches: int, namespace: str = "evil", day: int = 1, **more: Any) -> HTTPRoute:
    rules = [{"matches": [EXACT] * matches, "backendRefs": [ref("s")]}]
    made: HTTPRoute = route(
        name, namespace, rules=rules, meta={"creationTimestamp": f"2026-01-{day:02}T00:00:00Z"}, **more
    )
    return made


def problems(graph: Graph) -> dict[str, Problem]:
    return {
        str(id_[1]): problem
        for id_, parents in graph.parents.items()
        for parent in parents
        for problem in parent.problems
    }


def attached(graph: Graph) -> set[str]:
    return {str(id_[1]) for one in graph.holders for found in one.listeners for id_ in found.attachments}


def test_a_small_route_on_many_listeners_is_refused_with_the_limit() -> None:
    around = (CLASS, gateway("gw", "infra", *listeners(64)))
    graph = build_graph(world(*around, a_route("big", 64), a_route("victim", 8, "good")), SETTINGS)
    problem = problems(graph)["evil/big"]
    assert (problem.condition, problem.reason, problem.field) == ("Accepted", "UnsupportedValue", "spec.parentRefs[0]")
    assert problem.message.startswith("The route would take more than 8 MiB of memory in each worker")
    assert attached(graph) == {"good/victim"}


def test_what_the_message_proposes_helps() -> None:
    around = (CLASS, gateway("gw", "infra", *listeners(64)))
    parent = {"namespace": "infra", "name": "gw", "sectionName": "l1"}
    graph = build_graph(world(*around, a_route("big", 64, parents=[parent])), SETTINGS)
    assert attached(graph) == {"evil/big"}


def test_hostnames_count_like_listeners() -> None:
    names = [f"h{number}.example.com" for number in range(16)]
    around = (CLASS, gateway("gw", "infra", listener("one"), listener("two", port=81), listener("three", port=82)))
    graph = build_graph(world(*around, a_route("big", 128, hostnames=names)), SETTINGS)
    assert "evil/big" in problems(graph)


def test_the_oldest_routes_of_a_namespace_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_OF_NAMESPACE", 100_000)
    around = (CLASS, gateway())
    routes = [a_route(f"r{number}", 16, day=20 - number) for number in range(4)]
    resources = world(*around, *routes, a_route("victim", 16, "good"))
    graph = build_graph(resources, SETTINGS)
    assert attached(graph) == {"evil/r3", "evil/r2", "good/victim"}
    assert problems(graph)["evil/r0"].message.startswith("Together with the older routes of this namespace")
    resources = removed(resources, HTTPRoute, Key("evil", "r3"))
    graph = build_graph(resources, SETTINGS, graph)
    assert attached(graph) == {"evil/r2", "evil/r1", "good/victim"}
    graph = build_graph(replaced(resources, a_route("r2", 1, day=18)), SETTINGS, graph)
    assert attached(graph) == {"evil/r2", "evil/r1", "evil/r0", "good/victim"}


def test_filters_count_for_each_listener() -> None:
    long = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "v" * 4000}]}}
    plain, filtered = (route("r", "infra", rules=[{"filters": filters}]).spec.rules for filters in ([], [long]))
    assert footprint(filtered).listener - footprint(plain).listener > 4000
    assert footprint(filtered).hostname == footprint(plain).hostname
    assert Footprint(10, 1).taken(3, 2) == 23
    assert footprint((msgspec.convert({}, HTTPRule),)).hostname > 300


def test_5000_routes_with_16_rules_fit_into_a_namespace() -> None:
    rules = [{"matches": [{"path": {"value": f"/path/{number}"}}], "backendRefs": [ref("s")]} for number in range(16)]
    assert 5_000 * footprint(route("r", "infra", rules=rules).spec.rules).taken(1, 1) < MOST_OF_NAMESPACE


CHANGES = st.dictionaries(
    st.sampled_from([("HTTPRoute", Key("a", name)) for name in "abcdef"]),
    st.none() | st.builds(Use, st.integers(0, MOST_OF_NAMESPACE // 2), st.tuples(st.integers(0, 3), st.just(""))),
)


@given(st.lists(CHANGES, max_size=8))
def test_changes_lead_to_the_same_as_a_new_start(steps: list[dict[RouteId, Use | None]]) -> None:
    storage, uses = Storage(), {}
    for step in steps:
        storage = store(storage, step)
        uses = {id_: use for id_, use in {**uses, **step}.items() if use is not None}
        anew = store(Storage(), uses)
        assert (storage.uses, storage.total, storage.refused) == (anew.uses, anew.total, anew.refused)
        fitting = [use.size for id_, use in uses.items() if id_ not in storage.refused]
        assert sum(fitting) <= MOST_OF_NAMESPACE
        assert max(fitting, default=0) <= MOST_OF_ROUTE
