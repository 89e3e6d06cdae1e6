"""GRPCRoutes: what is refused, and how their matches are translated."""

from typing import Any

import pytest
from graph.world import gateway, grant, ref, route, service, world

from fastroute.compiler.matches import matches_of
from fastroute.explain.matching import misses
from fastroute.explain.request import Request
from fastroute.graph.build import build_graph
from fastroute.graph.node import Graph, RouteNode
from fastroute.resources.grpcroute import GRPCRoute, call_rules
from fastroute.resources.meta import Key, Resource
from fastroute.settings import GraphSettings

ECHO = {"name": "echo", "port": 80}


def graph_of(*others: Resource, **written: Any) -> Graph:
    one = route("r", "infra", type_=GRPCRoute, **written)
    return build_graph(world(gateway(), service("echo", "infra"), one, *others), GraphSettings())


def node(*others: Resource, **written: Any) -> RouteNode:
    return graph_of(*others, **written).routes["GRPCRoute", Key("infra", "r")]


def matching(**method: Any) -> dict[str, Any]:
    return {"matches": [{"method": method}], "backendRefs": [ECHO]}


FIELD = "spec.rules[0].matches[0].method"
EXTENSION = {"type": "ExtensionRef", "extensionRef": {"group": "x.io", "kind": "Thing", "name": "t"}}
MODIFIER = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-a", "value": "b"}]}}
MIRROR = {"type": "RequestMirror", "requestMirror": {"backendRef": ECHO}}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"backendRefs": [ECHO]}, []),
        (matching(service="a.B", method="C"), []),
        (matching(type="RegularExpression", service="a[.].*", method="^C|D$"), []),
        (matching(type="RegularExpression", service="a("), [f"{FIELD}.service"]),
        (matching(type="RegularExpression", service="a)(b", method="[z-a]"), [f"{FIELD}.service", f"{FIELD}.method"]),
        (
            {"matches": [{"headers": [{"type": "RegularExpression", "name": "a", "value": "("}]}]},
            ["spec.rules[0].matches[0].headers[0].value"],
        ),
        ({"filters": [MODIFIER, MIRROR], "backendRefs": [{**ECHO, "filters": [MODIFIER]}]}, []),
        ({"filters": [EXTENSION]}, ["spec.rules[0].filters[0].type"]),
        ({"sessionPersistence": {"type": "Header", "sessionName": "x-a"}}, []),
    ],
)
def test_one_rule(rule: dict[str, Any], expected: list[str]) -> None:
    found = [one.field for one in node(rules=[rule]).problems if one.condition == "Accepted"]
    assert found == expected


def test_http_2_is_spoken_to_its_backends_beside_http_1() -> None:
    """A port that a GRPCRoute and an HTTPRoute use is two backends, with the same endpoints."""
    graph = graph_of(
        route("h", "infra", ref("echo")),
        rules=[{"filters": [MIRROR], "backendRefs": [ECHO, {"name": "no", "port": 1}]}],
    )
    [rule] = graph.routes["GRPCRoute", Key("infra", "r")].rules
    assert [one.id for one in rule.backend_refs] == ["infra/echo:80/h2", "infra/no:1/h2"]
    assert [one.id for one in rule.mirrors] == ["infra/echo:80/h2"]
    assert {id_: one.protocol.value for id_, one in graph.backends.items()} == {
        "infra/echo:80": "HTTP/1.1",
        "infra/echo:80/h2": "HTTP/2 without TLS",
    }


def test_it_needs_a_grant_of_its_own() -> None:
    refs = [{"name": "echo", "namespace": "red", "port": 80}]
    there = service("echo", "red")
    for kind, allowed in (("GRPCRoute", True), ("HTTPRoute", False)):
        given = grant("g", "red", "infra", from_kind=kind)
        [found] = node(there, given, rules=[{"backendRefs": refs}]).rules[0].backend_refs
        assert found.resolved is allowed


TRANSLATED = [
    (None, ["/a.B/C", "/x/y"], []),
    ({"service": "a.B", "method": "C"}, ["/a.B/C"], ["/a.B/D", "/a.b/C", "/a.B/C/"]),
    ({"service": "a.B"}, ["/a.B/C", "/a.B/D"], ["/a.Bc/D", "/x.a.B/C"]),
    ({"method": "C"}, ["/a.B/C", "/x/C"], ["/a.B/c", "/a.B/D", "/C"]),
    (
        {"type": "RegularExpression", "service": "a[.].+", "method": "C|D"},
        ["/a.B/C", "/a.x.y/D"],
        ["/b.B/C", "/a.B/CD"],
    ),
    ({"type": "RegularExpression", "service": "a|b"}, ["/a/C", "/b/D"], ["/ab/C", "/a/C/D"]),
    ({"type": "RegularExpression", "method": "^(?i:get).*$"}, ["/a.B/GetIt"], ["/a.B/Set", "/a.B/x/GetIt"]),
    ({"type": "RegularExpression", "service": "a.*", "method": "C"}, ["/a.B/C"], ["/b/C"]),
]


@pytest.mark.parametrize(("method", "taken", "refused"), TRANSLATED)
def test_which_calls_a_match_takes(method: dict[str, Any] | None, taken: list[str], refused: list[str]) -> None:
    match = {} if method is None else {"method": method}
    one = route("r", "infra", type_=GRPCRoute, rules=[{"matches": [match]}])
    [rule] = call_rules(one)
    [compiled] = matches_of(one, 0, rule)

    def takes(path: str, type_: str = "application/grpc", verb: str = "POST") -> bool:
        fields = (("Content-Type", type_),)
        request = Request(method=verb, scheme="http", authority="a", path=path, headers=fields)
        return not list(misses(compiled, request, rule.calls))

    assert all(map(takes, taken))
    assert not any(map(takes, refused))
    assert takes(taken[0], "application/grpc+proto")
    assert all(takes(taken[0], f"application/grpc-web{form}") for form in ("", "+proto", "-text", "-text;a=b"))
    assert not any(takes(taken[0], f"application/grpc{form}") for form in ("-webx", "-web-textual", "web"))
    assert not takes(taken[0], verb="GET")


@pytest.mark.parametrize("pattern", ["^foo$|^bar$", "(?i)^foo$", "a$b", r"\Afoo\z", "a(^|b)"])
@pytest.mark.parametrize("part", ["service", "method"])
def test_an_expression_with_an_anchor_inside_is_refused(pattern: str, part: str) -> None:
    """In the expression of the path it would match nothing."""
    [problem] = node(rules=[matching(type="RegularExpression", **{part: pattern})]).problems
    assert (problem.reason, problem.field) == ("UnsupportedValue", f"spec.rules[0].matches[0].method.{part}")


@pytest.mark.parametrize("pattern", ["^(foo|bar)$", "[$^]x", r"a\$b", r"[\]^]x", "[^a]+"])
def test_and_no_other_one(pattern: str) -> None:
    assert node(rules=[matching(type="RegularExpression", service=pattern)]).problems == ()


def test_a_rule_without_matches_takes_every_call() -> None:
    [rule] = call_rules(route("r", "infra", type_=GRPCRoute, rules=[{}]))
    assert [(match.path.type, match.path.value, match.method) for match in rule.matches] == [("PathPrefix", "/", None)]


ORIGINS = "fastroute.dev/grpc-web-origins"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("https://a.example.com", None),
        (" https://a.example.com:8443 , http://*.b.example.com,*,", None),
        ("", "It names no origin."),
        (" , ", "It names no origin."),
        ("a.example.com", "a.example.com is not an origin."),
        ("https://a.example.com, https://b.example.com/path", "https://b.example.com/path is not an origin."),
        ("https://a\r\nx: y", "https://a\\r\\nx: y is not an origin."),
        ("https://" + "a" * 300, f"https://{'a' * 92} is not an origin."),
        (",".join(["https://a.example.com"] * 65), "It names 65 origins."),
        (" " * 300_000, "It names no origin."),
        ("https://a," * 30_000, "It has more than 16384 characters."),
    ],
)
def test_the_origins_of_pages(value: str, message: str | None) -> None:
    one = route("r", "infra", type_=GRPCRoute, meta={"annotations": {ORIGINS: value}}, rules=[{"backendRefs": [ECHO]}])
    graph = build_graph(world(gateway(), service("echo", "infra"), one), GraphSettings())
    problems = graph.routes["GRPCRoute", Key("infra", "r")].problems
    if message is None:
        assert problems == ()
    else:
        [problem] = problems
        assert (problem.reason, problem.field) == ("UnsupportedValue", f"metadata.annotations[{ORIGINS}]")
        assert f"{problem.field}: {message} " in problem.message


def test_the_annotation_is_a_filter_of_each_rule() -> None:
    rules = [{"filters": [MODIFIER, MIRROR]}, {}]
    one = route(
        "r", "infra", type_=GRPCRoute, meta={"annotations": {ORIGINS: "https://a.example.com,https://b"}}, rules=rules
    )
    types = [[filter_.type for filter_ in rule.filters] for rule in call_rules(one)]
    assert types == [["ResponseHeaderModifier", "RequestMirror", "CORS"], ["CORS"]]
    cors = call_rules(one)[1].filters[0].cors
    assert cors is not None
    assert cors.allow_origins == ("https://a.example.com", "https://b")
    assert not cors.allow_credentials
