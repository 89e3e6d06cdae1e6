"""Endpoints that get no requests: the gateway itself, and local addresses in a cluster."""

from typing import Any

import msgspec
import pytest
from graph.world import endpoint_slice, gateway, grant, listener, listener_set, ref, replaced, route, service, world

from fastroute.compiler.compile import compile_snapshot
from fastroute.graph.build import build_graph
from fastroute.graph.conditions import endpoints_refused
from fastroute.graph.finding import find_problems
from fastroute.graph.node import Graph, Refusal
from fastroute.graph.reach import LINK_LOCAL
from fastroute.resources.meta import Key, Resource
from fastroute.settings import EVERYWHERE, Addressing, GraphSettings
from fastroute.snapshot import Endpoint
from fastroute.status import build_statuses, everything_bound
from fastroute.status.condition import LONGEST_MESSAGE, joined

FILES = GraphSettings()
CLUSTER = GraphSettings(
    addressing=Addressing(bind=EVERYWHERE, addresses=("203.0.113.9",), port_offset=8000),
    local_endpoints=False,
    operators=(("::", 9900), ("10.0.0.9", 9902)),
    machine=frozenset({"10.0.0.5", "fd00::5", "127.0.0.1"}),
)
MAPPED = GraphSettings(
    addressing=Addressing(bind=("::ffff:10.0.0.5",)), operators=(("::ffff:0.0.0.0", 9900), ("::ffff:10.0.0.9", 9902))
)
ALLOWED = msgspec.structs.replace(CLUSTER, local_endpoints=True)


def endpoints(*addresses: str, port: int = 8080, name: str = "s", **more: Any) -> Resource:
    kind = "IPv6" if ":" in addresses[0] else "IPv4"
    return endpoint_slice(name, "infra", "s", *addresses, ports=[{"port": port}], addressType=kind, **more)


def graph_of(settings: GraphSettings, *objects: Resource) -> Graph:
    return build_graph(world(gateway(), route("r", "infra", ref("s")), service("s", "infra"), *objects), settings)


def served(graph: Graph) -> list[str]:
    [endpoints] = compile_snapshot(graph).snapshot.endpoints.values()
    return [f"{one.address} {one.port}" for one in endpoints]


OWN = "this gateway itself"
LOOPBACK = "a loopback address"
LINK = "a link-local address"
METADATA = "a metadata address"


@pytest.mark.parametrize(
    ("settings", "address", "port", "why"),
    [
        (CLUSTER, "10.0.0.7", 80, None),
        (CLUSTER, "127.0.0.1", 80, LOOPBACK),
        (CLUSTER, "127.255.0.9", 80, LOOPBACK),
        (CLUSTER, "0.0.0.0", 80, LOOPBACK),
        (CLUSTER, "::1", 80, LOOPBACK),
        (CLUSTER, "::", 80, LOOPBACK),
        (CLUSTER, "::ffff:127.0.0.1", 80, LOOPBACK),
        (CLUSTER, "::ffff:0.0.0.0", 80, LOOPBACK),
        (CLUSTER, "::7f00:1", 80, LOOPBACK),  # ::127.0.0.1
        (CLUSTER, "::127.0.0.1", 80, LOOPBACK),
        (CLUSTER, "64:ff9b::127.0.0.1", 80, LOOPBACK),
        (CLUSTER, "64:ff9b:1::7f00:1", 80, LOOPBACK),
        (CLUSTER, "64:ff9b::192.0.2.7", 80, None),
        (CLUSTER, "64:ff9c::127.0.0.1", 80, None),
        (CLUSTER, "169.254.0.1", 80, LINK),
        (CLUSTER, "::ffff:169.254.0.1", 80, LINK),
        (CLUSTER, "::169.254.0.1", 80, LINK),
        (CLUSTER, "64:ff9b::169.254.0.1", 80, LINK),
        (CLUSTER, "224.0.0.1", 80, LINK),
        (CLUSTER, "ff02::1", 80, LINK),
        (CLUSTER, "ff01::1", 80, LINK),
        (CLUSTER, "fe80::1", 80, LINK),
        (CLUSTER, "169.254.169.254", 80, METADATA),
        (CLUSTER, "::ffff:169.254.169.254", 80, METADATA),
        (CLUSTER, "::ffff:a9fe:a9fe", 80, METADATA),
        (CLUSTER, "::169.254.169.254", 80, METADATA),
        (CLUSTER, "64:ff9b::169.254.169.254", 80, METADATA),
        (CLUSTER, "64:ff9b::a83f:8110", 80, METADATA),  # 168.63.129.16
        (CLUSTER, "::ffff:100.100.100.200", 80, METADATA),
        (CLUSTER, "fd00:ec2::254", 80, METADATA),
        (CLUSTER, "FD00:0EC2:0::254", 80, METADATA),
        (CLUSTER, "100.100.100.200", 80, METADATA),
        (ALLOWED, "127.0.0.1", 80, None),
        (ALLOWED, "fd00:ec2::254", 80, None),
        # the listener has port 80, and is bound to 8080 at all addresses
        (CLUSTER, "10.0.0.5", 8080, OWN),
        (CLUSTER, "fd00:0::5", 8080, OWN),
        (CLUSTER, "::ffff:10.0.0.5", 8080, OWN),
        (CLUSTER, "64:ff9b::10.0.0.5", 8080, OWN),
        (CLUSTER, "10.0.0.5", 80, None),
        (CLUSTER, "10.0.0.5", 8081, None),
        (ALLOWED, "0.0.0.0", 8080, OWN),
        (ALLOWED, "::", 8080, OWN),
        (ALLOWED, "::ffff:127.0.0.1", 8080, OWN),
        (ALLOWED, "127.0.0.1", 8080, OWN),
        (ALLOWED, "127.0.0.2", 8080, OWN),
        (CLUSTER, "203.0.113.9", 80, OWN),  # where clients reach it
        (CLUSTER, "203.0.113.9", 8080, None),
        (CLUSTER, "10.0.0.5", 9900, OWN),  # metrics and health
        (CLUSTER, "10.0.0.9", 9902, OWN),
        (CLUSTER, "::ffff:10.0.0.9", 9902, OWN),
        (CLUSTER, "10.0.0.5", 9902, None),
        (MAPPED, "10.0.0.5", 80, OWN),
        (MAPPED, "::ffff:10.0.0.5", 80, OWN),
        (MAPPED, "10.0.0.9", 9902, OWN),
        (MAPPED, "127.0.0.1", 9900, OWN),
        (FILES, "127.0.0.1", 80, OWN),
        (FILES, "127.0.0.1", 9900, OWN),
        (FILES, "127.0.0.1", 9902, OWN),
        (FILES, "::ffff:127.0.0.1", 9900, OWN),
        (FILES, "0.0.0.0", 9900, OWN),  # a connection to it reaches 127.0.0.1
        (FILES, "::ffff:0.0.0.0", 80, OWN),
        (FILES, "::", 9900, None),
        (FILES, "::1", 9900, None),
        (FILES, "127.0.0.1", 8080, None),
        (FILES, "127.0.0.2", 80, None),
        (FILES, "169.254.169.254", 80, None),
    ],
)
def test_which_endpoints_are_refused(settings: GraphSettings, address: str, port: int, why: str | None) -> None:
    other = endpoints("2001:db8::1" if ":" in address else "192.0.2.1", name="t")
    graph = graph_of(settings, endpoints(address, port=port), other)
    assert len(served(graph)) == (1 if why else 2)
    assert any(one.startswith(("2001:db8::1", "192.0.2.1")) for one in served(graph))
    problems = find_problems(graph)
    if why is None:
        assert problems == ()
        return
    [problem] = problems
    shown = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    assert (problem.kind, problem.key, problem.condition, problem.reason, problem.field) == (
        "HTTPRoute",
        Key("infra", "r"),
        "ResolvedRefs",
        "EndpointRefused",
        "spec.rules[0].backendRefs[0]",
    )
    assert f"Endpoints of Service infra/s get no requests: {shown} ({why})." in problem.message
    assert ("--allow-local-endpoints" in problem.message) is (why != OWN)


def test_the_route_names_each_and_stays_accepted() -> None:
    graph = graph_of(CLUSTER, endpoints("127.0.0.1", "10.0.0.7", "169.254.169.254"), endpoints("10.0.0.5", name="t"))
    assert served(graph) == ["10.0.0.7 8080"]
    patch = build_statuses(graph, everything_bound(graph)).patches["HTTPRoute", Key("infra", "r")]
    accepted, resolved = patch.status["parents"][0]["conditions"]
    assert (accepted["status"], resolved["status"], resolved["reason"]) == ("True", "False", "EndpointRefused")
    for named in ("127.0.0.1:8080 (this gateway", "169.254.169.254:8080 (a meta", "10.0.0.5:8080 (this gateway"):
        assert named in resolved["message"]


def test_a_terminating_endpoint_serves_if_every_ready_one_is_refused() -> None:
    draining = {"addresses": ["10.0.0.7"], "conditions": {"ready": False, "serving": True, "terminating": True}}
    graph = graph_of(CLUSTER, endpoint_slice("s", "infra", "s", "127.0.0.1", draining))
    assert served(graph) == ["10.0.0.7 8080"]


def test_mirrors_name_them_too() -> None:
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "s", "port": 80}}}
    rules = [{"backendRefs": [ref("t")], "filters": [mirror]}]
    objects = (gateway(), route("r", "infra", rules=rules), service("s", "infra"), service("t", "infra"))
    graph = build_graph(world(*objects, endpoints("127.0.0.1")), CLUSTER)
    assert [one.field for one in find_problems(graph)] == ["spec.rules[0].filters[0].requestMirror.backendRef"]
    assert graph.backends["infra/s:80"].endpoints == ()


def test_another_port_of_the_service_has_its_own_endpoints() -> None:
    two = service("s", "infra", {"port": 80, "name": "a"}, {"port": 81, "name": "b"})
    ports = [{"name": "a", "port": 8000}, {"name": "b", "port": 8080}]
    pieces = endpoint_slice("s", "infra", "s", "10.0.0.5", ports=ports)
    graph = build_graph(world(gateway(), route("r", "infra", ref("s")), two, pieces), CLUSTER)
    assert (find_problems(graph), served(graph)) == ((), ["10.0.0.5 8000"])


def test_a_reference_that_no_grant_allows_says_nothing_of_endpoints() -> None:
    objects = (gateway(), route("r", "red", ref("s", "infra")), service("s", "infra"), endpoints("127.0.0.1"))
    [problem] = find_problems(build_graph(world(*objects), CLUSTER))
    assert problem.reason == "RefNotPermitted"
    allowed = build_graph(world(*objects, grant("g", "infra", "red")), CLUSTER)
    assert [one.reason for one in find_problems(allowed)] == ["EndpointRefused"]


@pytest.mark.parametrize("settings", [CLUSTER, FILES])
def test_a_new_listener_and_a_new_endpoint_change_what_depends_on_them(settings: GraphSettings) -> None:
    """Endpoints come and go, a ListenerSet takes their port: each step is equal to a rebuild, and keeps the others."""
    address = "10.0.0.5" if settings is CLUSTER else "127.0.0.1"
    offset = settings.addressing.port_offset
    spec = {"allowedListeners": {"namespaces": {"from": "All"}}}
    start = world(
        gateway(spec=spec),
        route("r", "infra", ref("s")),
        route("other", "infra", ref("t")),
        service("s", "infra"),
        service("t", "infra"),
        endpoint_slice("t", "infra", "t", "192.0.2.1"),
    )
    steps: list[tuple[Resource, int]] = [
        (endpoints("192.0.2.2", address, port=7000 + offset), 0),
        (listener_set("more", "red", listener("one", 7000)), 1),
        (endpoints("192.0.2.2", port=7000 + offset), 0),
        (endpoints("192.0.2.2", address, port=7000 + offset), 1),
        (listener_set("more", "red", listener("one", 7001)), 0),
        (endpoints(address, port=7001 + offset), 1),
    ]
    resources, graph = start, build_graph(start, settings)
    for thing, refused in steps:
        resources = replaced(resources, thing)
        before, graph = graph, build_graph(resources, settings, graph)
        again = build_graph(resources, settings)
        assert find_problems(graph) == find_problems(again)
        assert len(find_problems(graph)) == refused
        assert dict(graph.backends) == dict(again.backends)
        other = ("HTTPRoute", Key("infra", "other"))
        assert graph.routes[other] is before.routes[other]
    assert graph.backends["infra/s:80"].endpoints == ()
    assert graph.backends["infra/t:80"].endpoints == (Endpoint("192.0.2.1", 8080),)


def test_a_usual_change_of_pods_rebuilds_no_route() -> None:
    resources = world(gateway(), route("r", "infra", ref("s")), service("s", "infra"), endpoints("127.0.0.1"))
    graph = build_graph(resources, CLUSTER)
    for address in ("10.0.0.7", "10.0.0.8"):
        pieces = endpoint_slice("more", "infra", "s", address)
        before, graph = graph, build_graph(replaced(graph.memo.resources, pieces), CLUSTER, graph)
        assert graph.routes["HTTPRoute", Key("infra", "r")] is before.routes["HTTPRoute", Key("infra", "r")]
        assert served(graph) == [f"{address} 8080"]


def test_a_long_list_is_cut() -> None:
    addresses = [f"127.0.{n // 250}.{n % 250 + 1}" for n in range(1000)]
    [problem] = find_problems(graph_of(CLUSTER, endpoints(*addresses)))
    assert "127.0.1.1:8080" in problem.message
    assert "and 600 more." in problem.message


def test_a_list_of_the_longest_addresses_fits_into_a_condition() -> None:
    found = [Endpoint(f"fe80:1111:2222:3333:4444:{n:04x}:255.255.255.255", 65535) for n in range(0x1000, 0x2000)]
    refusals = tuple(Refusal(one, LINK_LOCAL) for one in found)
    message = endpoints_refused(Key("n" * 63, "s" * 63), refusals).message
    assert message.endswith("and 3696 more. --allow-local-endpoints allows local addresses.")
    assert joined([message, "more"]).startswith(message)
    assert len(message) < LONGEST_MESSAGE - 40
