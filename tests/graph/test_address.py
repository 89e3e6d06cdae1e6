"""The addresses that Gateways bind, and the addresses in their statuses."""

import pytest
from graph.world import gateway, make, removed, replaced, route, world

from fastroute.graph.address import canonical
from fastroute.graph.build import build_graph, forgotten
from fastroute.graph.node import GatewayNode, Graph
from fastroute.resources.core import Service
from fastroute.resources.gateway import Gateway
from fastroute.resources.meta import Key, Resource
from fastroute.settings import Addressing, GraphSettings

EVERYWHERE = ("0.0.0.0", "::")


def settings(**addressing: object) -> GraphSettings:
    return GraphSettings(addressing=Addressing(**addressing))  # type: ignore[arg-type]


def asking(name: str, *values: str | None, type_: str = "IPAddress", created: str = "") -> Gateway:
    addresses = [{"type": type_, **({"value": value} if value else {})} for value in values]
    return gateway(name, spec={"addresses": addresses}, meta={"creationTimestamp": created, "uid": name})


def built(given: GraphSettings, *objects: Resource, previous: Graph | None = None) -> dict[str, GatewayNode]:
    graph = build_graph(world(*objects), given, previous)
    return {key.name: node for key, node in graph.gateways.items()}


@pytest.mark.parametrize(
    ("addressing", "asked", "bind", "addresses", "reason"),
    [
        ({}, (), ("127.0.0.1",), ("127.0.0.1",), None),
        ({}, ("127.0.0.1",), ("127.0.0.1",), ("127.0.0.1",), None),
        ({}, (None,), ("127.0.0.1",), ("127.0.0.1",), None),
        ({}, ("192.0.2.1",), (), (), "AddressNotUsable"),
        ({}, ("127.0.0.1", "192.0.2.1"), (), (), "AddressNotUsable"),
        ({"bind": ("127.0.0.1", "127.0.0.2")}, ("127.0.0.2",), ("127.0.0.2",), ("127.0.0.2",), None),
        ({"bind": ("::1",)}, ("0:0:0:0:0:0:0:1",), ("::1",), ("::1",), None),
        ({"bind": EVERYWHERE}, (), EVERYWHERE, (), "AddressNotAssigned"),
        ({"bind": EVERYWHERE, "addresses": ("192.0.2.1",)}, (), EVERYWHERE, ("192.0.2.1",), None),
        ({"bind": EVERYWHERE, "addresses": ("192.0.2.1",)}, ("192.0.2.1",), EVERYWHERE, ("192.0.2.1",), None),
        ({"bind": EVERYWHERE, "addresses": ("192.0.2.1",)}, ("192.0.2.2",), (), (), "AddressNotUsable"),
        ({"bind": EVERYWHERE, "addresses": ("service/a/b",)}, (), EVERYWHERE, (), "AddressNotAssigned"),
        ({"bind": ("127.0.0.1",), "addresses": ("gw.example.com",)}, (), ("127.0.0.1",), ("gw.example.com",), None),
        ({"pool": "127.0.1.0/30"}, (), ("127.0.1.1",), ("127.0.1.1",), None),
        ({"pool": "127.0.1.0/30"}, ("127.0.1.2",), ("127.0.1.2",), ("127.0.1.2",), None),
        ({"pool": "127.0.1.0/30"}, ("127.0.2.1",), (), (), "AddressNotUsable"),
        ({"pool": "127.0.1.0/30"}, (None,), ("127.0.1.1",), ("127.0.1.1",), None),
    ],
)
def test_one_gateway(
    addressing: dict[str, object],
    asked: tuple[str | None, ...],
    bind: tuple[str, ...],
    addresses: tuple[str, ...],
    reason: str | None,
) -> None:
    node = built(settings(**addressing), asking("gw", *asked))["gw"]
    assert (node.bind, node.addresses) == (bind, addresses)
    assert [problem.reason for problem in node.problems] == ([reason] if reason else [])
    assert node.listeners[0].serves is bool(bind)


@pytest.mark.parametrize("pool", [None, "127.0.1.0/30"])
def test_a_type_that_is_not_served(pool: str | None) -> None:
    node = built(settings(pool=pool), asking("gw", "gw.example.com", type_="Hostname"))["gw"]
    assert [(p.condition, p.reason, p.field) for p in node.problems] == [
        ("Accepted", "UnsupportedAddress", "spec.addresses[0].type")
    ]
    assert node.bind == ()


POOL = settings(pool="127.0.1.0/30")


def test_the_oldest_has_the_first_and_an_exhausted_pool_says_so() -> None:
    made = built(
        POOL,
        asking("a", created="2026-03-01T00:00:00Z"),
        asking("b", created="2026-01-01T00:00:00Z"),
        asking("c", created="2026-02-01T00:00:00Z"),
    )
    assert {name: node.addresses for name, node in made.items()} == {"a": (), "b": ("127.0.1.1",), "c": ("127.0.1.2",)}
    assert made["a"].problems[0].reason == "AddressNotAssigned"
    assert "Every address of the pool 127.0.1.0/30 is taken" in made["a"].problems[0].message


def test_who_asks_by_value_is_not_robbed_by_an_older_one() -> None:
    made = built(
        POOL, asking("a", created="2026-01-01T00:00:00Z"), asking("b", "127.0.1.1", created="2026-02-01T00:00:00Z")
    )
    assert {name: node.addresses for name, node in made.items()} == {"a": ("127.0.1.2",), "b": ("127.0.1.1",)}


def test_two_that_ask_for_one() -> None:
    made = built(POOL, asking("a", "127.0.1.1"), asking("b", "127.0.1.1"))
    assert made["a"].addresses == ("127.0.1.1",)
    assert made["b"].problems[0].message == (
        "Address cannot be used: 127.0.1.1 belongs to Gateway infra/a. Request another, or omit the value."
    )


def test_an_address_is_kept_as_long_as_its_gateway_lives() -> None:
    resources = world(asking("b"))
    first = build_graph(resources, POOL)
    resources = replaced(resources, asking("a", created=""))  # sorts before b
    second = build_graph(resources, POOL, first)
    assert [node.addresses for node in second.gateways.values()] == [("127.0.1.2",), ("127.0.1.1",)]
    resources = replaced(resources, route("r", "infra"))
    third = build_graph(resources, POOL, second)
    assert third.gateways[Key("infra", "b")].addresses == ("127.0.1.1",)
    gone = build_graph(removed(resources, Gateway, Key("infra", "b")), POOL, third)
    again = build_graph(replaced(removed(resources, Gateway, Key("infra", "b")), asking("0")), POOL, gone)
    assert again.gateways[Key("infra", "0")].addresses == ("127.0.1.1",)


def test_an_address_is_kept_over_a_restart() -> None:
    """The next process, or another replica, reads it from the status."""
    given = settings(pool="127.1.0.0/29")
    young = gateway("young", meta={"creationTimestamp": "2026-01-02T00:00:00Z"}, status=stated("127.1.0.3"))
    old = gateway("old", meta={"creationTimestamp": "2026-01-01T00:00:00Z"}, status=stated("192.0.2.1"))
    mid = gateway("mid", meta={"creationTimestamp": "2026-01-01T12:00:00Z"}, status=stated("127.1.0.1"))
    nodes = built(given, old, mid, young)
    assert {name: node.addresses for name, node in nodes.items()} == {
        "old": ("127.1.0.2",),  # its previous address is not in this pool
        "mid": ("127.1.0.1",),
        "young": ("127.1.0.3",),
    }


@pytest.mark.parametrize("status", [{"addresses": None}, {"addresses": "127.1.0.3"}, {"addresses": [7, {"value": 7}]}])
def test_a_status_that_makes_no_sense_holds_nothing(status: dict[str, object]) -> None:
    assert built(settings(pool="127.1.0.0/29"), gateway("g", status=status))["g"].addresses == ("127.1.0.1",)


def stated(*values: str) -> dict[str, object]:
    return {"addresses": [{"type": "IPAddress", "value": value} for value in values]}


def test_a_gateway_made_anew_does_not_inherit() -> None:
    first = build_graph(world(asking("b"), asking("c")), POOL)
    assert first.gateways[Key("infra", "c")].addresses == ("127.0.1.2",)
    renewed = gateway("c", meta={"uid": "another"})
    second = build_graph(world(renewed), POOL, first)
    assert second.gateways[Key("infra", "c")].addresses == ("127.0.1.1",)


INGRESS = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}, {"hostname": "gw.example.com"}]}}


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({}, INGRESS, ("192.0.2.7", "gw.example.com")),
        ({"clusterIP": "10.96.0.1"}, INGRESS, ("192.0.2.7", "gw.example.com")),
        ({"clusterIP": "10.96.0.1"}, {}, ("10.96.0.1",)),
        ({"clusterIP": "10.96.0.1", "externalIPs": ["192.0.2.8"]}, {}, ("192.0.2.8",)),
        ({"externalIPs": ["192.0.2.8"]}, INGRESS, ("192.0.2.7", "gw.example.com", "192.0.2.8")),
        ({"clusterIP": "10.96.0.1"}, {"loadBalancer": {"ingress": [{}, "x"]}}, ("10.96.0.1",)),
        ({"clusterIP": "None"}, {"loadBalancer": "x"}, ()),
        ({"type": "LoadBalancer", "clusterIP": "10.96.0.1"}, {}, ()),
        ({"type": "LoadBalancer", "clusterIP": "10.96.0.1"}, {"loadBalancer": {"ingress": []}}, ()),
        ({"type": "LoadBalancer", "clusterIP": "10.96.0.1"}, {"loadBalancer": {"ingress": [{}]}}, ()),
        ({"type": "LoadBalancer", "clusterIP": "10.96.0.1"}, INGRESS, ("192.0.2.7", "gw.example.com")),
        ({"type": "LoadBalancer", "clusterIP": "10.96.0.1", "externalIPs": ["192.0.2.8"]}, {}, ("192.0.2.8",)),
        ({"type": "NodePort", "clusterIP": "10.96.0.1"}, {}, ()),
        ({"type": "NodePort", "clusterIP": "10.96.0.1", "externalIPs": ["192.0.2.8"]}, {}, ("192.0.2.8",)),
        ({"type": "ExternalName", "externalName": "example.com"}, {}, ()),
    ],
)
def test_reached_at_a_service(spec: dict[str, object], status: dict[str, object], expected: tuple[str, ...]) -> None:
    given = settings(bind=EVERYWHERE, addresses=("service/edge/gw", "192.0.2.7"))
    named = make(Service, "edge", "gw", spec, status=status)
    before = build_graph(world(asking("gw")), given)
    assert before.gateways[Key("infra", "gw")].addresses == ("192.0.2.7",)
    after = build_graph(world(asking("gw"), named), given, before)
    assert after.gateways[Key("infra", "gw")].addresses == tuple(dict.fromkeys((*expected, "192.0.2.7")))
    assert after.gateways == build_graph(world(asking("gw"), named), given).gateways


def test_a_load_balancer_that_loses_its_address_takes_it_from_the_gateway() -> None:
    given = settings(bind=EVERYWHERE, addresses=("service/edge/gw",))
    spec = {"type": "LoadBalancer", "clusterIP": "10.96.0.1"}
    resources = world(asking("gw"), make(Service, "edge", "gw", spec, status=INGRESS))
    before = build_graph(resources, given)
    assert before.gateways[Key("infra", "gw")].addresses == ("192.0.2.7", "gw.example.com")
    after = build_graph(replaced(resources, make(Service, "edge", "gw", spec)), given, before)
    node = after.gateways[Key("infra", "gw")]
    assert (node.addresses, node.bind) == ((), EVERYWHERE), "clients that use another address are still served"
    assert [(p.condition, p.reason) for p in node.problems] == [("Programmed", "AddressNotAssigned")]
    assert "No address of service/edge/gw is known" in node.problems[0].message


def test_a_service_that_moves_elsewhere_moves_no_gateway() -> None:
    given = settings(bind=EVERYWHERE, addresses=("service/edge/gw",))
    resources = world(asking("gw"), make(Service, "edge", "gw", {"clusterIP": "10.96.0.1"}))
    before = build_graph(resources, given)
    after = build_graph(replaced(resources, make(Service, "edge", "other", {"clusterIP": "10.96.0.2"})), given, before)
    assert after.gateways is before.gateways


def test_each_of_a_pool_has_its_own_ports() -> None:
    made = built(POOL, asking("a"), asking("b"))
    assert [node.listeners[0].problems for node in made.values()] == [(), ()]


@pytest.mark.parametrize(
    ("written", "expected"), [("0:0::1", "::1"), ("127.0.0.1", "127.0.0.1"), ("gw.example.com", "gw.example.com")]
)
def test_canonical(written: str, expected: str) -> None:
    assert canonical(written) == expected


def test_an_address_is_kept_also_when_everything_is_built_anew() -> None:
    graph = build_graph(world(asking("b", created="2026-01-02T00:00:00Z")), POOL)
    older = world(asking("a", created="2026-01-01T00:00:00Z"), asking("b", created="2026-01-02T00:00:00Z"))
    anew = build_graph(older, POOL, forgotten(graph))
    assert {node.key.name: node.addresses for node in anew.gateways.values()} == {
        "a": ("127.0.1.2",),
        "b": ("127.0.1.1",),
    }
    assert {node.key.name: node.addresses for node in build_graph(older, POOL).gateways.values()} == {
        "a": ("127.0.1.1",),
        "b": ("127.0.1.2",),
    }
