"""From XTelemetryPolicies to what listeners and the main process do."""

from typing import Any

import pytest
from graph.test_telemetry import SETTINGS, edge, grant, policy
from graph.world import endpoint_slice, gateway, listener, make, removed, replaced, service, world

from fastroute.compiler.compile import Compiled, compile_snapshot
from fastroute.graph.build import build_graph
from fastroute.graph.finding import find_problems
from fastroute.lint import lint
from fastroute.resources.core import EndpointSlice
from fastroute.resources.policy import BackendTLSPolicy
from fastroute.resources.telemetry import KEYS, MOST_HEADERS, XTelemetryPolicy
from fastroute.resources.world import Resources
from fastroute.snapshot import Endpoint, ListenerTracing

OTEL = service("otel", "infra", ports=[{"port": 4318}])
ENDPOINT = endpoint_slice("otel-1", "infra", "otel", "10.0.0.9", ports=[{"port": 4318}])


def tracing(**fields: Any) -> XTelemetryPolicy:
    one = policy("p", "edge", to="infra")
    spec = {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}]}
    provider = {"backendRef": {"name": "otel", "port": 4318}, "headers": [{"name": "Authorization", "value": "x"}]}
    usual = {"mode": "Enabled", "provider": provider}
    return make(type(one), "infra", "p", {**spec, "tracing": {**usual, **fields}})


def compiled(*objects: Any) -> Compiled:
    return compile_snapshot(build_graph(world(*objects), SETTINGS))


def of_listeners(result: Compiled) -> list[ListenerTracing | None]:
    return [one.tracing for one in result.snapshot.listeners.values()]


def percent(number: int) -> dict[str, int]:
    return {"numerator": number}


@pytest.mark.parametrize(
    ("fields", "sampling", "parents"),
    [
        ({}, None, 1.0),
        ({"samplingRate": {"numerator": 1, "denominator": 8}}, 0.125, 1.0),
        ({"samplingRate": percent(0), "parentBasedSampling": {}}, 0.0, 1.0),
        ({"parentBasedSampling": {"mode": "Enabled"}}, None, 1.0),
        ({"parentBasedSampling": {"mode": "Enabled", "samplingRate": percent(50)}}, None, 0.5),
        ({"parentBasedSampling": {"mode": "Disabled", "samplingRate": percent(50)}}, None, None),
        ({"parentBasedSampling": {"mode": "ImplementationDefault", "samplingRate": percent(50)}}, None, 1.0),
    ],
)
def test_the_decision(fields: dict[str, Any], sampling: float | None, parents: float | None) -> None:
    [one] = of_listeners(compiled(edge(), OTEL, ENDPOINT, tracing(**fields)))
    assert one is not None
    assert (one.traced, one.sampling, one.parent_sampling) == (True, sampling, parents)


def test_what_the_main_process_gets() -> None:
    attributes = [
        {"name": "env", "sourceType": "Literal", "literalValue": "test"},
        {"name": "user", "sourceType": "Header", "headerName": "X-User"},
        {"name": "verb", "sourceType": "Attribute", "attributeKey": "http.request.method"},
        {"name": "tool", "sourceType": "Attribute", "attributeKey": "gen_ai.tool.name"},
    ]
    result = compiled(edge(), OTEL, ENDPOINT, tracing(attributes=attributes, serviceName="shop", spanName="edge"))
    [one], [listening] = result.snapshot.tracing.values(), of_listeners(result)
    assert listening is not None
    assert (one.number, listening.headers) == (listening.number, ("x-user",))
    assert (one.literals, one.headers, one.keys) == ((("env", "test"),), ("user",), (("verb", "http.request.method"),))
    assert (one.service_name, one.span_name, one.policy) == ("shop", "edge", "infra/p")
    assert (one.collector.service, one.collector.endpoints) == ("infra/otel:4318", (Endpoint("10.0.0.9", 4318),))
    assert one.collector.headers == (("Authorization", "x"),)
    assert "x" not in repr(one.collector).replace("infra", "")


def test_attributes_that_no_span_gets_are_named() -> None:
    fields = [{"name": f"h{n}", "sourceType": "Header", "headerName": f"x-{n}"} for n in range(MOST_HEADERS + 1)]
    unknown = {"name": "tool", "sourceType": "Attribute", "attributeKey": "gen_ai.tool.name"}
    resources = world(edge(), OTEL, ENDPOINT, tracing(attributes=[unknown, *fields]))
    found = [one for one in lint(resources, build_graph(resources, SETTINGS)) if one.reason == "AttributeNotServed"]
    assert [one.field for one in found] == [
        "spec.tracing.attributes[0].attributeKey",
        f"spec.tracing.attributes[{MOST_HEADERS + 1}]",
    ]
    [one] = compile_snapshot(build_graph(resources, SETTINGS)).snapshot.tracing.values()
    assert len(one.headers) == MOST_HEADERS
    assert "http.request.method" in KEYS


def test_a_listener_without_requests_is_not_traced() -> None:
    both = gateway("edge", "infra", listener(port=81), listener("tcp", port=82, protocol="TCP"))
    assert [one is None for one in of_listeners(compiled(both, OTEL, ENDPOINT, tracing()))] == [False, True]


@pytest.mark.parametrize("mode", ["Disabled", "ImplementationDefault"])
def test_a_mode_without_a_collector(mode: str) -> None:
    result = compiled(edge(), tracing(mode=mode, provider=None))
    [one] = of_listeners(result)
    assert (one and one.traced) == (False if mode == "Disabled" else None)
    assert result.snapshot.tracing == {}


def test_a_policy_that_does_not_apply_has_no_effect() -> None:
    first = policy("a", "edge")
    assert of_listeners(compiled(edge(), OTEL, ENDPOINT, first, tracing())) == [None]


def test_without_a_resolved_reference_nothing_is_traced() -> None:
    result = compiled(edge(), policy("p", "edge", to="obs"), grant("other"))
    [one] = of_listeners(result)
    assert one is not None
    assert (one.traced, result.snapshot.tracing) == (False, {})


def tls_policy(**validation: Any) -> BackendTLSPolicy:
    spec = {
        "targetRefs": [{"group": "", "kind": "Service", "name": "otel"}],
        "validation": {"hostname": "otel.example", **validation},
    }
    return make(BackendTLSPolicy, "infra", "tls", spec)


SYSTEM = {"wellKnownCACertificates": "System"}


def test_tls_of_a_policy_for_the_port() -> None:
    resources = world(edge(), OTEL, ENDPOINT, tracing(), tls_policy(**SYSTEM))
    graph = build_graph(resources, SETTINGS)
    [one] = compile_snapshot(graph).snapshot.tracing.values()
    assert one.collector.tls is not None
    assert one.collector.tls.server_name == "otel.example"
    plain = build_graph(removed(resources, BackendTLSPolicy, tls_policy(**SYSTEM).key), SETTINGS, graph)
    [one] = compile_snapshot(plain).snapshot.tracing.values()
    assert one.collector.tls is None


@pytest.mark.parametrize(
    "validation",
    [
        {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "missing"}]},
        {**SYSTEM, "subjectAltNames": [{"type": "Hostname", "hostname": "other.example"}]},
    ],
    ids=["missing", "names"],
)
def test_nothing_is_sent_if_the_tls_of_a_policy_is_not_possible(validation: dict[str, Any]) -> None:
    resources = world(edge(), OTEL, ENDPOINT, tracing(), tls_policy(**validation))
    graph = build_graph(resources, SETTINGS)
    [found] = [one for one in find_problems(graph) if one.kind == "XTelemetryPolicy"]
    assert (found.reason, "BackendTLSPolicy infra/tls" in found.message) == ("UnsupportedProtocol", True)
    assert compile_snapshot(graph).snapshot.tracing == {}
    mended = build_graph(replaced(resources, tls_policy(**SYSTEM)), SETTINGS, graph)
    assert len(compile_snapshot(mended).snapshot.tracing) == 1


def test_a_refused_endpoint_gets_nothing_although_no_route_uses_its_service() -> None:
    local = endpoint_slice("otel-1", "infra", "otel", "169.254.169.254", ports=[{"port": 4318}])
    graph = build_graph(world(edge(), OTEL, local, tracing()), SETTINGS)
    assert [one.reason for one in find_problems(graph)] == ["EndpointRefused"]
    [one] = compile_snapshot(graph).snapshot.tracing.values()
    assert one.collector.endpoints == ()


def test_changes_are_noticed() -> None:
    """Of endpoints, without work for listeners; of the policy, without work for rules."""
    resources = world(edge(), OTEL, ENDPOINT, tracing())
    graph = build_graph(resources, SETTINGS)
    first = compile_snapshot(graph)

    def follow(changed: Resources, before: Compiled) -> Compiled:
        nonlocal graph
        graph = build_graph(changed, SETTINGS, graph)
        after = compile_snapshot(graph, previous=before)
        assert after.snapshot == compile_snapshot(build_graph(changed, SETTINGS)).snapshot
        return after

    moved = follow(removed(resources, EndpointSlice, ENDPOINT.key), first)
    [one] = moved.snapshot.tracing.values()
    assert one.collector.endpoints == ()
    assert moved.snapshot.listeners is first.snapshot.listeners
    rarer = follow(replaced(resources, tracing(samplingRate=percent(7))), moved)
    assert [one and one.sampling for one in of_listeners(rarer)] == [0.07]
    assert rarer.rules_made == 0
    gone = follow(removed(resources, XTelemetryPolicy, tracing().key), rarer)
    assert (of_listeners(gone), gone.snapshot.tracing) == ([None], {})
