"""Which rule matches a request: compared with the Python matcher of explain, and difficult cases one by one."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snapshots import (
    HOSTS,
    LISTENER,
    a_listener,
    a_match,
    a_rule,
    build,
    look_up,
    prefix_rule,
    requests,
    snapshots,
    value_matches,
)

from fastroute.explain.arrival import arrive
from fastroute.explain.matching import find_listener, find_rule
from fastroute.explain.request import Request, host_of
from fastroute.ext.routing.tables import Tables
from fastroute.place import Place, Transport
from fastroute.snapshot import Listener, ListenerTLS, Mode, PathMatch, Rule, Snapshot, ValueMatch


def expected(snapshot: Snapshot, request: Request, at: Listener) -> tuple[str | None, int, int, int, str]:
    """The expected result of `Tables.find`, from the Python matcher."""
    listener = find_listener(snapshot, at.place, request.host)
    if listener is None:
        return (None, 0, 0, 0, "no_listener")
    found = find_rule(snapshot, listener, request)
    if found is None:
        return (None, 0, 0, listener.spec_port, "no_rule")
    path = found.match.path
    prefix = len(path.value) if path.type == "PathPrefix" else 0
    return (found.rule.id, found.index, prefix, listener.spec_port, "none")


@settings(max_examples=150, deadline=None)
@given(snapshots(), st.lists(requests(), min_size=1, max_size=8))
def test_takes_what_the_plain_matcher_takes(snapshot: Snapshot, asked: list[Request]) -> None:
    tables = build(snapshot.listeners.values(), snapshot.rules.values())
    for request in asked:
        for listener in snapshot.listeners.values():
            assert look_up(tables, request, listener) == expected(snapshot, request, listener)


@settings(max_examples=100, deadline=None)
@given(snapshots(), st.lists(st.tuples(requests(), st.sampled_from(HOSTS)), min_size=1, max_size=8))
def test_over_tls_a_request_belongs_to_the_listener_of_its_connection(
    snapshot: Snapshot, asked: list[tuple[Request, str]]
) -> None:
    """As in `explain`: the listener of the SNI name, if the Host belongs to this listener too."""
    tls = ListenerTLS(certificates=())
    secure = {id: msgspec.structs.replace(one, mode=Mode.TERMINATE, tls=tls) for id, one in snapshot.listeners.items()}
    snapshot = msgspec.structs.replace(snapshot, listeners=secure)
    tables = build(snapshot.listeners.values(), snapshot.rules.values())
    for drawn, name in asked:
        request = msgspec.structs.replace(drawn, scheme="https", asked=host_of(name))
        for at in secure.values():
            socket = tables.socket_index(at.place)
            found = tables.find(
                socket,
                request.method,
                request.path,
                request.authority,
                request.headers,
                query=request.query,
                asked=request.asked,
            )
            arrival = arrive(snapshot, [at], request)
            greeted = find_listener(snapshot, at.place, host_of(name))
            if arrival is not None and not arrival.misdirected:
                assert found == expected(snapshot, request, at)
            elif greeted is not None:  # otherwise the handshake fails
                assert (found[0], found[4]) == (None, "misdirected" if arrival else "no_listener")


def winner(rules: list[Rule], path: str = "/", host: str = "example.com", method: str = "GET", **more: object) -> str:
    """The route that matches the request, "" if there is none: the same for every order of the rules, and for the plain
    matcher."""
    request = Request(method=method, scheme="http", authority=host, path=path, **more)  # type: ignore[arg-type]
    answers = {
        look_up(build([a_listener()], order), request, a_listener())[0] for order in (rules, list(reversed(rules)))
    }
    snapshot = Snapshot(listeners={LISTENER: a_listener()}, rules={rule.id: rule for rule in rules})
    assert answers == {expected(snapshot, request, a_listener())[0]}
    return (answers.pop() or "||").split("|")[2]


def rule_at(route: str, kind: str, value: str, **more: object) -> Rule:
    method = more.pop("method", None)
    headers, query = more.pop("headers", ()), more.pop("query", ())
    match = a_match(PathMatch(kind, value), method, headers, query, order=(route, 0, 0))  # type: ignore[arg-type]
    return a_rule(route, match, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prefix", "path", "taken"),
    [
        ("", "/", True),
        ("", "/a", True),
        ("/foo", "/foo", True),
        ("/foo", "/foo/", True),
        ("/foo", "/foo/bar", True),
        ("/foo", "/foobar", False),
        ("/foo", "/fo", False),
        ("/foo", "/Foo", False),
        ("/foo", "//foo", False),
        ("/foo/bar", "/foo", False),
        ("/foo/bar", "/foo/bar/baz", True),
        ("/foo", "/foo%2Fbar", False),
    ],
)
def test_prefixes_cover_whole_elements(prefix: str, path: str, taken: bool) -> None:
    assert winner([rule_at("ns/a", "PathPrefix", prefix)], path) == ("ns/a" if taken else "")


def test_exact_beats_prefix_beats_shorter_prefix_beats_expression() -> None:
    rules = [
        rule_at("ns/expression", "RegularExpression", "/match.*"),
        rule_at("ns/root", "PathPrefix", "/match"),
        rule_at("ns/long", "PathPrefix", "/match/long"),
        rule_at("ns/exact", "Exact", "/match/long"),
    ]
    assert winner(rules, "/match/long") == "ns/exact"
    assert winner(rules, "/match/long/") == "ns/long"
    assert winner(rules, "/match/lon") == "ns/root"
    assert winner(rules, "/matching") == "ns/expression"
    assert winner(rules, "/no") == ""


CALL = (("Content-Type", "application/grpc+proto"),)


def test_a_call_meets_the_rules_for_calls_first() -> None:
    """Even if others have a more specific hostname or path; a request that is no call meets only the others."""
    rules = [
        rule_at("ns/all", "PathPrefix", ""),
        rule_at("ns/exact", "Exact", "/a.B/C", hostnames=("example.com",)),
        rule_at("ns/service", "PathPrefix", "/a.B", calls=True),
        rule_at("ns/method", "PathPrefix", "", method="D", calls=True),
        rule_at("ns/header", "PathPrefix", "", headers=(ValueMatch("x-a", "1"),), calls=True),
    ]
    for path, fields, taken in [
        ("/a.B/C", CALL, "ns/service"),
        ("/a.B/D", CALL, "ns/service"),
        ("/x/D", CALL, "ns/method"),
        ("/x/E", CALL, "ns/all"),
        ("/x/E", (*CALL, ("X-A", "1")), "ns/header"),
        ("/x/D", (*CALL, ("X-A", "1")), "ns/method"),
        ("/D", CALL, "ns/all"),
        ("/a.B/C", (), "ns/exact"),
        ("/x/D", (("Content-Type", "application/grpc-web"),), "ns/method"),
        ("/x/D", (("Content-Type", "application/grpc-web-text+proto"),), "ns/method"),
        ("/x/D", (("Content-Type", "application/grpc-webtext"),), "ns/all"),
    ]:
        assert winner(rules, path, method="POST", headers=fields) == taken, path
    assert winner(rules, "/a.B/C", headers=CALL) == "ns/exact"
    assert winner(rules[2:], "/x/E", method="POST", headers=CALL) == ""


def test_the_method_of_http_counts_after_the_rules_for_calls() -> None:
    rules = [
        rule_at("ns/post", "PathPrefix", "", method="POST"),
        rule_at("ns/call", "PathPrefix", "", method="POST", calls=True),
    ]
    assert winner(rules, "/a/C", method="POST", headers=CALL) == "ns/post"
    assert winner(rules, "/a/POST", method="POST", headers=CALL) == "ns/call"


def test_longer_expressions_come_first() -> None:
    rules = [rule_at("ns/a", "RegularExpression", "/.*"), rule_at("ns/b", "RegularExpression", "/[0-9]+")]
    assert winner(rules, "/12") == "ns/b"
    assert winner(rules, "/1x") == "ns/a"


def test_hundreds_of_expressions_are_told_apart_by_how_they_begin() -> None:
    rules = [rule_at(f"ns/{number}", "RegularExpression", f"/app-{number}/v[0-9]+") for number in range(300)]
    rules += [rule_at("ns/any", "RegularExpression", ".*/v1"), rule_at("ns/case", "RegularExpression", "(?i)/APP-7/.*")]
    assert winner(rules, "/app-7/v12") == "ns/7"
    assert winner(rules, "/app-70/v1") == "ns/70"
    assert winner(rules, "/App-7/x") == "ns/case"
    assert winner(rules, "/none/v1") == "ns/any"
    assert winner(rules, "/app-300/v2") == ""
    assert winner(rules, "/") == ""


def test_a_shorter_prefix_takes_what_the_longer_ones_conditions_leave() -> None:
    rules = [rule_at("ns/short", "PathPrefix", ""), rule_at("ns/long", "PathPrefix", "/a/b", method="POST")]
    assert winner(rules, "/a/b/c", method="POST") == "ns/long"
    assert winner(rules, "/a/b/c", method="GET") == "ns/short"


def test_conditions_decide_in_the_order_of_rank() -> None:
    one, two = ValueMatch("x-one", "1"), ValueMatch("x-two", "2")
    rules = [
        rule_at("ns/bare", "PathPrefix", ""),
        rule_at("ns/query", "PathPrefix", "", query=(ValueMatch("q", "1"),)),
        rule_at("ns/header", "PathPrefix", "", headers=(one,)),
        rule_at("ns/headers", "PathPrefix", "", headers=(one, two)),
        rule_at("ns/method", "PathPrefix", "", method="GET"),
    ]
    everything = {"query": "q=1", "headers": (("X-One", "1"), ("x-two", "2"))}
    assert winner(rules, **everything) == "ns/method"
    assert winner(rules, method="PUT", **everything) == "ns/headers"
    assert winner(rules, method="PUT", query="q=1", headers=(("x-one", "1"),)) == "ns/header"
    assert winner(rules, method="PUT", query="q=1") == "ns/query"
    assert winner(rules, method="PUT", query="q=2") == "ns/bare"


@pytest.mark.parametrize(
    ("test", "fields", "taken"),
    [
        (ValueMatch("x", "1,2"), (("X", "1"), ("x", "2")), True),
        (ValueMatch("x", "1"), (("X", "1"), ("x", "2")), False),
        (ValueMatch("x", "1,2", "RegularExpression"), (("X", "1"), ("x", "2")), True),
        (ValueMatch("x", "a+", "RegularExpression"), (("X", "aaa"),), True),
        (ValueMatch("x", "a+", "RegularExpression"), (("X", "aaab"),), False),
        (ValueMatch("x", ".*", "RegularExpression"), (), False),
        (ValueMatch("x", ""), (("X", ""),), True),
        (ValueMatch("x", "A"), (("X", "a"),), False),
        (ValueMatch("x", "1"), (("X1", "1"), ("Y", "1")), False),
        (ValueMatch("x", "é"), (("X", "Ã©"),), True),  # the bytes of UTF-8
        (ValueMatch("x", "é", "RegularExpression"), (("X", "Ã©"),), True),
        (ValueMatch("x", "[a-z]+", "RegularExpression"), (("X", "a" * 4096),), True),
        (ValueMatch("x", "[a-z]+", "RegularExpression"), (("X", "a" * 4097),), False),
        (ValueMatch("x", "[a-z,]+", "RegularExpression"), (("X", "a" * 4000), ("X", "a" * 95)), True),
        (ValueMatch("x", "[a-z,]+", "RegularExpression"), (("X", "a" * 4000), ("X", "a" * 96)), False),
    ],
)
def test_headers(test: ValueMatch, fields: tuple[tuple[str, str], ...], taken: bool) -> None:
    assert winner([rule_at("ns/a", "PathPrefix", "", headers=(test,))], headers=fields) == ("ns/a" if taken else "")


@pytest.mark.parametrize(
    ("test", "query", "taken"),
    [
        (ValueMatch("a", "1"), "a=1", True),
        (ValueMatch("a", "1"), "b=2&a=1&a=2", True),
        (ValueMatch("a", "2"), "b=2&a=1&a=2", False),
        (ValueMatch("a", ""), "a", True),
        (ValueMatch("a", ""), "a=", True),
        (ValueMatch("a", "x=y"), "a=x=y", True),
        (ValueMatch("a", "%20"), "a=%20", True),
        (ValueMatch("a", " "), "a=%20", False),
        (ValueMatch("a", "1"), "%61=1", False),
        (ValueMatch("a", "1"), "aa=1&&", False),
        (ValueMatch("a", "1"), None, False),
        (ValueMatch("a", "[0-9]", "RegularExpression"), "a=7", True),
        (ValueMatch("a", "é"), "a=Ã©", True),
        (ValueMatch("é", "1"), "Ã©=1", True),
        (ValueMatch("a", "[a-z]+", "RegularExpression"), "a=" + "b" * 4096, True),
        (ValueMatch("a", "[a-z]+", "RegularExpression"), "a=" + "b" * 4097, False),
        (ValueMatch("z", "1"), "a&" * 4000 + "z=1", True),
        (ValueMatch("z", "1"), "&".join(map(str, range(1500))) + "&z=1", True),
    ],
)
def test_query_parameters(test: ValueMatch, query: str | None, taken: bool) -> None:
    assert winner([rule_at("ns/a", "PathPrefix", "", query=(test,))], query=query) == ("ns/a" if taken else "")


@pytest.mark.parametrize(("size", "taken"), [(8192, True), (8193, False)])
def test_an_expression_sees_a_path_of_limited_length(size: int, taken: bool) -> None:
    rules = [rule_at("ns/a", "RegularExpression", "/a+")]
    assert winner(rules, "/" + "a" * (size - 1)) == ("ns/a" if taken else "")


@pytest.mark.parametrize(
    ("host", "route"),
    [
        ("a.example.com", "ns/exact"),
        ("A.Example.com:8080", "ns/exact"),
        ("a.example.com.", "ns/exact"),
        ("b.example.com", "ns/wildcard"),
        ("c.b.example.com", "ns/wildcard"),
        ("c.deep.example.com", "ns/deep"),
        ("deep.example.com", "ns/wildcard"),
        ("example.com", "ns/any"),
        ("notexample.com", "ns/any"),
        ("", "ns/any"),
        ("[::1]:80", "ns/any"),
    ],
)
def test_the_most_specific_hostname_wins(host: str, route: str) -> None:
    rules = [
        rule_at("ns/any", "Exact", "/", hostnames=("",)),
        rule_at("ns/wildcard", "PathPrefix", "", hostnames=("*.example.com",)),
        rule_at("ns/deep", "PathPrefix", "", hostnames=("*.deep.example.com",)),
        rule_at("ns/exact", "PathPrefix", "", hostnames=("a.example.com",)),
    ]
    assert winner(rules, host=host) == route


def test_what_no_rule_of_the_best_hostname_takes_falls_through() -> None:
    rules = [
        rule_at("ns/exact", "PathPrefix", "/v1", hostnames=("a.example.com",)),
        rule_at("ns/wildcard", "PathPrefix", "/v2", hostnames=("*.example.com",)),
        rule_at("ns/any", "PathPrefix", "/v3"),
        rule_at("ns/shorter", "PathPrefix", "/v2", hostnames=("*.com",)),
    ]
    assert [winner(rules, path, "a.example.com") for path in ("/v1", "/v2", "/v3", "/v4")] == [
        "ns/exact",
        "ns/wildcard",
        "ns/any",
        "",
    ]


def test_a_request_belongs_to_one_listener() -> None:
    narrow, wide = a_listener("narrow", "a.example.com"), a_listener("wide", "*.example.com")
    rule = rule_at("ns/wide", "PathPrefix", "", listener=wide.id)
    tables = build([narrow, wide], [rule])
    ask = Request(method="GET", scheme="http", authority="a.example.com", path="/")
    assert look_up(tables, ask, narrow) == (None, 0, 0, 80, "no_rule")
    other = Request(method="GET", scheme="http", authority="b.example.com", path="/")
    assert look_up(tables, other, narrow)[0] == rule.id


def test_ports_and_addresses_keep_apart() -> None:
    one, two = a_listener("one", port=8080), a_listener("two", port=8081)
    third = a_listener("three", address="127.0.0.2")
    rules = [rule_at(f"ns/{listener.name}", "PathPrefix", "", listener=listener.id) for listener in (one, two, third)]
    tables = build([one, two, third], rules)
    ask = Request(method="GET", scheme="http", authority="h", path="/")
    assert [look_up(tables, ask, listener)[0] for listener in (one, two, third)] == [rule.id for rule in rules]
    assert tables.socket_index(Place(Transport.TCP, "127.0.0.3", 8080)) == -1
    assert tables.find(7, "GET", "/", "h") == (None, 0, 0, 0, "no_listener")


def test_long_hosts_and_paths_cost_no_more_than_their_length() -> None:
    tables = build([a_listener()], [prefix_rule(1, "/a", hostnames=("*.example.com",)), prefix_rule(2, "/b")])
    host = "a." * 120 + "example.com"
    assert look(tables, "/a", host) == "team-1/route"
    assert look(tables, "/" * 8000, host) == ""
    assert look(tables, "/b" + "/b" * 4000, "x") == "team-2/route"


def look(tables: Tables, path: str, host: str) -> str:
    request = Request(method="GET", scheme="http", authority=host, path=path)
    return (look_up(tables, request, a_listener())[0] or "||").split("|")[2]


def test_thousands_of_rules_keep_their_places() -> None:
    rules = [prefix_rule(number, f"/team-{number % 50}/app-{number}") for number in range(3000)]
    tables = build([a_listener()], rules)
    assert len(tables) == 3000
    for number in range(0, 3000, 7):
        assert look(tables, f"/team-{number % 50}/app-{number}/x", "h") == f"team-{number}/route"
        assert look(tables, f"/team-{(number + 1) % 50}/app-{number}/x", "h") == ""


def test_thousands_of_matches_on_one_path_keep_their_order() -> None:
    rules = [
        rule_at(f"ns/{number:04}", "PathPrefix", "/same", headers=(ValueMatch("x", str(number % 500)),))
        for number in range(1000)
    ]
    for number in (0, 250, 499):
        request = Request(method="GET", scheme="http", authority="h", path="/same", headers=(("x", str(number)),))
        assert look_up(build([a_listener()], reversed(rules)), request, a_listener())[0] == rules[number].id


CROWD = st.lists(
    st.tuples(
        st.sampled_from((None, "GET", "POST")),
        value_matches(("x-one", "x-two", "x-three")),
        value_matches(("one", "two")),
        st.sampled_from(("PathPrefix", "RegularExpression")),
    ),
    min_size=5,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(CROWD, st.lists(requests(), min_size=1, max_size=8))
def test_a_crowd_on_one_path_is_told_apart(crowd: list[Any], asked: list[Request]) -> None:
    """Dozens of matches with the same path, which differ only in headers, query parameters and method."""
    rules = [
        a_rule(
            f"ns/{number:02}",
            a_match(
                PathMatch(kind, "" if kind == "PathPrefix" else ".*"), method, headers, query, order=(f"{number:02}",)
            ),
        )
        for number, (method, headers, query, kind) in enumerate(crowd)
    ]
    snapshot = Snapshot(listeners={LISTENER: a_listener()}, rules={rule.id: rule for rule in rules})
    tables = build([a_listener()], rules)
    for request in asked:
        assert look_up(tables, request, a_listener()) == expected(snapshot, request, a_listener())


def test_more_headers_than_can_be_told_apart_at_once() -> None:
    rules = [
        rule_at(f"ns/{number:02}", "PathPrefix", "", headers=(ValueMatch(f"x-{number}", "1"),)) for number in range(30)
    ]
    for number in (0, 5, 12, 29):
        assert winner(rules, headers=((f"X-{number}", "1"),)) == f"ns/{number:02}"
    assert winner(rules, headers=(("X-7", "1"), ("X-9", "1"))) == "ns/07"
    assert winner(rules, headers=(("X-7", "2"),)) == ""


def test_a_header_of_many_lines_is_one_value() -> None:
    lines = tuple(("X", str(number)) for number in range(150))
    value = ",".join(value for _, value in lines)
    rules = [
        rule_at(f"ns/{number}", "PathPrefix", "", headers=(ValueMatch("x", f"{value}{number or ''}"),))
        for number in range(9)
    ]
    assert winner(rules, headers=lines) == "ns/0"
    expression = [rule_at("ns/a", "PathPrefix", "", headers=(ValueMatch("x", "0,.*,149", "RegularExpression"),))]
    assert winner(expression, headers=lines) == "ns/a"


def test_without_memory_for_the_names_of_a_request_no_rule_is_taken() -> None:
    """The engine has memory for every request within its limits; Tables.find has less than this one needs."""
    tables = build([a_listener()], [rule_at("ns/a", "PathPrefix", "", query=(ValueMatch("a", "1"),))])
    assert tables.find(0, "GET", "/", "h", query="&".join(map(str, range(100_000))))[::4] == (None, "overloaded")


def test_an_expression_that_re2_refuses_changes_nothing() -> None:
    good = rule_at("ns/a", "PathPrefix", "")
    with pytest.raises(ValueError, match="missing"):
        build([a_listener()], [good, rule_at("ns/a", "RegularExpression", "/(")])


def test_a_rule_without_its_listener_is_refused() -> None:
    with pytest.raises(ValueError, match="never put"):
        build([], [a_rule(listener=LISTENER)])
