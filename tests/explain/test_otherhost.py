"""What no route takes names the routes that would take it under another hostname, with the reason of each."""

import pytest
from explain.asking import ask
from worlds import GATEWAY, graph_of, route

from fastroute.compiler.compile import compile_snapshot
from fastroute.explain.considered import AT_MOST
from fastroute.explain.otherhost import AT_MOST as MOST_HOSTS
from fastroute.explain.question import parse_question

RULES = """
  - matches: [{path: {value: /a}}]
  - matches: [{path: {value: /a/b}}]
"""
TWO = GATEWAY.replace(
    "  listeners:\n",
    "  listeners:\n  - {name: near, port: 8080, protocol: HTTP, hostname: a.example.com}\n",
).replace("name: proxy,", "name: proxy, hostname: '*.example.com',")
PLAIN = "hostname {} does not match {}"


@pytest.mark.parametrize(
    ("hostname", "host", "why"),
    [
        ("a.example.com", "b.example.com", ""),
        ("*.example.com", "example.com", ": a wildcard matches names below example.com, not example.com itself"),
        ("example.com", "www.example.com", ": only a wildcard (*.example.com) matches names below it"),
        ("a.example.com", "127.0.0.1", ", which is an address"),
        ("a.example.com", "[::1]", ", which is an address"),
    ],
)
def test_a_route_with_another_hostname_is_a_near_miss(hostname: str, host: str, why: str) -> None:
    told = ask(f"http://{host}:8080/a/x", GATEWAY, route("infra/r", RULES, f"['{hostname}']"))
    assert (told.status, told.reason) == (404, "no_rule")
    found = [(one.route, one.rule, one.match, one.reason) for one in told.considered]
    assert found[0] == ("infra/r", "0", 0, PLAIN.format(hostname, host) + why)
    assert found[1:] == [
        ("infra/r", "1", 0, f"{PLAIN.format(hostname, host)}; path PathPrefix /a/b does not match /a/x")
    ]


def test_routes_of_other_listeners_are_named() -> None:
    wild = route("infra/wild", RULES, parent="{name: web, sectionName: proxy}")
    told = ask("http://example.com:8080/a", TWO, wild)
    assert told.reason == "no_listener"
    first, *listeners = told.considered
    assert (first.listener, first.route) == ("proxy", "infra/wild")
    assert "names below example.com" in first.reason
    assert {(one.listener, one.route) for one in listeners} == {("proxy", None), ("near", None)}


def test_a_listener_that_is_more_specific_is_the_reason() -> None:
    wild = route("infra/wild", RULES, "[a.example.com]", parent="{name: web, sectionName: proxy}")
    told = ask("http://a.example.com:8080/a", TWO, wild)
    assert (told.listener, told.reason) == ("near", "no_rule")
    [miss] = told.considered
    assert (miss.listener, miss.route) == ("proxy", "infra/wild")
    assert "the hostname of another listener is more specific" in miss.reason


def test_a_path_that_no_route_has_is_no_near_miss_of_another_host() -> None:
    told = ask("http://b.example.com:8080/c", GATEWAY, route("infra/r", RULES, "[a.example.com]"))
    assert all("path" in one.reason for one in told.considered)


def test_the_most_similar_hostnames_come_first_and_leave_room() -> None:
    anywhere = [route(f"infra/r{number:02}", RULES, f"[r{number}.example.org]") for number in range(AT_MOST)]
    similar = route("infra/similar", RULES, "[b.shop.example.com]")
    own = route("infra/own", "\n  - matches: [{path: {value: /b}}]", "[a.shop.example.com]")
    told = ask("http://a.shop.example.com:8080/a", GATEWAY, *anywhere, similar, own)
    names = [one.route for one in told.considered]
    assert names[:2] == ["infra/similar", "infra/r00"]
    assert names[MOST_HOSTS] == "infra/own"
    assert len(names) == AT_MOST


def test_a_request_that_a_route_takes_has_none() -> None:
    other = route("infra/other", RULES, "[b.example.com]")
    own = route("infra/own", RULES, "[a.example.com]")
    told = ask("http://a.example.com:8080/a", GATEWAY, own, other)
    assert told.route == "infra/own"
    assert all("path" in one.reason or one.route == "infra/other" for one in told.considered)


def test_many_listeners_that_do_not_listen_are_cut() -> None:
    listeners = "".join(f"  - {{name: l{number}, port: {9000 + number}, protocol: HTTP}}\n" for number in range(30))
    told = ask("http://web:1/", GATEWAY.replace("  listeners:\n", f"  listeners:\n{listeners}"))
    assert (told.reason, len(told.considered)) == ("not_listening", AT_MOST)


def test_a_server_name_that_no_listener_matches() -> None:
    tls = (
        GATEWAY.replace("HTTP", "TLS")
        .replace("name: proxy,", "name: proxy, hostname: '*.example.com', tls: {mode: Passthrough},")
        .replace("{namespaces", "{kinds: [{kind: TLSRoute}], namespaces")
    )
    passed = route("infra/r", "\n  - backendRefs: [{name: x, port: 80}]", "[a.example.com]")
    graph = graph_of(tls, passed.replace("HTTPRoute", "TLSRoute"))
    told = parse_question(None, "tls://a.example.org:8080", ()).answer(compile_snapshot(graph).snapshot, graph)
    assert (told.decision, told.reason) == ("close", "no_listener")
    assert (told.considered[0].route, told.considered[0].reason) == (
        "infra/r",
        PLAIN.format("a.example.com", "a.example.org"),
    )
