"""How many endpoints the backends of a namespace may have."""

from typing import Any
from unittest import mock

import pytest
from graph.world import endpoint_slice, gateway, grant, make, ref, removed, replaced, route, service, world

from fastroute.graph import backend, conditions, endpoint, forbidden, ration
from fastroute.graph.build import build_graph
from fastroute.graph.finding import find_problems
from fastroute.graph.node import Graph
from fastroute.resources.core import Service
from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.meta import Key, Resource
from fastroute.settings import GraphSettings
from fastroute.snapshot import Endpoint

SETTINGS = GraphSettings()
CLUSTER = GraphSettings(local_endpoints=False)


def created(name: str, day: int, *ports: int) -> Resource:
    spec = {"ports": [{"name": f"p{port}", "port": port} for port in ports or (80,)]}
    return make(Service, "red", name, spec, meta={"creationTimestamp": f"2026-01-0{day}T00:00:00Z"})


def pods(owner: str, count: int, *ports: int, name: str = "") -> Resource:
    addresses = [f"10.0.{number // 250}.{number % 250}" for number in range(1, count + 1)]
    named = [{"name": f"p{port}", "port": 8000 + port} for port in ports or (80,)]
    return endpoint_slice(name or owner, "red", owner, *addresses, ports=named)


def used(graph: Graph) -> dict[str, int]:
    return {id_: len(node.endpoints) for id_, node in sorted(graph.backends.items())}


def said(graph: Graph) -> dict[str, str]:
    """What the routes report, by field."""
    return {problem.field or "": problem.reason for problem in find_problems(graph)}


def test_the_oldest_services_have_their_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ration, "MOST_OF_NAMESPACE", 10)
    objects = (gateway(), route("r", "red", ref("a"), ref("b"), ref("c")), created("a", 3), created("b", 1))
    resources = world(*objects, created("c", 2), pods("a", 4), pods("b", 4), pods("c", 4))
    graph = build_graph(resources, SETTINGS)
    assert used(graph) == {"red/a:80": 2, "red/b:80": 4, "red/c:80": 4}
    [problem] = find_problems(graph)
    assert (problem.reason, problem.field) == ("TooManyEndpoints", "spec.rules[0].backendRefs[0]")
    assert "Only some endpoints of port 80 of Service red/a are used" in problem.message
    assert "the Services of namespace red that routes refer to have more than 10 endpoints" in problem.message
    more = build_graph(replaced(resources, pods("c", 7)), SETTINGS, graph)
    assert used(more) == {"red/a:80": 0, "red/b:80": 4, "red/c:80": 6}
    assert said(more) == dict.fromkeys(("spec.rules[0].backendRefs[0]", "spec.rules[0].backendRefs[2]"), problem.reason)
    assert "No endpoints of port 80 of Service red/a are used" in find_problems(more)[0].message
    again = build_graph(removed(more.memo.resources, Service, Key("red", "b")), SETTINGS, more)
    assert used(again) == {"red/a:80": 3, "red/c:80": 7}


def test_a_service_that_is_created_again_is_the_youngest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ration, "MOST_OF_NAMESPACE", 6)
    objects = (gateway(), route("r", "red", ref("a"), ref("b")), created("a", 1), created("b", 2))
    graph = build_graph(world(*objects, pods("a", 4), pods("b", 4)), SETTINGS)
    assert used(graph) == {"red/a:80": 4, "red/b:80": 2}
    again = build_graph(replaced(graph.memo.resources, created("a", 3)), SETTINGS, graph)
    assert used(again) == {"red/a:80": 2, "red/b:80": 4}
    assert list(said(again)) == ["spec.rules[0].backendRefs[0]"]


def test_only_ports_that_routes_use_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ration, "MOST_OF_NAMESPACE", 10)
    objects = (gateway(), created("s", 1, 80, 81, 82), pods("s", 5, 80, 81, 82))
    two = build_graph(world(*objects, route("r", "red", ref("s"), ref("s", port=81))), SETTINGS)
    assert (used(two), said(two)) == ({"red/s:80": 5, "red/s:81": 5}, {})
    three = build_graph(replaced(two.memo.resources, route("q", "red", ref("s", port=82))), SETTINGS, two)
    assert used(three) == {"red/s:80": 5, "red/s:81": 5, "red/s:82": 0}
    assert list(said(three).values()) == ["TooManyEndpoints"]
    back = build_graph(removed(three.memo.resources, HTTPRoute, Key("red", "q")), SETTINGS, three)
    assert (used(back), said(back)) == ({"red/s:80": 5, "red/s:81": 5}, {})


def test_other_namespaces_are_not_affected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoints belong to the namespace of the Service, also if a route of another namespace uses them."""
    monkeypatch.setattr(ration, "MOST_OF_NAMESPACE", 3)
    objects = (gateway(), created("s", 1), pods("s", 3), service("t", "blue"), grant("g", "red", "blue"))
    other = endpoint_slice("t", "blue", "t", "10.9.0.1", "10.9.0.2", "10.9.0.3")
    refs = (ref("s", "red"), ref("t"))
    graph = build_graph(world(*objects, other, route("r", "blue", *refs)), SETTINGS)
    assert (used(graph), said(graph)) == ({"blue/t:80": 3, "red/s:80": 3}, {})


def test_an_endpoint_that_is_not_ready_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each Pod that is not ready for a while would change the endpoints of younger Services."""
    monkeypatch.setattr(ration, "MOST_OF_NAMESPACE", 3)
    waiting: dict[str, Any] = {"addresses": ["10.0.0.1"], "conditions": {"ready": False}}
    piece = endpoint_slice("a", "red", "a", waiting, "10.0.0.2", ports=[{"name": "p80", "port": 80}])
    objects = (gateway(), route("r", "red", ref("a"), ref("b")), created("a", 1), created("b", 2), piece)
    assert used(build_graph(world(*objects, pods("b", 2)), SETTINGS)) == {"red/a:80": 1, "red/b:80": 1}


def test_a_service_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ration, "MOST_OF_SERVICE", 7)
    monkeypatch.setattr(ration, "MOST_OF_NAMESPACE", 10)
    refs = (ref("s"), ref("s", port=81), ref("t"))
    objects = (gateway(), route("r", "red", *refs), created("s", 1, 80, 81), created("t", 2), pods("s", 5, 80, 81))
    graph = build_graph(world(*objects, pods("t", 3)), SETTINGS)
    assert used(graph) == {"red/s:80": 5, "red/s:81": 2, "red/t:80": 3}
    [problem] = find_problems(graph)
    assert problem.field == "spec.rules[0].backendRefs[1]"
    assert "its ports that routes refer to have more than 7 endpoints, which is the limit" in problem.message
    both = build_graph(replaced(graph.memo.resources, pods("t", 4)), SETTINGS, graph)
    assert used(both) == {"red/s:80": 5, "red/s:81": 2, "red/t:80": 3}
    assert "the Services of namespace red" in find_problems(both)[1].message
    fewer = build_graph(replaced(both.memo.resources, pods("s", 2, 80, 81)), SETTINGS, both)
    assert (used(fewer), said(fewer)) == ({"red/s:80": 2, "red/s:81": 2, "red/t:80": 4}, {})


def test_endpoints_above_the_limit_are_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """One slice of 1,000 endpoints with 100 addresses and 256 ports would be 25,600,000 endpoints in each worker."""
    made = 0

    def counted(address: str, port: int) -> Endpoint:
        nonlocal made
        made += 1
        return Endpoint(address, port)

    numbers = range(100, 356)
    many = [{"addresses": [f"10.1.{number // 250}.{number % 250}"] * 100} for number in range(1_000)]
    ports = [{"name": f"p{number}", "port": number} for number in numbers]
    rules = [{"backendRefs": [ref("s", port=number) for number in numbers[at : at + 16]]} for at in range(0, 256, 16)]
    objects = (gateway(), created("s", 1, *numbers), endpoint_slice("s", "red", "s", *many, ports=ports))
    monkeypatch.setattr("fastroute.graph.endpoint.Endpoint", counted)
    graph = build_graph(world(*objects, route("r", "red", rules=rules)), SETTINGS)
    assert sum(used(graph).values()) == made == ration.MOST_OF_SERVICE == 10_000
    assert len(said(graph)) == 246


@pytest.mark.parametrize("count", [1, 3])
def test_refused_endpoints_are_judged_once_for_each_port(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for each reference."""
    judged = mock.Mock(wraps=forbidden.refused_of)
    worded = mock.Mock(wraps=conditions.endpoints_refused)
    monkeypatch.setattr(backend, "refused_of", judged)
    monkeypatch.setattr(conditions, "endpoints_refused", worded)
    local = [f"127.0.{number // 250}.{number % 250}" for number in range(1, 1_001)]
    piece = endpoint_slice("s", "red", "s", *local, ports=[{"name": "p80", "port": 80}])
    rules = [{"backendRefs": [ref("s")] * 16}] * 16
    routes = [route(f"r{number}", "red", rules=rules) for number in range(count)]
    graph = build_graph(world(gateway(), created("s", 1), piece, *routes), CLUSTER)
    assert len(find_problems(graph)) == count * 256
    assert len({id(problem.message) for problem in find_problems(graph)}) == 1
    assert (judged.call_count, worded.call_count) == (1, 1)
    edited = build_graph(replaced(graph.memo.resources, routes[0]), CLUSTER, graph)
    assert edited.backends is graph.backends


def test_a_changed_slice_does_not_read_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Service with 100,000 endpoints has 100 slices."""
    pieces = [pods("s", 10, name=f"s{number}") for number in range(20)]
    graph = build_graph(world(gateway(), created("s", 1), *pieces, route("r", "red", ref("s"))), CLUSTER)
    read = mock.Mock(wraps=endpoint._candidate)
    monkeypatch.setattr(endpoint, "_candidate", read)
    edited = build_graph(replaced(graph.memo.resources, pods("s", 9, name="s7")), CLUSTER, graph)
    assert (used(edited), read.call_count) == ({"red/s:80": 10}, 9)
