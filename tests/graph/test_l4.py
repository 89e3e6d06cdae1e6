"""TCPRoutes, TLSRoutes and UDPRoutes in the graph: references, listeners, hostnames, rivals and warnings."""

from typing import Any
from unittest import mock

import pytest
from graph.secrets import secret
from graph.world import (
    endpoint_slice,
    gateway,
    grant,
    https,
    listener,
    listener_set,
    make,
    ref,
    route,
    tls_policy,
    world,
)

from fastroute.graph import memory
from fastroute.graph.build import build_graph
from fastroute.graph.feature import supported_features
from fastroute.graph.node import Graph
from fastroute.lint import lint
from fastroute.resources.core import Service
from fastroute.resources.gateway import GatewayClass
from fastroute.resources.meta import Key, Resource
from fastroute.resources.proxy_protocol import ANNOTATION
from fastroute.resources.tcproute import TCPRoute
from fastroute.resources.tlsroute import TLSRoute
from fastroute.resources.udproute import UDPRoute
from fastroute.settings import GraphSettings
from fastroute.snapshot import ListenerTLS, Mode

CLASS = make(GatewayClass, "", "fastroute", {"controllerName": GraphSettings().controller_name})
KINDS: dict[str, type[Any]] = {"TCP": TCPRoute, "TLS": TLSRoute, "UDP": UDPRoute}


def tls_listener(name: str, mode: str, hostname: str | None = None, port: int = 443, **more: Any) -> Any:
    refs = [] if mode == "Passthrough" else [{"name": "tls"}]
    named = {"hostname": hostname} if hostname else {}
    return listener(name, port, "TLS", tls={"mode": mode, "certificateRefs": refs}, **named, **more)


LISTENERS = {
    "TCP": listener("l", 5432, "TCP"),
    "TLS": tls_listener("l", "Passthrough"),
    "UDP": listener("l", 53, "UDP"),
}


def service(name: str, namespace: str, *ports: Any, annotations: dict[str, str] | None = None) -> Service:
    values = [{"port": port} if isinstance(port, int) else port for port in ports or (80,)]
    return make(Service, namespace, name, {"ports": values}, meta={"annotations": annotations or {}})


def port_for(protocol: str, **more: Any) -> Any:
    return {"port": 80, "protocol": "UDP" if protocol == "UDP" else "TCP", **more}


def built(*objects: Resource) -> Graph:
    return build_graph(world(CLASS, *objects), GraphSettings())


def conditions(graph: Graph, kind: str, name: str = "r", namespace: str = "red") -> list[str]:
    """The negative conditions of a route at all of its parents."""
    id_ = kind, Key(namespace, name)
    own = graph.routes[id_].problems
    return [f"{one.condition}/{one.reason}" for parent in graph.parents[id_] for one in (*parent.problems, *own)]


def attached(graph: Graph, gateway_name: str = "gw") -> dict[str, list[str]]:
    listeners = graph.gateways[Key("infra", gateway_name)].listeners
    return {one.source.name: [str(key) for _, key in one.attachments] for one in listeners}


@pytest.mark.parametrize("protocol", KINDS)
@pytest.mark.parametrize(
    ("target", "others", "reason"),
    [
        (ref("s"), [], None),
        (ref("s", "blue"), ["grant"], None),
        (ref("s", "blue"), [], "RefNotPermitted"),
        (ref("none", "blue"), [], "RefNotPermitted"),
        (ref("s", "blue"), ["other grant"], "RefNotPermitted"),
        (ref("none"), [], "BackendNotFound"),
        (ref("s", port=81), [], "BackendNotFound"),
        (ref("s", port=82), [], "UnsupportedProtocol"),
        (ref("s", kind="Pod"), [], "InvalidKind"),
        (ref("s", port=83), [], None),
    ],
)
def test_references_are_resolved_as_for_other_kinds(
    protocol: str, target: Any, others: list[str], reason: str | None
) -> None:
    kind = KINDS[protocol]
    strange = {"port": 82, "protocol": "TCP" if protocol == "UDP" else "UDP", "name": "x"}
    ports = (port_for(protocol, name="a"), strange, port_for(protocol, name="b") | {"port": 83, "appProtocol": "mysql"})
    grants = {
        "grant": grant("g", "blue", "red", from_kind=kind.__name__),
        "other grant": grant("g", "blue", "red", from_kind="HTTPRoute"),
    }
    objects = [gateway("gw", "infra", LISTENERS[protocol]), service("s", "red", *ports), service("s", "blue", *ports)]
    graph = built(*objects, route("r", "red", target, type_=kind), *(grants[name] for name in others))
    assert conditions(graph, kind.__name__) == ([] if reason is None else [f"ResolvedRefs/{reason}"])
    assert attached(graph) == {"l": ["red/r"]}, "a refused reference refuses its share only"


def test_backends_of_connections_and_datagrams_are_others_than_those_of_requests() -> None:
    ports = (80, {"port": 80, "protocol": "UDP", "name": "u"})
    routes = [route("r", "red", ref("s"), type_=kind) for kind in KINDS.values()]
    listeners = [listener(), *({**one, "name": name} for name, one in LISTENERS.items())]
    graph = built(gateway("gw", "infra", *listeners), service("s", "red", *ports), route("r", "red", ref("s")), *routes)
    assert sorted(graph.backends) == ["red/s:80", "red/s:80/raw", "red/s:80/udp"]


@pytest.mark.parametrize("protocol", KINDS)
def test_a_route_with_several_rules_is_not_accepted(protocol: str) -> None:
    kind = KINDS[protocol]
    rules = [{"backendRefs": [ref("s")]}, {"backendRefs": [ref("s")]}]
    graph = built(gateway("gw", "infra", LISTENERS[protocol]), route("r", "red", type_=kind, rules=rules))
    assert "Accepted/UnsupportedValue" in conditions(graph, kind.__name__)
    assert attached(graph) == {"l": []}


@pytest.mark.parametrize("protocol", KINDS)
def test_a_route_attaches_only_to_listeners_of_its_protocol(protocol: str) -> None:
    kind = KINDS[protocol]
    every = [
        listener("http", 80),
        https("https", "tls", port=8443),
        *({**one, "name": name} for name, one in LISTENERS.items()),
    ]
    graph = built(gateway("gw", "infra", *every), secret("tls", "infra"), route("r", "red", ref("s"), type_=kind))
    assert attached(graph) == {one["name"]: ["red/r"] if one["name"] == protocol else [] for one in every}
    for one in every:
        at = {"namespace": "infra", "name": "gw", "sectionName": one["name"]}
        graph = built(
            gateway("gw", "infra", *every),
            secret("tls", "infra"),
            service("s", "red", port_for(protocol)),
            route("r", "red", ref("s"), type_=kind, parents=[at]),
        )
        expected = [] if one["name"] == protocol else ["Accepted/NotAllowedByListeners"]
        assert conditions(graph, kind.__name__) == expected


@pytest.mark.parametrize("protocol", KINDS)
def test_the_kinds_of_a_listener(protocol: str) -> None:
    own = KINDS[protocol].__name__
    kinds = [{"kind": own}, {"kind": "HTTPRoute"}]
    graph = built(
        gateway(
            "gw",
            "infra",
            LISTENERS[protocol],
            {**LISTENERS[protocol], "name": "k", "port": 1, "allowedRoutes": {"kinds": kinds}},
        )
    )
    free, named = graph.gateways[Key("infra", "gw")].listeners
    assert [kind for _, kind in free.supported_kinds] == [kind for _, kind in named.supported_kinds] == [own]
    assert [one.reason for one in free.problems] == []
    assert [one.reason for one in named.problems] == ["InvalidRouteKinds"]
    assert free.serves
    assert named.serves


@pytest.mark.parametrize(
    ("asked", "tls", "reasons"),
    [
        (tls_listener("l", "Passthrough"), None, []),
        (tls_listener("l", "Terminate"), ListenerTLS(certificates=("infra/tls",), protocol="raw", alpn=()), []),
        (
            listener("l", 443, "TLS", tls={"mode": "Terminate", "options": {"a.b/c": "d"}}),
            None,
            ["InvalidCertificateRef"],
        ),
        (listener("l", 443, "TLS", tls={"certificateRefs": [{"name": "x"}]}), None, ["InvalidCertificateRef"]),
        (
            listener("l", 443, "TLS", tls={"certificateRefs": [{"name": "tls", "namespace": "red"}]}),
            None,
            ["RefNotPermitted"],
        ),
    ],
)
def test_only_listeners_that_end_tls_need_certificates(asked: Any, tls: ListenerTLS | None, reasons: list[str]) -> None:
    graph = built(gateway("gw", "infra", asked), secret("tls", "infra"))
    [node] = graph.gateways[Key("infra", "gw")].listeners
    assert (node.tls, [one.reason for one in node.problems]) == (tls, reasons)
    assert node.serves is not bool(reasons)


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ((tls_listener("a", "Passthrough", "a.x"), tls_listener("b", "Terminate", "b.x")), None),
        ((tls_listener("a", "Passthrough", "a.x"), https("b", "tls", hostname="b.x")), None),
        ((tls_listener("a", "Passthrough"), https("b", "tls", hostname="b.x")), None),
        ((tls_listener("a", "Passthrough", "a.x"), https("b", "tls", hostname="a.x")), "HostnameConflict"),
        ((tls_listener("a", "Passthrough"), tls_listener("b", "Terminate")), "HostnameConflict"),
        ((tls_listener("a", "Passthrough"), listener("b", 443, "TCP")), "ProtocolConflict"),
        ((listener("a", 53, "TCP"), listener("b", 53, "UDP")), None),
        ((listener("a", 53, "TCP"), listener("b", 53, "TCP")), "HostnameConflict"),
        ((listener("a", 80), listener("b", 80, "TCP")), "ProtocolConflict"),
    ],
)
def test_conflicts_of_listeners(pair: tuple[Any, Any], reason: str | None) -> None:
    graph = built(gateway("gw", "infra", *pair), secret("tls", "infra"))
    nodes = graph.gateways[Key("infra", "gw")].listeners
    assert [[one.reason for one in node.problems] for node in nodes] == [[] if reason is None else [reason]] * 2
    spec = {"allowedListeners": {"namespaces": {"from": "All"}}}
    first, second = pair
    more = listener_set("s", "infra", second)
    graph = built(gateway("gw", "infra", first, spec=spec), more, secret("tls", "infra"))
    [own], [added] = (node.listeners for node in graph.holders)
    assert [one.reason for one in own.problems] == []
    assert [one.reason for one in added.problems] == ([] if reason is None else [reason])


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_the_advice_on_a_conflict_of_ports_is_about_ports(protocol: str) -> None:
    pair = listener("a", 53, protocol), listener("b", 53, protocol)
    graph = built(gateway("gw", "infra", *pair), secret("tls", "infra"))
    messages = [one.message for node in graph.gateways[Key("infra", "gw")].listeners for one in node.problems]
    spec = {"allowedListeners": {"namespaces": {"from": "All"}}}
    graph = built(gateway("gw", "infra", pair[0], spec=spec), listener_set("s", "infra", pair[1]))
    messages += [one.message for holder in graph.holders for node in holder.listeners for one in node.problems]
    assert len(messages) == 3
    assert [one for one in messages if "hostname" in one or f"{protocol} port 53 is" not in one] == []


@pytest.mark.parametrize(
    ("listening", "asked", "met"),
    [
        (None, ["a.x"], ("a.x",)),
        ("*.x", ["a.x", "b.y"], ("a.x",)),
        ("a.x", ["*.x"], ("*.x",)),
        ("a.x", [], ("",)),
        ("a.x", ["b.x"], None),
    ],
)
def test_the_hostnames_of_tls_routes(listening: str | None, asked: list[str], met: tuple[str, ...] | None) -> None:
    made = route("r", "red", ref("s"), type_=TLSRoute, hostnames=asked)
    graph = built(gateway("gw", "infra", tls_listener("l", "Passthrough", listening)), service("s", "red"), made)
    [node] = graph.gateways[Key("infra", "gw")].listeners
    assert [one.hostnames for one in node.attachments.values()] == ([] if met is None else [met])
    assert conditions(graph, "TLSRoute") == ([] if met else ["Accepted/NoMatchingListenerHostname"])


@pytest.mark.parametrize(
    ("value", "reason", "announced"), [(None, None, False), ("v2", None, True), ("v1", "UnsupportedProtocol", None)]
)
def test_the_annotation_asks_for_the_proxy_protocol(
    value: str | None, reason: str | None, announced: bool | None
) -> None:
    marked = service("s", "red", annotations={} if value is None else {ANNOTATION: value})
    objects = [gateway("gw", "infra", LISTENERS["TCP"], listener("web")), marked, route("h", "red", ref("s"))]
    graph = built(*objects, route("r", "red", ref("s"), type_=TCPRoute))
    assert conditions(graph, "TCPRoute") == ([] if reason is None else [f"ResolvedRefs/{reason}"])
    assert not graph.backends["red/s:80"].proxy_protocol, "it is not for requests"
    raw = graph.backends.get("red/s:80/raw")
    assert (None if raw is None else raw.proxy_protocol) == announced


def test_a_changed_annotation_takes_effect() -> None:
    objects = [CLASS, gateway("gw", "infra", LISTENERS["TCP"]), route("r", "red", ref("s"), type_=TCPRoute)]
    graph = build_graph(world(*objects, service("s", "red", annotations={ANNOTATION: "v1"})), GraphSettings())
    for value, is_served in (("v2", True), ("v3", False), ("v2", True)):
        later = world(*objects, service("s", "red", annotations={ANNOTATION: value}))
        graph = build_graph(later, GraphSettings(), graph)
        assert (conditions(graph, "TCPRoute") == []) is is_served
        assert ("red/s:80/raw" in graph.backends) is is_served


def test_modes_of_tls_are_chosen_by_the_listener() -> None:
    graph = built(
        gateway("gw", "infra", tls_listener("p", "Passthrough", "a.x"), tls_listener("t", "Terminate", "b.x"))
    )
    assert [node.mode for node in graph.gateways[Key("infra", "gw")].listeners] == [Mode.PASSTHROUGH, Mode.TERMINATE]


def said(graph: Graph, *reasons: str) -> list[tuple[str, str | None]]:
    return [(str(one.key), one.field) for one in lint(graph.resources, graph) if one.reason in reasons]


def born(day: int) -> dict[str, str]:
    return {"creationTimestamp": f"2026-01-0{day}T00:00:00Z"}


def test_names_of_older_routes_are_warned_about() -> None:
    old = route("z", "red", ref("s"), type_=TLSRoute, hostnames=["b.x", "c.x"], meta=born(1))
    new = route("a", "red", ref("s"), type_=TLSRoute, hostnames=["a.x", "B.x"], meta=born(2))
    graph = built(gateway("gw", "infra", LISTENERS["TLS"]), service("s", "red"), old, new)
    assert said(graph, "Shadowed") == [("red/a", "spec.hostnames[1]")]
    pair = [route(name, "red", ref("s"), type_=TCPRoute) for name in ("b", "a")]
    graph = built(gateway("gw", "infra", LISTENERS["TCP"]), service("s", "red"), *pair)
    assert said(graph, "Shadowed") == [("red/b", "spec.parentRefs")]
    assert attached(graph) == {"l": ["red/a", "red/b"]}, "both are accepted"


@pytest.mark.parametrize(
    ("weights", "reasons"),
    [
        ((0, 0), [("red/r", "spec.rules[0].backendRefs")]),
        ((1, 0), [("red/r", "spec.rules[0].backendRefs[1].weight")]),
        ((1, 2), []),
    ],
)
def test_weights_of_zero_are_warned_about(weights: tuple[int, int], reasons: Any) -> None:
    refs = [ref("s", weight=weight) for weight in weights]
    made = route("r", "red", *refs, type_=TCPRoute)
    graph = built(
        gateway("gw", "infra", LISTENERS["TCP"]), service("s", "red"), endpoint_slice("e", "red", "s", "10.0.0.1"), made
    )
    assert said(graph, "AllWeightsZero", "WeightZero") == reasons


def test_features_are_those_of_kinds_that_are_served() -> None:
    names = supported_features("v1.6.3", infrastructure=False)
    assert {"TCPRoute", "TLSRoute", "TLSRouteModeMixed", "TLSRouteModeTerminate", "UDPRoute"} <= set(names)


def test_a_policy_that_cannot_be_fulfilled_withholds_no_bytes_that_are_passed_on() -> None:
    bad = tls_policy("p", "red", "s", authorities=["none"])
    listeners = tls_listener("p", "Passthrough", "a.x"), tls_listener("t", "Terminate", "b.x")
    made = route("r", "red", ref("s"), type_=TLSRoute, hostnames=["*.x"])
    graph = built(gateway("gw", "infra", *listeners), secret("tls", "infra"), service("s", "red"), bad, made)
    assert conditions(graph, "TLSRoute") == []
    assert graph.backends["red/s:80/raw"].certificates == ("", "passthrough")


def test_an_address_as_a_server_name_is_warned_about() -> None:
    made = route("r", "red", ref("s"), type_=TLSRoute, hostnames=["10.0.0.1"])
    graph = built(gateway("gw", "infra", LISTENERS["TLS"]), service("s", "red"), made)
    [warning] = [one for one in lint(graph.resources, graph) if one.reason == "HostnameIsAddress"]
    assert warning.message.endswith("it matches no connection.")


def test_bytes_that_are_passed_on_need_no_memory_for_certificates() -> None:
    made = route("r", "red", *[ref("s")] * 16, type_=TLSRoute, hostnames=["a.x"])
    with mock.patch.object(memory, "MOST_OF_ROUTE", 100 << 10):
        graph = built(gateway("gw", "infra", LISTENERS["TLS"]), service("s", "red"), made)
    assert conditions(graph, "TLSRoute") == []


def test_policies_do_not_change_the_backends_of_datagrams() -> None:
    shown = {"tls": {"backend": {"clientCertificateRef": {"name": "tls"}}}}
    ports = {"port": 80, "protocol": "UDP"}
    objects = [secret("tls", "infra"), service("s", "red", ports), tls_policy("p", "red", "s")]
    made = route("r", "red", ref("s"), type_=UDPRoute)
    graph = built(gateway("gw", "infra", LISTENERS["UDP"], spec=shown), *objects, made)
    assert graph.backends["red/s:80/udp"].certificates == ("",)
