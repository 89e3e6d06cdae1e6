"""explain for connections and datagrams: `explain tcp://…`, `tls://…` and `udp://…`."""

from typing import Any

import pytest
from graph.secrets import secret
from graph.test_l4 import born, built, service, tls_listener
from graph.world import endpoint_slice, gateway, https, listener, ref, route, tls_policy

from fastroute.compiler.compile import compile_snapshot
from fastroute.errors import SettingError
from fastroute.explain.connection import Target, explain_connection, is_target, parse_target
from fastroute.explain.explanation import Explanation, explain
from fastroute.explain.request import parse_url
from fastroute.graph.node import Graph
from fastroute.resources.tcproute import TCPRoute
from fastroute.resources.tlsroute import TLSRoute
from fastroute.resources.udproute import UDPRoute

GATEWAY = gateway(
    "gw",
    "infra",
    listener("db", 5432, "TCP"),
    listener("idle", 5433, "TCP"),
    tls_listener("pass", "Passthrough", "*.pass.x"),
    tls_listener("end", "Terminate", "end.x"),
    https("web", "tls", hostname="web.x"),
    tls_listener("any", "Passthrough", port=8443),
    listener("dns", 53, "UDP"),
    listener("void", 54, "UDP"),
)
BASE = (
    GATEWAY,
    secret("tls", "infra"),
    service("s", "red", 80, {"port": 80, "protocol": "UDP", "name": "u"}),
    service("empty", "red"),
    endpoint_slice("e", "red", "s", "10.0.0.1", ports=[{"port": 8080}, {"port": 9, "name": "u", "protocol": "UDP"}]),
)


def at(section: str) -> Any:
    return {"parents": [{"namespace": "infra", "name": "gw", "sectionName": section}]}


ROUTES = (
    route("db", "red", ref("s", weight=3), ref("s", "blue"), type_=TCPRoute, **at("db"), meta=born(1)),
    route("late", "red", ref("s"), type_=TCPRoute, **at("db"), meta=born(2)),
    route("a", "red", ref("s"), type_=TLSRoute, hostnames=["a.pass.x"], **at("pass")),
    route("b", "red", ref("s", "blue"), type_=TLSRoute, hostnames=["b.pass.x"], **at("pass")),
    route("end", "red", ref("empty"), type_=TLSRoute, hostnames=["end.x"], **at("end")),
    route("any", "red", ref("s"), type_=TLSRoute, **at("any")),
    route("dns", "red", ref("s"), type_=UDPRoute, **at("dns")),
    route("void", "red", ref("s", weight=0), type_=UDPRoute, **at("void")),
)


def ask(url: str, *objects: Any, gateways: tuple[str, ...] = ()) -> Explanation:
    graph = built(*(objects or (*BASE, *ROUTES)))
    return explain_connection(compile_snapshot(graph).snapshot, graph, parse_target(url), gateways)


@pytest.mark.parametrize(
    ("url", "decision", "reason", "listener_name", "route_name"),
    [
        ("tcp://127.0.0.1:5432", "forward", None, "db", "red/db"),
        ("tcp://db.example.com:5432", "forward", None, "db", "red/db"),
        ("tcp://127.0.0.1:5433", "reset", "no_rule", "idle", None),
        ("tcp://127.0.0.1:1", "reset", "not_listening", None, None),
        ("tls://a.pass.x:443", "forward", None, "pass", "red/a"),
        ("tls://A.PASS.X", "forward", None, "pass", "red/a"),
        ("tls://b.pass.x:443", "close", "reference_refused", "pass", "red/b"),
        ("tls://c.pass.x:443", "close", "no_rule", "pass", None),
        ("tls://end.x:443", "close", "no_endpoint", "end", "red/end"),
        ("tls://other.x:443", "close", "no_listener", None, None),
        ("tls://127.0.0.1:443", "close", "no_listener", None, None),
        ("tls://web.x:443", "respond", "https", None, None),
        ("tls://127.0.0.1:8443", "forward", None, "any", "red/any"),
        ("tls://what.ever:8443", "forward", None, "any", "red/any"),
        ("udp://127.0.0.1:53", "forward", None, "dns", "red/dns"),
        ("udp://127.0.0.1:54", "drop", "zero_weights", "void", "red/void"),
        ("udp://127.0.0.1:55", "drop", "not_listening", None, None),
    ],
)
def test_what_happens(
    url: str, decision: str, reason: str | None, listener_name: str | None, route_name: str | None
) -> None:
    told = ask(url)
    assert (told.decision, told.status, told.reason) == (decision, None, reason)
    assert (told.listener, told.route) == (listener_name, route_name)


def test_shares_and_reasons() -> None:
    told = ask("tcp://127.0.0.1:5432")
    assert told.backends is not None
    assert [(one.backend, one.fraction, one.endpoints, one.status, one.reason) for one in told.backends] == [
        ("red/s:80", "3/4", ("10.0.0.1:8080",), None, None),
        ("blue/s:80", "1/4", None, None, "reference_refused"),
    ]
    [near] = [one for one in told.considered if one.route == "red/late"]
    assert "belongs to TCPRoute red/db: the older route comes first" in near.reason


def test_a_route_that_is_not_accepted_is_named() -> None:
    made = route("r", "red", type_=TCPRoute, rules=[{"backendRefs": [ref("s")]}] * 2, **at("idle"))
    told = ask("tcp://127.0.0.1:5433", *BASE, made)
    assert [one.route for one in told.considered] == ["red/r"]
    assert "Accepted=False/UnsupportedValue" in told.considered[0].reason


def test_routes_that_are_meant_for_other_listeners_are_not_named() -> None:
    """None of the routes is served: each has two rules."""
    rules = [{"backendRefs": [ref("s")]}] * 2
    parent = {"namespace": "infra", "name": "gw"}
    made = [
        route("other", "red", type_=TCPRoute, rules=rules, **at("db")),
        route("port", "red", type_=TCPRoute, rules=rules, parents=[{**parent, "port": 5432}]),
        route("udp", "red", type_=UDPRoute, rules=rules, parents=[parent]),
        route("tls", "red", type_=TLSRoute, rules=rules, parents=[parent]),
        route("here", "red", type_=TCPRoute, rules=rules, **at("idle")),
        route("all", "red", type_=TCPRoute, rules=rules, parents=[parent]),
        route("mistyped", "red", type_=TCPRoute, rules=rules, **at("idel")),
        route("wrong", "red", type_=UDPRoute, rules=rules, **at("idle")),
    ]
    told = ask("tcp://127.0.0.1:5433", *BASE, *made)
    assert {one.route for one in told.considered} == {"red/here", "red/all", "red/mistyped", "red/wrong"}


@pytest.mark.parametrize(("url", "named"), [("tcp://127.0.0.1:9", ["tcp"]), ("udp://127.0.0.1:9", ["udp"])])
def test_listeners_that_are_not_served_are_named_by_transport(url: str, named: list[str]) -> None:
    pairs = [listener(name, 9, name[:3].upper()) for name in ("tcp", "tcp-2", "udp", "udp-2")]
    told = ask(url, gateway("gw", "infra", *pairs))
    assert [one.listener for one in told.considered] == [*named, f"{named[0]}-2"]


def test_less_specific_routes_say_why() -> None:
    made = [
        route("exact", "red", ref("s"), type_=TLSRoute, hostnames=["a.x"], **at("any")),
        route("wild", "red", ref("s"), type_=TLSRoute, hostnames=["*.x"], **at("any")),
        route("none", "red", ref("s"), type_=TLSRoute, **at("any")),
        route("other", "red", ref("s"), type_=TLSRoute, hostnames=["b.y"], **at("any")),
    ]
    told = ask("tls://a.x:8443", *BASE, *made)
    assert {one.route: one.reason for one in told.considered} == {
        "red/wild": "hostname *.x is less specific than that of another route for server name a.x",
        "red/none": "another route has a hostname for server name a.x, and this route has none",
        "red/other": "hostname b.y does not match server name a.x",
    }


def test_tls_to_a_backend_is_named_where_it_is_used() -> None:
    objects = (*BASE, *ROUTES, tls_policy("p", "red", "s"))
    [passed] = ask("tls://a.pass.x:443", *objects).backends or ()
    first, _ = ask("tcp://127.0.0.1:5432", *objects).backends or ()
    assert passed.tls is None
    assert first.tls is not None
    assert first.tls.policy == "red/p"


def test_a_request_to_a_name_of_an_l4_listener_is_not_answered() -> None:
    graph: Graph = built(*BASE, *ROUTES)
    request, port = parse_url("GET", "https://a.pass.x/")
    told = explain(compile_snapshot(graph).snapshot, graph, request, port)
    assert (told.decision, told.status, told.reason) == ("respond", None, "no_listener")
    assert "takes the connection by its server name" in told.considered[0].reason


@pytest.mark.parametrize(
    "url",
    [
        "tcp://a",
        "tcp://:5432",
        "tcp://a:0",
        "tcp://a:99999",
        "udp://a:53/x",
        "tls://",
        "tcp://u@a:1",
        "tls://a?b",
        "tcp://[:1",
    ],
)
def test_what_is_no_target(url: str) -> None:
    assert is_target(url)
    with pytest.raises(SettingError):
        parse_target(url)


def test_targets() -> None:
    assert parse_target("tls://a.x.") == Target(scheme="tls", name="a.x", port=443)
    assert parse_target("tcp://[::1]:1").shown == "tcp://[::1]:1"
    assert parse_target("tls://10.0.0.1:1") == Target(scheme="tls", address="10.0.0.1", port=1)
    assert not is_target("http://a:1")
