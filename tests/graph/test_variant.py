"""How many endpoints are used of a backend to which Gateways show several client certificates."""

from typing import Any

import pytest
from graph.secrets import secret
from graph.test_credential import CA
from graph.world import (
    config_map,
    endpoint_slice,
    gateway,
    grant,
    listener,
    ref,
    replaced,
    route,
    service,
    tls_policy,
    world,
)

from fastroute.compiler.compile import compile_snapshot
from fastroute.graph import ration
from fastroute.graph.build import build_graph
from fastroute.graph.finding import find_problems
from fastroute.graph.node import Graph
from fastroute.resources.meta import Resource
from fastroute.settings import GraphSettings

COUNT = 4  # endpoints of Service a/s
OWN = (
    service("s", "a"),
    endpoint_slice("s", "a", "s", *(f"10.0.0.{number}" for number in range(1, COUNT + 1))),
    gateway("own", "a", listener(port=8000)),
    route("own", "a", ref("s"), parents=[{"name": "own"}]),
    grant("g", "a", "b", "s"),
)
POLICY = (tls_policy("p", "a", "s", authorities=("m",)), config_map("m", "a", CA))
REASON = "TooManyEndpoints"


def showing(name: str, port: int, namespace: str = "b") -> Resource:
    tls = {"backend": {"clientCertificateRef": {"name": name}}}
    made: Resource = gateway(name, namespace, listener(port=port), spec={"tls": tls})
    return made


def foreign(number: int, *, served: bool = True) -> list[Resource]:
    """Gateways of namespace b, each with a certificate of its own, and one route with all of them."""
    names = [f"c{one}" for one in range(number)]
    gateways = [showing(name, 80 + (index if served else 0)) for index, name in enumerate(names)]
    every = route("r", "b", ref("s", "a"), parents=[{"name": name} for name in names])
    return [*gateways, *(secret(name, "b") for name in names), every]


def built(*objects: Resource) -> Graph:
    return build_graph(world(*objects), GraphSettings())


def counts(graph: Graph) -> dict[str, int]:
    """Endpoints by row of the Snapshot."""
    return {id_: len(some) for id_, some in compile_snapshot(graph).snapshot.endpoints.items()}


def said(graph: Graph) -> dict[str, str]:
    """What the routes report, by namespace."""
    return {problem.key.namespace: problem.message for problem in reported(graph)}


def reported(graph: Graph) -> list[Any]:
    return [one for one in find_problems(graph) if one.reason == REASON]


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ration, "MOST_OF_SERVICE", 10)


def test_without_tls_certificates_do_not_count() -> None:
    graph = built(*OWN, *foreign(30))
    assert counts(graph) == {"a/s:80": COUNT}
    assert reported(graph) == []


def test_gateways_that_are_not_served_do_not_count() -> None:
    """Their listeners want the port of another Gateway."""
    graph = built(*OWN, *POLICY, *foreign(30, served=False))
    assert counts(graph) == {"a/s:80": COUNT, "a/s:80/@b/c0": COUNT}
    assert reported(graph) == []


def test_other_namespaces_pay_for_the_certificates_that_they_bring() -> None:
    graph = built(*OWN, *POLICY, *foreign(5))
    rows = counts(graph)
    assert rows.pop("a/s:80") == COUNT
    assert sorted(rows.values()) == [0, 0, 2, COUNT, COUNT]
    assert list(said(graph)) == ["b"]
    assert "No endpoints of port 80 of Service a/s are used for some routes of this namespace" in said(graph)["b"]
    assert "once more for each further client certificate" in said(graph)["b"]
    assert "a listener of mode Passthrough" in said(graph)["b"]
    assert "is more than 10, which is the limit of a Service" in said(graph)["b"]


def test_the_services_of_a_namespace_come_before_the_certificates_that_it_brings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ration, "MOST_OF_NAMESPACE", 7)
    more = (service("t", "b"), endpoint_slice("t", "b", "t", "10.1.0.1", "10.1.0.2"))
    other = route("t", "b", ref("t"), parents=[{"name": "c0"}])
    graph = built(*OWN, *POLICY, *more, other, *foreign(2))
    assert counts(graph) == {"a/s:80": COUNT, "a/s:80/@b/c0": COUNT, "a/s:80/@b/c1": 1, "b/t:80": 2}
    assert "Only some endpoints" in said(graph)["b"]
    assert "more than 7, which is the limit of a namespace" in said(graph)["b"]


def test_a_certificate_of_two_namespaces_is_as_large_as_one_can_afford() -> None:
    of_c = route("r", "c", ref("s", "a"), parents=[{"name": "c4", "namespace": "b"}])
    graph = built(*OWN, *POLICY, *foreign(5), of_c, grant("h", "a", "c", "s"))
    assert counts(graph)["a/s:80/@b/c4"] == COUNT
    assert list(said(graph)) == ["b"]


def test_a_service_without_own_routes_has_its_endpoints_once() -> None:
    graph = built(*OWN[:2], OWN[4], *POLICY, *foreign(4))
    assert counts(graph) == {"a/s:80/@b/c0": 4, "a/s:80/@b/c1": 4, "a/s:80/@b/c2": 4, "a/s:80/@b/c3": 2}


def test_above_its_own_limit_refused_endpoints_are_still_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ration, "MOST_OF_SERVICE", 3)
    piece = endpoint_slice("s", "a", "s", "127.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
    graph = build_graph(replaced(world(*OWN), piece), GraphSettings(local_endpoints=False))
    assert counts(graph) == {"a/s:80": 2}


@pytest.mark.parametrize("more", [(), POLICY])
def test_edits_give_what_a_build_from_scratch_gives(more: tuple[Resource, ...]) -> None:
    graph = built(*OWN)
    compiled = compile_snapshot(graph)
    for objects in ((*OWN, *foreign(5)), (*OWN, *more, *foreign(5)), (*OWN, *more, *foreign(2)), OWN):
        resources = world(*objects)
        graph = build_graph(resources, GraphSettings(), graph)
        compiled = compile_snapshot(graph, previous=compiled)
        scratch = build_graph(resources, GraphSettings())
        assert compiled.snapshot == compile_snapshot(scratch).snapshot
        assert graph.routes == scratch.routes
        assert graph.memo.rations == scratch.memo.rations
        assert graph.memo.users == scratch.memo.users
