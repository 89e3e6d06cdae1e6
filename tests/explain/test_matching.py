"""The Python matcher, with cases of the specification."""

import pytest

from fastroute.explain.matching import find_listener, find_rule, takes_host
from fastroute.explain.request import Request, host_of
from fastroute.place import Place, Transport
from fastroute.snapshot import Listener, Match, PathMatch, Rule, Snapshot, ValueMatch

PLACE = Place(Transport.TCP, "127.0.0.1", 80)


def listener(name: str, hostname: str = "", address: str = "127.0.0.1", port: int = 80) -> Listener:
    return Listener(
        id=f"g/g/{name}@{address}",
        gateway="g/g",
        name=name,
        place=Place(Transport.TCP, address, port),
        spec_port=port,
        hostname=hostname,
    )


def match(path: str = "", type_: str = "PathPrefix", rank: int = 0, **conditions: object) -> Match:
    return Match(path=PathMatch(type_, path), rank=(rank,), **conditions)  # type: ignore[arg-type]


def rule(name: str, *matches: Match, hostnames: tuple[str, ...] = ("",), of: str = "g/g/l@127.0.0.1") -> Rule:
    return Rule(
        id=f"{of}|HTTPRoute|{name}",
        listener=of,
        hostnames=hostnames,
        gateway="g/g",
        listener_name="l",
        route=name,
        route_kind="HTTPRoute",
        name="0",
        matches=matches or (match(),),
    )


def request(host: str = "a.example", path: str = "/", method: str = "GET", query: str | None = None, **headers: str):
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Request(method=method, scheme="http", authority=host, path=path, query=query, headers=fields)


def taken_by(asked: Request, *rules: Rule) -> str | None:
    only = listener("l")
    snapshot = Snapshot(listeners={only.id: only}, rules={each.id: each for each in rules})
    found = find_rule(snapshot, only, asked)
    return found.rule.route if found else None


@pytest.mark.parametrize(
    ("hostname", "host", "taken"),
    [
        ("", "anything", True),
        ("a.example", "a.example", True),
        ("a.example", "b.a.example", False),
        ("*.example", "a.example", True),
        ("*.example", "b.a.example", True),
        ("*.example", "example", False),
        ("*.example", ".example", False),
        ("*.example", "an-example", False),
    ],
)
def test_hostnames(hostname: str, host: str, taken: bool) -> None:
    assert takes_host(hostname, host) is taken


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        ("a.b.example", "exact"),
        ("A.B.Example:8080", "exact"),
        ("x.b.example", "long"),
        ("x.y.b.example", "long"),
        ("b.example", "short"),
        ("other", "any"),
    ],
)
def test_the_most_specific_listener_of_the_port_has_the_host(authority: str, name: str) -> None:
    listeners = [
        listener("any"),
        listener("short", "*.example"),
        listener("long", "*.b.example"),
        listener("exact", "a.b.example"),
        listener("other-port", "a.b.example", port=81),
        listener("other-address", "a.b.example", address="127.0.0.2"),
    ]
    snapshot = Snapshot(listeners={each.id: each for each in listeners})
    found = find_listener(snapshot, PLACE, host_of(authority))
    assert found is not None
    assert found.name == name


def test_a_host_that_no_listener_takes() -> None:
    only = listener("only", "a.example")
    assert find_listener(Snapshot(listeners={only.id: only}), PLACE, "b.example") is None


# Paths: rules in order of precedence, and which of them matches a request.
PATHS = (
    rule("exact", match("/foo/bar", "Exact")),
    rule("exact-slash", match("/foo/bar/", "Exact")),
    rule("long", match("/foo/bar")),
    rule("short", match("/foo")),
    rule("regex", match("/fo+b.*", "RegularExpression")),
    rule("other-regex", match("/.*r", "RegularExpression", rank=1)),
)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/foo/bar", "exact"),
        ("/foo/bar/", "exact-slash"),
        ("/foo/bar/x", "long"),
        ("/foo", "short"),
        ("/foo/", "short"),
        ("/foo/barr", "short"),
        ("/foobar", "regex"),
        ("/ooobar", "other-regex"),
        ("/Foo", None),
        ("/", None),
    ],
)
def test_paths(path: str, name: str | None) -> None:
    assert taken_by(request(path=path), *PATHS[::-1]) == name


CONDITIONS = (
    rule("method", match(method="PUT", rank=0)),
    rule("two-headers", match(headers=(ValueMatch("x-a", "1"), ValueMatch("x-b", "2")), rank=1)),
    rule("header", match(headers=(ValueMatch("x-a", "1"),), rank=2)),
    rule("header-regex", match(headers=(ValueMatch("x-a", "[0-9]+", "RegularExpression"),), rank=3)),
    rule("query", match(query=(ValueMatch("v", "1"),), rank=4)),
    rule("query-regex", match(query=(ValueMatch("v", "a|b", "RegularExpression"),), rank=5)),
    rule("any", match(rank=6)),
)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (request(method="PUT", x_a="1"), "method"),
        (request(method="put"), "any"),
        (request(x_a="1", x_b="2"), "two-headers"),
        (request(x_a="1", x_b="3"), "header"),
        (request(X_A="1"), "header"),
        (request(x_a="12"), "header-regex"),
        (request(x_a="12x"), "any"),
        (request(query="v=1&v=2"), "query"),
        (request(query="v=2&v=1"), "any"),
        (request(query="v=b"), "query-regex"),
        (request(query="V=1"), "any"),
    ],
)
def test_the_rank_decides_between_matches_of_one_path(asked: Request, name: str) -> None:
    assert taken_by(asked, *CONDITIONS[::-1]) == name


# More specific hostnames first, whatever the paths; a request that no rule of a hostname matches falls through.
HOSTS = (
    rule("exact", match("/deep/path"), hostnames=("a.b.example", "*.b.example")),
    rule("long", match(), hostnames=("*.b.example",)),
    rule("short", match("/only-short"), hostnames=("*.example", "example")),
    rule("none", match("/deep/path/below", "Exact"), match("/x")),
)


@pytest.mark.parametrize(
    ("host", "path", "name"),
    [
        ("a.b.example", "/deep/path/below", "exact"),
        ("a.b.example", "/x", "long"),
        ("c.b.example", "/deep/path", "exact"),
        ("c.b.example", "/x", "long"),
        ("c.example", "/only-short/1", "short"),
        ("c.example", "/x", "none"),
        ("c.example", "/y", None),
        ("example", "/only-short", "short"),
        ("elsewhere", "/deep/path/below", "none"),
    ],
)
def test_routes_rank_by_their_own_hostnames_and_fall_through(host: str, path: str, name: str | None) -> None:
    assert taken_by(request(host, path), *HOSTS[::-1]) == name


def test_rules_of_another_listener_take_nothing() -> None:
    assert taken_by(request(), rule("elsewhere", of="g/g/m@127.0.0.1")) is None
