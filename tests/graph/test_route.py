"""Routes and Gateways: every parentRef and every listener is evaluated separately."""

from typing import Any

import msgspec
import pytest
from graph.world import gateway, grant, listener, ref, removed, replaced, route, service, world

from fastroute.graph.build import build_graph
from fastroute.graph.node import Graph, ParentNode
from fastroute.resources.gateway import GROUP, Gateway
from fastroute.resources.grpcroute import GRPCRoute
from fastroute.resources.meta import Key, Resource
from fastroute.settings import GraphSettings

ROUTE = ("HTTPRoute", Key("red", "r"))


def built(*objects: Resource) -> Graph:
    return build_graph(world(*objects), GraphSettings())


def parent(name: str = "gw", **more: Any) -> dict[str, Any]:
    return {"namespace": "infra", "name": name, **more}


TWO = gateway(
    "gw",
    "infra",
    listener("same", 80, allow="Same"),
    listener("all", 8080),
    listener("host", 8081, hostname="a.example.com"),
)


def only(graph: Graph) -> ParentNode:
    (node,) = graph.parents[ROUTE]
    return node


@pytest.mark.parametrize(
    ("ref_", "hostnames", "listeners", "reason"),
    [
        ({}, [], ["all", "host"], None),
        ({"sectionName": "all"}, [], ["all"], None),
        ({"sectionName": "same"}, [], [], "NotAllowedByListeners"),
        ({"sectionName": "none"}, [], [], "NoMatchingParent"),
        ({"port": 8080}, [], ["all"], None),
        ({"port": 80}, [], [], "NotAllowedByListeners"),
        ({"port": 82}, [], [], "NoMatchingParent"),
        ({"sectionName": "all", "port": 8081}, [], [], "NoMatchingParent"),
        ({"sectionName": "host", "port": 8081}, ["a.example.com"], ["host"], None),
        ({"sectionName": "host"}, ["b.example.com"], [], "NoMatchingListenerHostname"),
        ({"sectionName": "same"}, ["b.example.com"], [], "NotAllowedByListeners"),
        ({}, ["b.example.com"], ["all"], None),
    ],
)
def test_one_parent_ref(ref_: dict[str, Any], hostnames: list[str], listeners: list[str], reason: str | None) -> None:
    graph = built(TWO, route("r", "red", parents=[parent(**ref_)], hostnames=hostnames))
    node = only(graph)
    assert list(node.listeners) == listeners
    assert [problem.reason for problem in node.problems] == ([reason] if reason else [])
    attached = [found.source.name for found in graph.gateways[Key("infra", "gw")].listeners if found.attachments]
    assert attached == listeners


def test_parent_refs_are_judged_each_by_itself() -> None:
    refs = [parent(sectionName="same"), parent("none"), parent("theirs"), parent(sectionName="all"), parent()]
    theirs = gateway("theirs", class_name="other")
    graph = built(TWO, theirs, route("r", "red", parents=refs))
    found = graph.parents[ROUTE]
    assert [(node.index, node.listeners) for node in found] == [(0, ()), (3, ("all",)), (4, ("all", "host"))]
    assert [node.parent_ref.section_name for node in found] == ["same", "all", None]


def test_a_route_meets_a_listener_once() -> None:
    graph = built(TWO, route("r", "red", parents=[parent(sectionName="all"), parent()]))
    _, through_both, through_one = graph.gateways[Key("infra", "gw")].listeners
    assert [attachment.parent_ref for attachment in through_both.attachments.values()] == [0]
    assert [attachment.parent_ref for attachment in through_one.attachments.values()] == [1]


@pytest.mark.parametrize(
    "foreign",
    [{"kind": "Service", "group": ""}, {"kind": "ListenerSet"}, {"kind": "Gateway", "group": "x.io"}],
)
def test_parents_of_other_kinds_are_not_ours(foreign: dict[str, Any]) -> None:
    graph = built(TWO, route("r", "red", parents=[parent(**foreign)]))
    assert ROUTE not in graph.routes
    assert ROUTE not in graph.parents


def test_the_namespace_of_a_parent_is_the_routes_by_default() -> None:
    graph = built(gateway("gw", "red"), route("r", "red", parents=[{"name": "gw"}]))
    assert only(graph).holder == ("Gateway", Key("red", "gw"))


def test_an_attachment_keeps_the_routes_own_hostnames() -> None:
    graph = built(
        gateway("gw", "infra", listener(hostname="a.example.com")),
        route("r", "red", hostnames=["*.example.com", "a.example.com", "b.example.com"]),
        route("s", "red"),
    )
    (found,) = graph.gateways[Key("infra", "gw")].listeners
    assert [a.hostnames for a in found.attachments.values()] == [("*.example.com", "a.example.com"), ("",)]


def test_attached_routes_are_those_accepted_whatever_becomes_of_their_references() -> None:
    thing = {"type": "ExtensionRef", "extensionRef": {"group": "x.io", "kind": "Thing", "name": "t"}}
    graph = built(
        gateway(),
        route("good", "red", ref("s"), hostnames=["x.org"]),
        route("refused", "red", ref("s", "blue")),
        route("unserved", "red", rules=[{"filters": [thing]}]),
        route("grpc", "red", ref("s"), type_=GRPCRoute),
        service("s", "red"),
    )
    (found,) = graph.gateways[Key("infra", "gw")].listeners
    assert [a.route.key.name for a in found.attachments.values()] == ["grpc", "good", "refused"]


def test_a_conflicted_listener_still_counts_its_routes() -> None:
    graph = built(gateway("gw", "infra", listener("web", 80), listener("raw", 80, "TCP")), route("r", "red"))
    web, raw = graph.gateways[Key("infra", "gw")].listeners
    assert (len(web.attachments), len(raw.attachments)) == (1, 0)
    assert not web.serves


def test_many_routes_are_counted_one_by_one() -> None:
    routes = [route(f"r{i}", f"team-{i % 7}") for i in range(1200)]
    resources = world(gateway(), *routes)
    graph = build_graph(resources, GraphSettings())
    (found,) = graph.gateways[Key("infra", "gw")].listeners
    assert len(found.attachments) == 1200
    assert [a.route.key for a in found.attachments.values()] == sorted(one.key for one in routes)
    fewer = build_graph(removed(resources, type(routes[0]), routes[0].key), GraphSettings(), graph)
    assert len(fewer.gateways[Key("infra", "gw")].listeners[0].attachments) == 1199


# --- Messages to users


def told(*objects: Resource) -> str:
    (problem,) = only(built(*objects)).problems
    return problem.message


def test_no_matching_parent_says_what_there_is() -> None:
    message = told(TWO, route("r", "red", parents=[parent(sectionName="web", port=80)]))
    assert message == (
        "Gateway infra/gw has no listener named web on port 80; "
        "it has same (port 80), all (port 8080), host (port 8081)."
    )


def test_no_hostname_says_whose() -> None:
    message = told(TWO, route("r", "red", parents=[parent(sectionName="host")], hostnames=["b.org", "c.org"]))
    assert message == (
        "None of the route's hostnames (b.org, c.org) intersects with a hostname of the listeners of "
        "spec.parentRefs[0]: host (a.example.com)."
    )


@pytest.mark.parametrize(
    ("allow", "words"),
    [
        (
            "Same",
            "listener proxy allows only routes in its own namespace infra. To allow it, set allowedRoutes: {namespaces",
        ),
        ({"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}, "a selector that does not match namespace red"),
        (
            {"from": "Selector"},
            "listener proxy allows no namespace, because `from: Selector` requires a selector",
        ),
    ],
)
def test_not_allowed_says_what_would_do(allow: Any, words: str) -> None:
    assert words in told(gateway("gw", "infra", listener(allow=allow)), route("r", "red"))


GRANT = {"to_kind": "Gateway", "to_group": GROUP}


@pytest.mark.parametrize(
    ("granted", "mentioned"),
    [
        (grant("g", "infra", "red", **GRANT), True),
        (grant("g", "infra", "red", "gw", **GRANT), True),
        (grant("g", "infra", "red", "other", **GRANT), False),
        (grant("g", "infra", "blue", **GRANT), False),
        (grant("g", "red", "red", **GRANT), False),
        (grant("g", "infra", "red"), False),
    ],
)
def test_a_grant_to_the_gateway_has_no_effect_and_is_named(granted: Resource, mentioned: bool) -> None:
    same = gateway("gw", "infra", listener(allow="Same"))
    resources = world(same, route("r", "red"))
    before = build_graph(resources, GraphSettings())
    after = build_graph(replaced(resources, granted), GraphSettings(), before)
    (problem,) = only(after).problems
    assert problem.reason == "NotAllowedByListeners"
    assert ("ReferenceGrant infra/g to kind Gateway has no effect" in problem.message) is mentioned


# --- Statuses with the name of this controller


def claimed(status: Any) -> bool:
    mine = msgspec.structs.replace(route("r", "red", parents=[parent("gone")]), status=status)
    graph = built(gateway(), mine)
    assert graph.parents.get(ROUTE, ()) == ()
    return ROUTE in graph.routes


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, False),
        ({"parents": [{"controllerName": "x.io/other"}]}, False),
        ({"parents": [{"controllerName": "x.io/other"}, {"controllerName": "fastroute.dev/gateway"}]}, True),
        ({"parents": "nonsense"}, False),
        ({"parents": [1, None, {"controllerName": 7}]}, False),
    ],
)
def test_a_status_of_ours_without_a_parent_of_ours_must_be_mended(status: Any, expected: bool) -> None:
    assert claimed(status) is expected


def test_a_gateway_that_goes_takes_its_parents_with_it() -> None:
    resources = world(TWO, route("r", "red"))
    before = build_graph(resources, GraphSettings())
    after = build_graph(removed(resources, Gateway, Key("infra", "gw")), GraphSettings(), before)
    assert (after.gateways, after.routes, after.parents, after.backends) == ({}, {}, {}, {})
