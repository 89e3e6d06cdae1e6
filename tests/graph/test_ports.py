"""The limit on the number of ports of an installation: the oldest ports are served."""

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


def test_the_oldest_are_served_across_gateways_and_listener_sets() -> None:
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
    assert served(build_graph(resources, limited(4))) == everything - {("s7", 84), ("young", 90)}
    assert served(build_graph(resources, limited(3))) == {("g", 80), ("g", 81), ("s2", 82)}


def test_objects_of_the_same_age_are_ordered_by_name_and_listeners_by_their_place() -> None:
    resources = world(CLASS, old_gateway("b", 1, 80), old_gateway("a", 1, 99, 98))
    assert served(build_graph(resources, limited(1))) == {("a", 99)}
    assert served(build_graph(resources, limited(2))) == {("a", 99), ("a", 98)}


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
