"""Matches that lint reports as shadowed never match a request, according to the matcher of explain."""

from itertools import product
from typing import Any

from graph.world import gateway, listener, route, world
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.compiler.compile import compile_snapshot
from fastroute.explain.matching import find_listener, find_rule
from fastroute.explain.request import Request
from fastroute.graph.build import build_graph
from fastroute.graph.shadow import find_shadows
from fastroute.lint import lint
from fastroute.place import Place, Transport
from fastroute.settings import GraphSettings

LISTENERS = ("", "a.b.com", "*.b.com", "*.com")
HOSTNAMES = ("a.b.com", "*.b.com", "*.com", "x.com")
HOSTS = ("a.b.com", "x.b.com", "x.com", "q.a.b.com")
PATHS = ("/", "/a", "/a/", "/a/b", "/ab")
REQUESTS = [
    Request(method=method, scheme="http", authority=host, path=path, query=query, headers=(("Host", host), *headers))
    for method, host, path, query, headers in product(
        ("GET", "POST"), HOSTS, PATHS, (None, "q=1"), ((), (("a", "1"),), (("a", "2"), ("b", "1")))
    )
]

literal = st.builds(
    lambda type_, value: {"type": type_, "value": value},
    st.sampled_from(("Exact", "PathPrefix")),
    st.sampled_from(PATHS),
)
pattern = st.builds(lambda value: {"type": "RegularExpression", "value": value}, st.sampled_from(("/.*", "/a.*", "/a")))
header = st.fixed_dictionaries({"name": st.sampled_from(("A", "a", "b")), "value": st.sampled_from("12")})
match = st.fixed_dictionaries(
    {"path": literal | pattern},
    optional={
        "method": st.sampled_from(("GET", "POST")),
        "headers": st.lists(header, min_size=1, max_size=1),
        "queryParams": st.just([{"name": "q", "value": "1"}]),
    },
)
rules = st.lists(
    st.builds(lambda one: {"matches": one}, st.lists(match, min_size=1, max_size=2)), min_size=1, max_size=2
)
some_route = st.tuples(st.integers(0, 2), st.lists(st.sampled_from(HOSTNAMES), unique=True, max_size=2), rules)


@given(
    hostnames=st.lists(st.sampled_from(LISTENERS), min_size=1, max_size=3, unique=True),
    written=st.lists(some_route, min_size=1, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_what_is_said_to_take_nothing_takes_nothing(
    hostnames: list[str], written: list[tuple[int, list[str], list[dict[str, Any]]]]
) -> None:
    web = gateway("gw", "infra", *(listener(f"l{i}", **_hostname(name)) for i, name in enumerate(hostnames)))
    routes = [
        route(f"r{number}", "red", parents=_parents(f"l{which % len(hostnames)}"), hostnames=hosts, rules=given_rules)
        for number, (which, hosts, given_rules) in enumerate(written)
    ]
    resources = world(web, *routes)
    graph = build_graph(resources, GraphSettings())
    nothing = {
        (one.source.name, str(shadow.loser[1]), str(shadow.loser[2]), shadow.loser[3], shadow.hostname)
        for node in graph.gateways.values()
        for one in node.listeners
        for shadow in find_shadows(one)
    }
    unused = {(str(said.key), said.field) for said in lint(resources, graph) if said.reason == "HostnameUnused"}
    hosts_of = {str(one.key): one.spec.hostnames for one in routes}
    snapshot = compile_snapshot(graph).snapshot
    for request in REQUESTS:
        taking = find_listener(snapshot, Place(Transport.TCP, "127.0.0.1", 80), request.host)
        found = find_rule(snapshot, taking, request) if taking else None
        if taking and found:
            key = found.rule.route
            assert (taking.name, key, found.rule.name, found.index, found.hostname) not in nothing
            if found.hostname:
                assert (key, f"spec.hostnames[{hosts_of[key].index(found.hostname)}]") not in unused


def _hostname(name: str) -> dict[str, str]:
    return {"hostname": name} if name else {}


def _parents(section: str) -> list[dict[str, str]]:
    return [{"namespace": "infra", "name": "gw", "sectionName": section}]
