"""The limit on the number of ports of an installation: Gateways come first, and the namespaces have equal shares."""

from typing import Any

from graph.test_family import CLASS, SHARED
from graph.world import gateway, listener, listener_set, removed, world

from fastroute.graph.build import build_graph
from fastroute.graph.node import Graph
from fastroute.resources.gateway import Gateway
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources
from fastroute.settings import Addressing, GraphSettings
from fastroute.snapshot import Outcome
from fastroute.status import build_statuses


def limited(most: int, **settings: Any) -> GraphSettings:
    addressing = settings.pop("addressing", SHARED.addressing)
    return GraphSettings(
        class_name=None, addressing=addressing, max_ports=most, port_limit=f"--max-ports {most}", **settings
    )


def listeners(*ports: int) -> list[dict[str, Any]]:
    return [listener(f"l{port}", port) for port in ports]


def born(day: int) -> dict[str, Any]:
    return {"creationTimestamp": f"2026-01-0{day}T00:00:00Z"}


def old_gateway(name: str, day: int, *ports: int) -> Any:
    spec = {"allowedListeners": {"namespaces": {"from": "All"}}}
    return gateway(name, "infra", *listeners(*ports), spec=spec, meta={"uid": name, **born(day)})


def served(graph: Graph) -> set[tuple[str, int]]:
    """(name of the object, port)"""
    holders = [*graph.gateways.values(), *graph.listener_sets.values()]
    return {(one.source.key.name, each.source.port) for one in holders for each in one.listeners if each.serves}


def test_gateways_come_before_listener_sets_and_then_the_oldest_are_served() -> None:
    resources = world(
        CLASS,
        old_gateway("g", 1, 80, 81),
        old_gateway("young", 5, 90),
        listener_set("s2", "infra", *listeners(82, 83), parent="g", meta=born(2)),
        listener_set("s7", "infra", *listeners(84, 80), parent="g", meta=born(7)),
    )
    everything = {("g", 80), ("g", 81), ("s2", 82), ("s2", 83), ("young", 90), ("s7", 84)}
    assert served(build_graph(resources, limited(6))) == everything
    assert served(build_graph(resources, limited(5))) == everything - {("s7", 84)}
    assert served(build_graph(resources, limited(4))) == everything - {("s7", 84), ("s2", 83)}
    assert served(build_graph(resources, limited(3))) == {("g", 80), ("g", 81), ("young", 90)}
    assert served(build_graph(resources, limited(2))) == {("g", 80), ("g", 81)}


def test_objects_of_the_same_age_are_ordered_by_name_and_listeners_by_their_place() -> None:
    resources = world(CLASS, old_gateway("b", 1, 80), old_gateway("a", 1, 99, 98))
    assert served(build_graph(resources, limited(1))) == {("a", 99)}
    assert served(build_graph(resources, limited(2))) == {("a", 99), ("a", 98)}


def many(name: str, namespace: str, *ports: int, **more: Any) -> Any:
    return listener_set(name, namespace, *listeners(*ports), parent="g", **more)


def test_the_listener_sets_of_one_namespace_take_no_port_of_a_gateway_or_of_another_namespace() -> None:
    old = {"meta": born(1)}
    resources = world(
        CLASS,
        old_gateway("g", 9, 80, 443),
        *(many(f"a{number}", "att", *range(number * 64, number * 64 + 64), **old) for number in range(100, 116)),
        many("few", "victim", 2001, 2002, meta=born(8)),
        many("half", "victim2", *range(3000, 3008), meta=born(9)),
    )
    found = served(build_graph(resources, limited(20)))
    mine = {("few", 2001), ("few", 2002), *(("half", port) for port in range(3000, 3008))}
    assert found == {("g", 80), ("g", 443), *mine, *(("a100", port) for port in range(6400, 6408))}
    assert len(served(build_graph(resources, limited(1024)))) == 1024


def test_a_namespace_keeps_a_port_that_another_one_has_beyond_its_share() -> None:
    shared = listener("mine", 500, hostname="victim.test")
    resources = world(
        CLASS,
        old_gateway("g", 1, 80),
        many("a", "att", *range(400, 420), 500, meta=born(1)),
        listener_set("v", "victim", shared, listener("own", 501), parent="g", meta=born(8)),
    )
    graph = build_graph(resources, limited(5))
    assert served(graph) == {("g", 80), ("a", 400), ("a", 401), ("v", 500), ("a", 500), ("v", 501)}


def test_the_port_of_a_gateway_is_no_part_of_the_share_of_a_namespace() -> None:
    hosts = [listener(f"h{number}", 80, hostname=f"h{number}.test") for number in range(3)]
    sets = listener_set("s", "victim", *hosts, *listeners(90), parent="g")
    resources = world(CLASS, old_gateway("g", 1, 80), many("a", "att", 70, 71, 72), sets)
    found = served(build_graph(resources, limited(3)))
    assert found == {("g", 80), ("s", 80), ("s", 90), ("a", 70)}


def test_the_gateways_of_a_namespace_take_no_port_of_gateways_of_another() -> None:
    resources = world(
        CLASS,
        *(gateway(f"g{n}", "att", *listeners(*range(n * 100, n * 100 + 64))) for n in (1, 2)),
        old_gateway("later", 9, 80, 443),
    )
    assert {("later", 80), ("later", 443)} < served(build_graph(resources, limited(4)))


def test_listeners_that_share_a_port_count_once() -> None:
    hosts = [listener(f"h{number}", 80, hostname=f"h{number}.test") for number in range(5)]
    resources = world(CLASS, gateway("g", "infra", *hosts, listener("other", 81)))
    graph = build_graph(resources, limited(2))
    assert all(each.serves for each in graph.gateways[Key("infra", "g")].listeners)


def test_a_port_at_two_addresses_of_a_pool_counts_twice() -> None:
    resources: Resources = world(CLASS, *(old_gateway(f"g{day}", day, 80) for day in (1, 2, 3)))
    pool = limited(2, addressing=Addressing(pool="127.0.1.0/29"))
    assert served(build_graph(resources, pool)) == {("g1", 80), ("g2", 80)}


def test_a_port_that_becomes_free_is_given_to_the_next() -> None:
    resources = world(CLASS, *(old_gateway(f"g{day}", day, 80 + day) for day in (1, 2, 3)))
    before = build_graph(resources, limited(2))
    assert served(before) == {("g1", 81), ("g2", 82)}
    after = build_graph(removed(resources, Gateway, Key("infra", "g1")), limited(2), before)
    assert served(after) == {("g2", 82), ("g3", 83)}
    assert after.gateways[Key("infra", "g2")] is before.gateways[Key("infra", "g2")]


def test_the_status_names_the_limit_and_its_option() -> None:
    resources = world(CLASS, old_gateway("g", 1, 80, 81))
    graph = build_graph(resources, limited(1))
    patches = build_statuses(graph, Outcome(version=1), None).patches
    [status] = [patch.status for id_, patch in patches.items() if id_[0] == "Gateway"]
    conditions = {one["type"]: one for one in status["listeners"][1]["conditions"]}
    assert conditions["Accepted"]["status"] == "False"
    assert conditions["Accepted"]["reason"] == "PortUnavailable"
    assert conditions["Programmed"]["reason"] == "Invalid"
    assert "1 ports, which is the limit of this installation (--max-ports 1)" in conditions["Accepted"]["message"]
