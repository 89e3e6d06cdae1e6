"""A change costs as much as the objects that it affects, and has the same result as a rebuild."""

import functools
from typing import Any
from unittest import mock

import msgspec
import pytest
from graph.secrets import chain, plain_secret, secret
from graph.world import (
    config_map,
    endpoint_slice,
    gateway,
    grant,
    https,
    listener,
    listener_set,
    make,
    namespace,
    ref,
    removed,
    replaced,
    route,
    service,
    tls_policy,
    turned,
    world,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.graph import authorities, policy_room, ration
from fastroute.graph.build import build_graph
from fastroute.graph.change import find_touched
from fastroute.graph.dependency import NAMESPACES, SERVICES, Dependencies, changed_entries
from fastroute.graph.node import Graph
from fastroute.graph.route_stages import STAGES
from fastroute.resources.core import ConfigMap, EndpointSlice, Namespace, Secret, Service
from fastroute.resources.gateway import GROUP, Gateway, GatewayClass, ListenerSet
from fastroute.resources.grpcroute import GRPCRoute
from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.meta import Key
from fastroute.resources.policy import BackendTLSPolicy, ReferenceGrant
from fastroute.resources.world import Resources
from fastroute.settings import EVERYWHERE, Addressing, GraphSettings
from fastroute.snapshot import Endpoint
from fastroute.status import Statuses, build_statuses, everything_bound

SETTINGS = GraphSettings()
REFUSING = GraphSettings(
    addressing=Addressing(bind=EVERYWHERE, addresses=("10.0.0.8",), port_offset=8000),
    max_ports=2,
    local_endpoints=False,
    operators=(("::", 9900), ("10.0.0.9", 9902)),
    machine=frozenset({"10.0.0.5"}),
)
ENDPOINTS = ("10.0.0.1", "10.0.0.2", "10.0.0.5", "10.0.0.8", "10.0.0.9", "127.0.0.1", "169.254.169.254")
TEAMS = ("infra", "red", "blue")
team = st.sampled_from(TEAMS)
number = st.sampled_from((0, 1))
BY_LABEL = {"from": "Selector", "selector": {"matchLabels": {"open": "yes"}}}
OTHER = "example.com/other"
CA, OTHER_CA = (chain("ca", number=number).decode() for number in (0, 1))


def parents(draw: Any) -> list[Any]:
    section = st.sampled_from((None, "one", "two"))
    gateways = {"namespace": st.just("infra"), "name": st.sampled_from(("gw0", "gw1")), "sectionName": section}
    sets = {"kind": st.just("ListenerSet"), "namespace": team, "name": st.just("ls0"), "sectionName": section}
    refs = st.one_of(st.fixed_dictionaries(gateways), st.fixed_dictionaries(sets))
    return draw(st.lists(refs, min_size=0, max_size=2))


@st.composite
def edits(draw: Any) -> Any:
    """An object to apply, or the (type, key) of one to remove."""
    kind = draw(
        st.sampled_from(
            (
                *(Gateway, ListenerSet, HTTPRoute, HTTPRoute, GRPCRoute, Service, EndpointSlice),
                *(ReferenceGrant, Namespace, GatewayClass, Secret, BackendTLSPolicy, BackendTLSPolicy, ConfigMap),
            )
        )
    )
    home, index = draw(team), draw(number)
    remove = draw(st.integers(0, 3)) == 0
    match kind:
        case _ if kind is Gateway:
            thing = some_gateway(draw, index)
        case _ if kind is ListenerSet:
            thing = some_set(draw, home)
        case _ if kind is Secret:
            thing = draw(st.sampled_from(SECRETS))(f"c{index}", home)
        case _ if kind in (HTTPRoute, GRPCRoute):
            refs = [
                ref(f"s{draw(number)}", draw(team), port=draw(st.sampled_from((80, 81))))
                for _ in range(draw(number) + 1)
            ]
            hosts = draw(
                st.lists(st.sampled_from(("a.example.com", "*.example.com", "b.org")), unique=True, max_size=2)
            )
            tests = [{"name": "x", "type": "RegularExpression", "value": f"[^/]*{letter}[^/]{{4}}"} for letter in "abc"]
            costly = kind is HTTPRoute and draw(st.booleans())  # two such routes exceed the share of their namespace
            rules = [{"backendRefs": refs, **({"matches": [{"headers": [test]} for test in tests]} if costly else {})}]
            thing = route(f"r{index}", home, rules=rules, type_=kind, parents=parents(draw), hostnames=hosts)
        case _ if kind is Service:
            numbers = draw(st.sampled_from(((80,), (80, 81))))
            spec = {"ports": [{"name": draw(st.sampled_from(("", f"p{port}"))), "port": port} for port in numbers]}
            meta = {"creationTimestamp": f"2026-01-0{draw(number) + 1}T00:00:00Z"}
            thing = make(Service, home, f"s{index}", spec, meta=meta)
        case _ if kind is EndpointSlice:
            owner = draw(st.sampled_from((None, "s0", "s1")))
            addresses = draw(st.lists(st.sampled_from(ENDPOINTS), unique=True, max_size=3))
            ports = [{"port": draw(st.sampled_from((80, 81, 8080, 8443, 9900, 9902)))}]
            thing = endpoint_slice(f"e{index}", home, owner, *addresses, ports=ports)
        case _ if kind is BackendTLSPolicy:
            section = draw(st.sampled_from((None, "p80", "none")))
            services = draw(st.lists(st.sampled_from(("s0", "s1")), min_size=1, max_size=2, unique=True))
            names = draw(st.lists(st.sampled_from(("m0", "m1")), max_size=2))
            thing = tls_policy(f"p{index}", home, *services, section=section, authorities=names)
        case _ if kind is ConfigMap:
            thing = config_map(f"m{index}", home, draw(st.sampled_from((None, "", CA, f"{CA}{CA}", OTHER_CA))))
        case _ if kind is ReferenceGrant:
            to = draw(st.sampled_from((None, "s0", "c0")))
            referrer = draw(st.sampled_from(("HTTPRoute", "GRPCRoute", "Gateway", "ListenerSet")))
            target = "Service" if referrer.endswith("Route") else "Secret"
            thing = grant(f"g{index}", home, draw(team), to, from_kind=referrer, to_kind=target)
        case _ if kind is Namespace:
            thing = namespace(home, **draw(st.sampled_from(({}, {"open": "yes"}, {"open": "no"}))))
        case _:
            name = draw(st.sampled_from(("fastroute", "other")))
            controller = SETTINGS.controller_name if draw(number) else OTHER
            thing = make(GatewayClass, "", name, {"controllerName": controller})
    return (type(thing), thing.key) if remove else thing


def some_gateway(draw: Any, index: int) -> Gateway:
    allow, port = st.sampled_from(("All", "Same", BY_LABEL)), st.sampled_from((80, 8080))
    listeners = [listener(name, draw(port), allow=draw(allow)) for name in ("one", "two")[: 1 + draw(number)]]
    listeners[0]["hostname"] = draw(st.sampled_from((None, "*.example.com")))
    listeners += some_https(draw)
    created = f"2026-01-0{draw(number) + 1}T00:00:00Z"
    spec = {"allowedListeners": {"namespaces": draw(st.sampled_from(({"from": "All"}, {"from": "None"}, BY_LABEL)))}}
    tls = {"backend": draw(st.sampled_from(({}, {"clientCertificateRef": {"name": "c0"}})))}
    return gateway(f"gw{index}", "infra", *listeners, meta={"creationTimestamp": created}, spec={**spec, "tls": tls})


def some_set(draw: Any, home: str) -> ListenerSet:
    listeners = [listener("one", draw(st.sampled_from((80, 81))), hostname=draw(st.sampled_from((None, "b.org"))))]
    return listener_set("ls0", home, *listeners, *some_https(draw), parent=f"gw{draw(number)}")


def some_https(draw: Any) -> list[Any]:
    names = draw(st.lists(st.sampled_from(("c0", "c1", "red/c0", "blue/c0")), max_size=2))
    return [https("tls", *names, port=draw(st.sampled_from((443, 8443))))] if names else []


def nothing(name: str, home: str) -> Secret:
    return plain_secret(name, home, {"tls.crt": b"x"})


SECRETS = (secret, functools.partial(secret, number=1), nothing)


def applied(resources: Resources, edit: Any) -> Resources:
    return removed(resources, *edit) if isinstance(edit, tuple) else replaced(resources, edit)


PARTS = ("classes", "gateways", "listener_sets", "routes", "parents", "backends", "certificates", "policies")


def shown(graph: Graph) -> dict[str, Any]:
    return {name: getattr(graph, name) for name in PARTS}


def statuses(graph: Graph, previous: Statuses | None = None) -> Statuses:
    return build_statuses(graph, everything_bound(graph), previous)


START = world(
    gateway("gw0", "infra", listener("one")),
    route("r0", "red", ref("s0")),
    route("r1", "blue", ref("s0", "red"), ref("s1", "blue"), parents=[{"namespace": "infra", "name": "gw0"}]),
    service("s0", "red"),
    service("s1", "blue"),
    endpoint_slice("e0", "red", "s0", "10.0.0.1"),
    grant("g0", "red", "blue"),
)


def test_endpoints_are_refused_in_the_same_way_after_the_last_gateway_is_gone() -> None:
    own = endpoint_slice("e", "infra", "s", "127.0.0.1", ports=[{"port": 9900}])  # the health port
    graph = build_graph(replaced(world(gateway()), own), SETTINGS)
    after = build_graph(world(own), SETTINGS, graph)
    assert after.memo.exclusion.suspects == build_graph(world(own), SETTINGS).memo.exclusion.suspects


@pytest.mark.parametrize(
    ("asked", "endpoints"), [(SETTINGS, 100_000), (REFUSING, 100_000), (REFUSING, 3)], ids=["usual", "refusing", "few"]
)
@given(steps=st.lists(st.lists(edits(), min_size=1, max_size=3), max_size=12))
@settings(max_examples=80, deadline=None)
def test_increments_equal_a_rebuild_from_nothing(asked: GraphSettings, endpoints: int, steps: list[list[Any]]) -> None:
    """With REFUSING, some ports are above the limit, and some endpoints are refused. `endpoints`: for a namespace."""
    own = max(1, endpoints // 2)
    one = policy_room.CONTEXT + authorities.memory_of([max(CA, OTHER_CA, key=len).encode()])
    limits = mock.patch.multiple(ration, MOST_OF_NAMESPACE=endpoints, MOST_OF_SERVICE=own)
    with limits, mock.patch.object(policy_room, "MOST", one if endpoints == 3 else policy_room.MOST):
        compare_steps(asked, steps)


def compare_steps(asked: GraphSettings, steps: list[list[Any]]) -> None:
    resources = START
    graph = build_graph(resources, asked)
    said = statuses(graph)
    for step in steps:
        for edit in step:
            resources = applied(resources, edit)
        before, was = graph, said
        graph = build_graph(resources, asked, before)
        said = statuses(graph, was)
        anew = build_graph(turned(resources), asked)
        assert shown(graph) == shown(anew)
        assert said.patches == statuses(anew).patches
        assert graph.memo.exclusion.suspects == anew.memo.exclusion.suspects
        assert_kept(before, graph)
        assert all(patch is was.patches[id_] for id_, patch in said.patches.items() if was.patches.get(id_) == patch)


def assert_kept(before: Graph, graph: Graph) -> None:
    """Equal nodes must be identical objects, because the compiler detects changes by identity."""
    for name, nodes in shown(graph).items():
        old = getattr(before, name)
        assert all(node is old[id_] for id_, node in nodes.items() if old.get(id_) == node), name
        assert nodes is old or nodes != old, name
    old_holders = {holder.id: holder for holder in before.holders}
    for node in graph.holders:
        old_holder = old_holders.get(node.id)
        known = {listener.source.name: listener for listener in old_holder.listeners} if old_holder else {}
        for found in node.listeners:
            old = known.get(found.source.name)
            assert found is old or found != old
            attached = old.attachments if old else {}
            for id_, attachment in found.attachments.items():
                assert attachment is attached.get(id_) or attachment != attached.get(id_)


ALLOWING = {"allowedListeners": {"namespaces": BY_LABEL}}
PROXIES = (listener("by-label", allow=BY_LABEL), listener("same", 81, allow="Same"))
SECURE = https("secure", "blue/c0", "own", allow="Same")
REACHING = world(
    gateway("gw", "infra", *PROXIES, SECURE, spec=ALLOWING),
    listener_set("ls", "red", listener("more", 82), https("tls", "own", port=8443)),
    secret("own", "red"),
    secret("own", "infra"),
    route("by-set", "red", ref("s0"), parents=[{"kind": "ListenerSet", "name": "ls"}]),
    namespace("red", open="yes"),
    route("in", "red", ref("s0"), ref("s2"), ref("s0", "blue"), ref("s1", "blue")),
    route("out", "blue", ref("s0", "red"), type_=GRPCRoute),
    service("s0", "red"),
    service("s0", "blue"),
    endpoint_slice("e0", "red", "s0", "10.0.0.1"),
    grant("g0", "blue", "red", "s0"),
    tls_policy("p0", "blue", "s0"),
    tls_policy("p1", "red", "s0", authorities=("m0",)),
    config_map("m0", "red", CA),
)
EDITS = {
    "a ListenerSet": listener_set("ls", "red", listener("more", 83)),
    "a new ListenerSet": listener_set("a", "red", listener("more", 82)),
    "a ListenerSet of another Gateway": listener_set("ls", "red", parent="other"),
    "the allowed ListenerSets": gateway("gw", "infra", *PROXIES, SECURE),
    "a certificate": secret("own", "infra", number=1),
    "an invalid certificate": plain_secret("own", "infra", {}),
    "a certificate of a ListenerSet": secret("own", "red", number=1),
    "a grant to a Secret": grant("c", "blue", "infra", from_kind="Gateway", to_kind="Secret"),
    "a namespace's label": namespace("red"),
    "a new namespace": namespace("blue", open="yes"),
    "a listener": gateway("gw", "infra", listener("by-label", allow="All")),
    "a Gateway of another class": gateway("gw", "infra", class_name="other"),
    "an older Gateway with the same port": gateway("a", "infra", listener("one")),
    "a GatewayClass": make(GatewayClass, "", "fastroute", {"controllerName": OTHER}),
    "a grant that allows": grant("g1", "blue", "red"),
    "a grant of the name that a fix would have": grant("red-httproutes-to-s1", "blue", "green"),
    "a grant in the wrong namespace": grant("g1", "blue", "blue", "s0", from_kind="GRPCRoute"),
    "a grant to the Gateway": grant("g1", "infra", "blue", to_kind="Gateway", to_group=GROUP, from_kind="GRPCRoute"),
    "a Service's port": service("s0", "blue", 81),
    "a Service's port name": service("s0", "red", {"port": 80, "name": "http"}),
    "a Service's protocol": service("s0", "red", {"port": 80, "appProtocol": "kubernetes.io/h2c"}),
    "a new policy": tls_policy("p", "red", "s0"),
    "a policy's name": tls_policy("p0", "blue", "s0", validation={"hostname": "b.example.com"}),
    "a policy's reference": tls_policy("p1", "red", "s0", authorities=("m0", "nothing")),
    "CA certificates": config_map("m0", "red", OTHER_CA),
    "CA certificates that cannot be read": config_map("m0", "red", "x"),
    "a new Service": service("s2", "red"),
    "a slice's endpoints": endpoint_slice("e0", "red", "s0", "10.0.0.2"),
    "a slice's owner": endpoint_slice("e0", "red", "s1", "10.0.0.1"),
    "a new slice": endpoint_slice("e1", "blue", "s0", "10.0.0.1"),
    "a route's references": route("in", "red", ref("s0")),
    "a route's parents": route("in", "red", ref("s0"), parents=[]),
}
REMOVALS = {
    "the ListenerSet": (ListenerSet, Key("red", "ls")),
    "a Secret": (Secret, Key("red", "own")),
    "the Gateway": (Gateway, Key("infra", "gw")),
    "the namespace's labels": (Namespace, Key("", "red")),
    "a route": (HTTPRoute, Key("red", "in")),
    "a grant": (ReferenceGrant, Key("blue", "g0")),
    "a Service": (Service, Key("red", "s0")),
    "a policy": (BackendTLSPolicy, Key("blue", "p0")),
    "CA certificates": (ConfigMap, Key("red", "m0")),
    "a slice": (EndpointSlice, Key("red", "e0")),
}


@pytest.mark.parametrize("edit", [*EDITS.values(), *REMOVALS.values()], ids=[*EDITS, *REMOVALS])
def test_each_dependency_is_followed(edit: Any) -> None:
    before = build_graph(REACHING, SETTINGS)
    resources = applied(REACHING, edit)
    after = build_graph(resources, SETTINGS, before)
    assert shown(after) == shown(build_graph(resources, SETTINGS))
    assert shown(after) != shown(before)
    back = build_graph(REACHING, SETTINGS, after)
    assert shown(back) == shown(before)


def changed_services(old: Resources, new: Resources) -> Dependencies:
    return changed_entries({SERVICES: old.services}, {SERVICES: new.services})


def changed_namespaces(old: Resources, new: Resources) -> Dependencies:
    return changed_entries({NAMESPACES: old.namespaces}, {NAMESPACES: new.namespaces})


def test_what_is_touched() -> None:
    old = world(gateway(), route("r", "red"), route("g", "red", type_=GRPCRoute), service("s", "red"), namespace("red"))
    relabelled = make(Service, "red", "s", {"ports": [{"port": 80}]}, meta={"labels": {"a": "b"}})
    assert changed_services(old, replaced(old, relabelled)) == set()
    annotated = make(Namespace, "", "red", meta={"annotations": {"a": "b"}})
    assert changed_namespaces(old, replaced(old, annotated)) == set()
    assert changed_namespaces(old, replaced(old, namespace("red", a="b"))) == {("Namespace", Key("", "red"))}
    assert changed_services(old, removed(old, Service, Key("red", "s"))) == {("Service", Key("red", "s"))}
    both = replaced(replaced(old, route("r", "red")), route("g", "red", type_=GRPCRoute))
    assert find_touched(old, both).routes == {("HTTPRoute", Key("red", "r")), ("GRPCRoute", Key("red", "g"))}


def many_routes(count: int) -> Resources:
    things: list[Any] = [gateway()]
    for index in range(count):
        home = f"team-{index % 20}"
        things += [
            route(f"r{index}", home, ref(f"s{index}"), hostnames=[f"h{index}.example.com"]),
            service(f"s{index}", home),
            endpoint_slice(f"s{index}-1", home, f"s{index}", "127.0.0.1"),
        ]
    return world(*things)


def test_an_edited_route_makes_one_node() -> None:
    resources = many_routes(300)
    before = build_graph(resources, SETTINGS)
    edited = route("r7", "team-7", ref("s7"), hostnames=["new.example.com"])
    after = build_graph(replaced(resources, edited), SETTINGS, before)
    assert [id_ for id_, node in after.routes.items() if node is not before.routes[id_]] == [("HTTPRoute", edited.key)]
    assert after.backends is before.backends
    old, new = (graph.gateways[Key("infra", "gw")].listeners[0].attachments for graph in (before, after))
    assert [id_ for id_ in new if new[id_] is not old[id_]] == [("HTTPRoute", edited.key)]
    was, said = statuses(before), statuses(after, statuses(before))
    assert said.patches == was.patches
    anew = statuses(after, was)
    assert all(patch is was.patches[id_] for id_, patch in anew.patches.items())


@pytest.mark.parametrize(("edit", "count"), [(namespace("red", open="no"), 0), (service("s", "red", 81), 2)])
def test_new_labels_of_a_namespace_make_no_route(monkeypatch: pytest.MonkeyPatch, edit: Any, count: int) -> None:
    """Only what its routes attach to."""
    made: list[Any] = []
    stage = STAGES["HTTPRoute"]

    def counted(*given: Any) -> Any:
        made.append(given[0])
        return stage.build(*given)

    monkeypatch.setitem(STAGES, "HTTPRoute", stage._replace(build=counted))  # type: ignore[arg-type]
    routes = [route(f"r{index}", "red", ref("s")) for index in range(2)]
    before = world(gateway("gw", "infra", listener(allow=BY_LABEL)), namespace("red", open="yes"), *routes)
    graph = build_graph(before, SETTINGS)
    assert len(made) == 2
    after = build_graph(now := replaced(before, edit), SETTINGS, graph)
    assert len(made) == 2 + count
    assert shown(after) == shown(build_graph(now, SETTINGS))


def test_a_renewed_certificate_makes_no_listener() -> None:
    resources = world(gateway("gw", "infra", *(https(f"l{n}", f"c{n}", port=443 + n) for n in range(20))))
    for number_ in range(20):
        resources = replaced(resources, secret(f"c{number_}", "infra"))
    before = build_graph(resources, SETTINGS)
    assert len(before.certificates) == 20
    after = build_graph(replaced(resources, secret("c7", "infra", number=1)), SETTINGS, before)
    assert after.gateways is before.gateways
    assert [id_ for id_, node in after.certificates.items() if node is not before.certificates[id_]] == ["infra/c7"]


def test_a_secret_that_nobody_names_is_not_read() -> None:
    resources = world(gateway("gw", "infra", https("a", "red/c")), secret("c", "red"), secret("d", "infra"))
    graph = build_graph(resources, SETTINGS)
    assert graph.certificates == {}
    assert graph.memo.secured.certificates == {}


def test_a_changed_slice_makes_no_route() -> None:
    resources = many_routes(300)
    before = build_graph(resources, SETTINGS)
    after = build_graph(replaced(resources, endpoint_slice("s7-1", "team-7", "s7", "127.0.0.9")), SETTINGS, before)
    assert after.routes is before.routes
    assert after.gateways is before.gateways
    assert [id_ for id_, node in after.backends.items() if node is not before.backends[id_]] == ["team-7/s7:80"]
    assert after.backends["team-7/s7:80"].endpoints == (Endpoint("127.0.0.9", 8080),)


def test_nothing_new_is_the_very_same() -> None:
    resources = many_routes(5)
    before = build_graph(resources, SETTINGS)
    after = build_graph(resources, SETTINGS, before)
    assert all(new is old for new, old in zip(shown(after).values(), shown(before).values(), strict=True))


def test_an_irrelevant_edit_of_a_service_or_namespace_touches_nothing() -> None:
    resources = many_routes(5)
    before = build_graph(resources, SETTINGS)
    same = resources.services[Key("team-1", "s1")]
    renewed = msgspec.structs.replace(same, metadata=msgspec.structs.replace(same.metadata, resource_version="2"))
    after = build_graph(replaced(resources, renewed), SETTINGS, before)
    assert after.routes is before.routes
    assert after.backends is before.backends


def test_other_settings_start_from_nothing() -> None:
    resources = many_routes(2)
    before = build_graph(resources, SETTINGS)
    elsewhere = GraphSettings(addressing=Addressing(bind=("127.0.0.2",)))
    after = build_graph(resources, elsewhere, before)
    assert shown(after) == shown(build_graph(resources, elsewhere))


def test_no_graph_holds_an_earlier_one() -> None:
    resources = many_routes(2)
    graph = build_graph(resources, SETTINGS)
    assert not any(isinstance(getattr(graph.memo, name), Graph) for name in graph.memo.__struct_fields__)
