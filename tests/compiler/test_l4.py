"""The rules and backends of L4 routes in a Snapshot; incremental results are those of a compilation from nothing."""

from typing import Any

import pytest
from graph.secrets import secret
from graph.test_l4 import CLASS, LISTENERS, born, built, service, tls_listener
from graph.world import endpoint_slice, gateway, grant, listener, ref, removed, replaced, route, tls_policy, world
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.compiler.compile import NOTHING, compile_snapshot
from fastroute.graph.build import build_graph
from fastroute.resources.meta import Key
from fastroute.resources.proxy_protocol import ANNOTATION
from fastroute.resources.tcproute import TCPRoute
from fastroute.resources.tlsroute import TLSRoute
from fastroute.resources.udproute import UDPRoute
from fastroute.settings import GraphSettings
from fastroute.snapshot import Backend, BackendTLS, Endpoint, Snapshot

SETTINGS = GraphSettings()


def of_listener(snapshot: Snapshot, name: str) -> dict[tuple[str, ...], str]:
    """The routes of a listener, by their hostnames."""
    return {rule.hostnames: rule.route for rule in snapshot.rules.values() if rule.listener_name == name}


def test_a_rule_has_backends_and_nothing_else() -> None:
    refs = [ref("s", weight=7), ref("s", "blue", weight=2), ref("none")]
    objects = [gateway("gw", "infra", LISTENERS["TCP"]), service("s", "red"), service("s", "blue")]
    made = endpoint_slice("e", "red", "s", "10.0.0.1"), route("r", "red", *refs, type_=TCPRoute)
    snapshot = compile_snapshot(built(*objects, *made)).snapshot
    [rule] = snapshot.rules.values()
    assert (rule.matches, rule.filters, rule.hostnames, rule.route_kind) == ((), (), ("",), "TCPRoute")
    assert [(one.backend, one.weight, one.status, one.reason) for one in rule.backends] == [
        ("red/s:80/raw", 7, None, None),
        ("blue/s:80/raw", 2, 500, "reference_refused"),
        ("red/none:80/raw", 1, 500, "backend_not_found"),
    ]
    assert snapshot.backends == {"red/s:80/raw": Backend(protocol="raw")}
    assert snapshot.endpoints == {"red/s:80/raw": (Endpoint("10.0.0.1", 8080),)}


def test_datagrams_go_to_ports_of_udp() -> None:
    both = service("s", "red", 80, {"port": 80, "protocol": "UDP", "name": "u"})
    ports = [{"port": 1}, {"port": 2, "name": "u", "protocol": "UDP"}]
    made = endpoint_slice("e", "red", "s", "10.0.0.1", ports=ports), route("r", "red", ref("s"), type_=UDPRoute)
    snapshot = compile_snapshot(built(gateway("gw", "infra", LISTENERS["UDP"]), both, *made)).snapshot
    assert snapshot.endpoints == {"red/s:80/udp": (Endpoint("10.0.0.1", 2),)}
    assert snapshot.backends == {"red/s:80/udp": Backend(protocol="raw")}


SECURE = BackendTLS(server_name="a.example.com")
PLAIN = Backend(protocol="raw")


@pytest.mark.parametrize(
    ("policy", "terminated", "rows"),
    [
        (None, ("red/s:80/raw", None), {"red/s:80/raw": PLAIN}),
        (
            tls_policy("p", "red", "s"),
            ("red/s:80/raw", None),
            {"red/s:80/raw": Backend(protocol="raw", tls=SECURE), "red/s:80/raw/@passthrough": PLAIN},
        ),
        (
            tls_policy("p", "red", "s", authorities=["none"]),
            ("red/s:80/raw", "backend_tls_policy"),
            {"red/s:80/raw/@passthrough": PLAIN},
        ),
    ],
)
def test_bytes_are_encrypted_again_only_where_tls_ended(
    policy: Any, terminated: tuple[str, str | None], rows: dict[str, Backend]
) -> None:
    listeners = tls_listener("p", "Passthrough", "a.x"), tls_listener("t", "Terminate", "b.x")
    made = route("r", "red", ref("s"), type_=TLSRoute, hostnames=["*.x"]), endpoint_slice("e", "red", "s", "10.0.0.1")
    objects = [gateway("gw", "infra", *listeners), secret("tls", "infra"), service("s", "red"), *made]
    snapshot = compile_snapshot(built(*objects, *([policy] if policy else []))).snapshot
    found = {rule.listener_name: rule.backends[0] for rule in snapshot.rules.values()}
    assert (found["t"].backend, found["t"].reason) == terminated
    assert (found["p"].backend, found["p"].status) == ("red/s:80/raw/@passthrough" if policy else "red/s:80/raw", None)
    assert found["p"].label == "red/s:80"
    assert snapshot.backends == rows
    assert snapshot.endpoints == dict.fromkeys(rows, (Endpoint("10.0.0.1", 8080),))


def test_a_policy_encrypts_the_connections_of_tcp_routes() -> None:
    made = route("r", "red", ref("s"), type_=TCPRoute), tls_policy("p", "red", "s")
    objects = [gateway("gw", "infra", LISTENERS["TCP"]), service("s", "red", annotations={ANNOTATION: "v2"}), *made]
    snapshot = compile_snapshot(built(*objects)).snapshot
    assert snapshot.backends == {"red/s:80/raw": Backend(protocol="raw", tls=SECURE, proxy_protocol=True)}


def test_each_name_belongs_to_the_oldest_route() -> None:
    routes = [
        route("new", "red", ref("s"), type_=TLSRoute, hostnames=["a.x", "b.x"], meta=born(3)),
        route("old", "red", ref("s"), type_=TLSRoute, hostnames=["b.x", "c.x"], meta=born(2)),
        route("all", "red", ref("s"), type_=TLSRoute, hostnames=["*.x"], meta=born(1)),
        route("none", "red", ref("s"), type_=TLSRoute, meta=born(4)),
    ]
    graph = built(gateway("gw", "infra", LISTENERS["TLS"]), service("s", "red"), *routes)
    snapshot = compile_snapshot(graph).snapshot
    expected = {("a.x",): "red/new", ("b.x", "c.x"): "red/old", ("*.x",): "red/all", ("",): "red/none"}
    assert of_listener(snapshot, "l") == expected
    assert len(graph.gateways[Key("infra", "gw")].listeners[0].attachments) == 4


NAMES = ("", "a.x", "b.x", "*.x", "*.b.x")
EDIT = st.one_of(
    st.tuples(
        st.just("tls"),
        st.sampled_from(("red", "blue")),
        st.integers(0, 3),
        st.sets(st.sampled_from(NAMES[1:])),
        st.integers(1, 3),
        st.sampled_from(("red", "blue")),
    ),
    st.tuples(st.just("tcp"), st.integers(0, 3), st.integers(1, 3), st.sampled_from(("red", "blue"))),
    st.tuples(
        st.just("gone"), st.sampled_from((TLSRoute, TCPRoute)), st.sampled_from(("red", "blue")), st.integers(0, 3)
    ),
    st.tuples(
        st.just("listeners"), st.sampled_from(("Passthrough", "Terminate")), st.sampled_from((None, "*.x", "b.x"))
    ),
    st.tuples(st.just("policy"), st.booleans()),
    st.tuples(st.just("grant"), st.booleans()),
)


def edited(resources: Any, edit: Any) -> Any:
    match edit:
        case "tls", home, number, names, day, target:
            made = route(f"r{number}", home, ref("s", target), type_=TLSRoute, hostnames=sorted(names), meta=born(day))
            return replaced(resources, made)
        case "tcp", number, day, home:
            return replaced(resources, route(f"r{number}", home, ref("s", "red"), type_=TCPRoute, meta=born(day)))
        case "gone", kind, home, number:
            return removed(resources, kind, Key(home, f"r{number}"))
        case "listeners", mode, hostname:
            return replaced(
                resources, gateway("gw", "infra", tls_listener("t", mode, hostname), listener("d", 1, "TCP"))
            )
        case "policy", is_good:
            return replaced(resources, tls_policy("p", "red", "s", **({} if is_good else {"authorities": ["none"]})))
        case "grant", is_given:
            made = grant("g", "red", "blue", from_kind="TLSRoute" if is_given else "TCPRoute")
            return replaced(resources, made)
    raise AssertionError(edit)


@given(edits=st.lists(EDIT, min_size=3, max_size=20))
@settings(deadline=None)
def test_after_edits_the_snapshot_is_the_one_from_nothing(edits: list[Any]) -> None:
    slices = endpoint_slice("e", "red", "s", "10.0.0.1")
    services = service("s", "red"), service("s", "blue"), slices, secret("tls", "infra")
    resources = world(
        CLASS, gateway("gw", "infra", tls_listener("t", "Passthrough"), listener("d", 1, "TCP")), *services
    )
    graph, compiled = None, NOTHING
    for edit in edits:
        resources = edited(resources, edit)
        graph = build_graph(resources, SETTINGS, graph)
        compiled = compile_snapshot(graph, previous=compiled)
        assert compiled.snapshot == compile_snapshot(build_graph(resources, SETTINGS)).snapshot
        named = [(rule.listener, name) for rule in compiled.snapshot.rules.values() for name in rule.hostnames]
        assert len(named) == len(set(named)), "a name of a listener belongs to one rule"
        used = {one.backend for rule in compiled.snapshot.rules.values() for one in rule.backends if one.status is None}
        assert used <= compiled.snapshot.backends.keys()
