"""XTelemetryPolicies: which one applies to a Gateway, what is wrong with it, and that a change is noticed."""

from typing import Any

from graph.world import endpoint_slice, gateway, listener, make, ref, removed, replaced, route, service, world

from fastroute.graph.build import build_graph
from fastroute.graph.finding import find_problems
from fastroute.graph.node import Graph
from fastroute.lint import lint
from fastroute.resources.core import EndpointSlice
from fastroute.resources.gateway import EXPERIMENTAL, GROUP
from fastroute.resources.meta import Key
from fastroute.resources.policy import ReferenceGrant
from fastroute.resources.telemetry import XTelemetryPolicy
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings
from fastroute.status import build_statuses

SETTINGS = GraphSettings(local_endpoints=False)
OURS = "fastroute.dev/gateway"


def policy(name: str, *gateways: str, to: str = "", **more: Any) -> XTelemetryPolicy:
    """`to`: the namespace of its collector; "": it has none."""
    targets = [{"group": GROUP, "kind": "Gateway", "name": each} for each in gateways]
    ref = {"name": "otel", "namespace": to, "port": 4318}
    tracing = {"mode": "Enabled", "provider": {"backendRef": ref}} if to else {}
    return make(XTelemetryPolicy, "infra", name, {"targetRefs": targets, "tracing": tracing}, **more)


def edge(name: str = "edge") -> Any:
    return gateway(name, "infra", listener(port=81))


def grant(namespace: str) -> ReferenceGrant:
    spec = {
        "from": [{"group": EXPERIMENTAL, "kind": "XTelemetryPolicy", "namespace": "infra"}],
        "to": [{"group": "", "kind": "Service"}],
    }
    return make(ReferenceGrant, namespace, "g", spec)


def reasons(graph: Graph, name: str, type_: str = "Accepted") -> list[str]:
    """For each ancestor."""
    patch = build_statuses(graph).patches["XTelemetryPolicy", Key("infra", name)]
    mine = [entry for entry in patch.status["ancestors"] if entry["controllerName"] == OURS]
    return [one["reason"] for entry in mine for one in entry["conditions"] if one["type"] == type_]


def follow(before: Graph, resources: Resources) -> Graph:
    """The graph of a change, which must be the one that is built from scratch."""
    graph = build_graph(resources, SETTINGS, before)
    assert graph.telemetry == build_graph(resources, SETTINGS).telemetry
    return graph


def test_the_oldest_policy_applies_and_the_next_one_after_it() -> None:
    old = policy("z", "edge", meta={"creationTimestamp": "2026-01-01T00:00:00Z"})
    new = policy("a", "edge", meta={"creationTimestamp": "2026-01-02T00:00:00Z"})
    same = policy("b", "edge", meta={"creationTimestamp": "2026-01-02T00:00:00Z"})
    resources = world(edge(), old, new, same)
    graph = build_graph(resources, SETTINGS)
    assert [reasons(graph, name) for name in "zab"] == [["Accepted"], ["Conflicted"], ["Conflicted"]]
    graph = follow(graph, removed(resources, XTelemetryPolicy, old.key))
    assert [reasons(graph, name) for name in "ab"] == [["Accepted"], ["Conflicted"]]


def test_a_gateway_that_comes_and_goes() -> None:
    resources = world(edge(), policy("p", "edge", "later"))
    graph = build_graph(resources, SETTINGS)
    assert reasons(graph, "p") == ["Accepted", "TargetNotFound"]
    there = replaced(resources, edge("later"))
    graph = follow(graph, there)
    assert reasons(graph, "p") == ["Accepted", "Accepted"]
    assert reasons(follow(graph, resources), "p") == ["Accepted", "TargetNotFound"]


def test_a_gateway_of_another_controller_has_no_entry() -> None:
    theirs = make(type(edge()), "infra", "theirs", {"gatewayClassName": "other", "listeners": []})
    assert build_graph(world(edge(), theirs, policy("p", "theirs")), SETTINGS).telemetry == {}


def test_a_gateway_that_is_not_chosen_has_no_entry() -> None:
    settings = GraphSettings(gateways=frozenset({"infra/edge"}))
    graph = build_graph(world(edge(), policy("p", "edge", "later"), policy("q", "later")), settings)
    assert reasons(graph, "p") == ["Accepted"]
    assert graph.telemetry.keys() == {Key("infra", "p")}


def test_a_collector_needs_a_grant_and_must_exist() -> None:
    resources = world(edge(), policy("p", "edge", to="obs"))
    graph = build_graph(resources, SETTINGS)
    assert reasons(graph, "p", "ResolvedRefs") == ["RefNotPermitted"]
    [refused] = [one for one in find_problems(graph) if one.reason == "RefNotPermitted"]
    assert f"- group: {EXPERIMENTAL}\n    kind: XTelemetryPolicy" in (refused.fix or "")
    granted = replaced(resources, grant("obs"))
    graph = follow(graph, granted)
    assert reasons(graph, "p", "ResolvedRefs") == ["BackendNotFound"]
    assert [one for one in lint(granted, graph) if one.reason == "GrantUnused"] == []
    graph = follow(graph, replaced(granted, service("otel", "obs", ports=[{"port": 4318}])))
    assert reasons(graph, "p", "ResolvedRefs") == ["ResolvedRefs"]
    assert reasons(follow(graph, resources), "p", "ResolvedRefs") == ["RefNotPermitted"]


def test_a_collector_whose_endpoint_becomes_refused_is_noticed() -> None:
    objects = edge(), policy("p", "edge", to="infra"), service("otel", "infra", 4318)
    resources = world(*objects, route("r", "infra", ref("otel", port=4318), parents=[{"name": "edge"}]))
    graph = build_graph(resources, SETTINGS)
    assert reasons(graph, "p", "ResolvedRefs") == ["ResolvedRefs"]
    slices = endpoint_slice("otel-1", "infra", "otel", "127.0.0.1")
    graph = follow(graph, resources := replaced(resources, slices))
    assert reasons(graph, "p", "ResolvedRefs") == ["EndpointRefused"]
    graph = follow(graph, removed(resources, EndpointSlice, slices.key))
    assert reasons(graph, "p", "ResolvedRefs") == ["ResolvedRefs"]


def test_a_collector_that_speaks_grpc_is_refused_by_name() -> None:
    otel = service("otel", "infra", ports=[{"port": 4318, "appProtocol": "kubernetes.io/h2c"}])
    graph = build_graph(world(edge(), policy("p", "edge", to="infra"), otel), SETTINGS)
    assert reasons(graph, "p", "ResolvedRefs") == ["UnsupportedProtocol"]


def test_the_fix_for_a_collector_that_does_not_speak_http_is_no_protocol_that_is_refused_too() -> None:
    otel = service("otel", "infra", {"port": 4318, "appProtocol": "mysql"})
    graph = build_graph(world(edge(), policy("p", "edge", to="infra"), otel), SETTINGS)
    [found] = [one for one in find_problems(graph) if one.reason == "UnsupportedProtocol"]
    assert "grpc" not in found.message
    assert "appProtocol: http;" in found.message
    fixed = service("otel", "infra", {"port": 4318, "appProtocol": "http"})
    assert reasons(follow(graph, replaced(graph.memo.resources, fixed)), "p", "ResolvedRefs") == ["ResolvedRefs"]


def test_entries_of_others_stay_and_the_generation_is_told() -> None:
    theirs = {"controllerName": "example.com/other", "ancestorRef": {"name": "x"}, "conditions": [{"anything": 1}]}
    one = policy("p", "edge", meta={"generation": 7}, status={"ancestors": [theirs]})
    patch = build_statuses(build_graph(world(edge(), one), SETTINGS)).patches["XTelemetryPolicy", one.key]
    first, own = patch.status["ancestors"]
    assert first == theirs
    assert own["ancestorRef"] == {"group": GROUP, "kind": "Gateway", "namespace": "infra", "name": "edge"}
    assert {condition["observedGeneration"] for condition in own["conditions"]} == {7}
