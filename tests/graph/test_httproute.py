"""HTTPRoutes: an unsupported feature is reported by name, and the whole route is not served."""

from typing import Any

import pytest
from graph.world import gateway, grant, ref, route, service, world

from fastroute.ext.routing.regex import Regex
from fastroute.graph import regex
from fastroute.graph.build import build_graph
from fastroute.graph.node import RouteNode
from fastroute.resources.meta import Key, Resource
from fastroute.settings import GraphSettings

ECHO = {"name": "echo", "port": 80}


def node(*others: Resource, **written: Any) -> RouteNode:
    one = route("r", "infra", **written)
    graph = build_graph(world(gateway(), service("echo", "infra"), one, *others), GraphSettings())
    found = graph.routes["HTTPRoute", Key("infra", "r")]
    (listener,) = graph.gateways[Key("infra", "gw")].listeners
    assert bool(listener.attachments) is found.accepted
    return found


def modifier(type_: str = "RequestHeaderModifier", **lists: Any) -> dict[str, Any]:
    return {"type": type_, type_[0].lower() + type_[1:]: lists}


REWRITE = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}}}
REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}
RENAME = {"type": "URLRewrite", "urlRewrite": {"hostname": "a.example.com"}}
CORS = {"type": "CORS", "cors": {"allowOrigins": ["https://*.example.com"]}}
MIRROR = {"type": "RequestMirror", "requestMirror": {"backendRef": ECHO}}
EXTENSION = {"type": "ExtensionRef", "extensionRef": {"group": "x.io", "kind": "Thing", "name": "t"}}


REQUEST = "spec.rules[0].filters[0].requestHeaderModifier"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"backendRefs": [ECHO]}, []),
        ({"filters": [REDIRECT]}, []),
        ({"filters": [CORS], "backendRefs": [ECHO]}, []),
        ({"backendRefs": [{**ECHO, "filters": [CORS]}, ECHO]}, []),
        ({"filters": [REWRITE], "backendRefs": [ECHO]}, []),
        ({"filters": [modifier(set=[{"name": "X-A", "value": "b"}])], "backendRefs": [ECHO]}, []),
        ({"filters": [MIRROR, MIRROR], "backendRefs": [{**ECHO, "filters": [MIRROR]}]}, []),
        ({"filters": [REDIRECT, EXTENSION]}, ["spec.rules[0].filters[1].type"]),
        ({"filters": [{"type": "ExternalAuth"}]}, ["spec.rules[0].filters[0].type"]),
        ({"backendRefs": [{**ECHO, "filters": [EXTENSION]}]}, ["spec.rules[0].backendRefs[0].filters[0].type"]),
        ({"retry": {"attempts": 2, "codes": [500], "backoff": "1s"}}, []),
        ({"retry": {"attempts": 100}}, []),
        ({"retry": {"attempts": 101}}, ["spec.rules[0].retry.attempts"]),
        ({"retry": {"attempts": 2**31 - 1, "codes": [500]}}, ["spec.rules[0].retry.attempts"]),
        ({"retry": {}, "sessionPersistence": {}}, []),
        ({"sessionPersistence": {"sessionName": "a", "absoluteTimeout": "1ms"}}, []),
        ({"sessionPersistence": {"sessionName": "a b"}}, ["spec.rules[0].sessionPersistence.sessionName"]),
        ({"sessionPersistence": {"cookie": {"path": "/a b"}}}, ["spec.rules[0].sessionPersistence.cookie.path"]),
        (
            {"sessionPersistence": {"type": "Header", "header": {"name": "Host"}}},
            ["spec.rules[0].sessionPersistence.header.name"],
        ),
        ({"sessionPersistence": {"sessionName": ""}}, ["spec.rules[0].sessionPersistence.sessionName"]),
        (
            {"sessionPersistence": {"sessionName": "Content-Length", "type": "Header"}},
            ["spec.rules[0].sessionPersistence.sessionName"],
        ),
        ({"sessionPersistence": {"sessionName": "X-Session", "type": "Header"}}, []),
        ({"sessionPersistence": {"absoluteTimeout": "0s"}}, ["spec.rules[0].sessionPersistence.absoluteTimeout"]),
        ({"filters": [modifier(remove=["Transfer-Encoding"])]}, ["spec.rules[0].filters[0].requestHeaderModifier"]),
        (
            {"filters": [modifier("ResponseHeaderModifier", add=[{"name": "CONNECTION", "value": "close"}])]},
            ["spec.rules[0].filters[0].responseHeaderModifier"],
        ),
        ({"filters": [modifier(set=[{"name": "host", "value": "a.example.com:8080"}])]}, []),
        ({"filters": [modifier(set=[{"name": "Host", "value": "a b"}])]}, [REQUEST]),
        ({"filters": [modifier(add=[{"name": "Host", "value": "a"}])]}, [REQUEST]),
        ({"filters": [modifier(remove=["Host"])]}, [REQUEST]),
        ({"filters": [modifier("ResponseHeaderModifier", remove=["Host"])]}, []),
        (
            {"backendRefs": [{**ECHO, "filters": [modifier(remove=["Expect"])]}]},
            [REQUEST.replace("0].", "0].backendRefs[0].", 1)],
        ),
    ],
)
def test_unserved(rule: dict[str, Any], expected: list[str]) -> None:
    found = node(rules=[rule])
    assert [problem.field for problem in found.problems] == expected
    assert all((problem.condition, problem.reason) == ("Accepted", "UnsupportedValue") for problem in found.problems)
    assert all(problem.message.startswith(f"{problem.field}: ") for problem in found.problems)


@pytest.mark.parametrize(
    ("rule", "compatible"),
    [
        ({"filters": [REWRITE], "backendRefs": [{**ECHO, "filters": [REDIRECT]}]}, False),
        ({"backendRefs": [{**ECHO, "filters": [REWRITE]}]}, True),
        ({"filters": [REWRITE], "backendRefs": [{**ECHO, "filters": [REWRITE]}]}, False),
        ({"filters": [CORS], "backendRefs": [{**ECHO, "filters": [CORS]}]}, False),
        ({"filters": [RENAME], "backendRefs": [{**ECHO, "filters": [REWRITE]}]}, True),
        (
            {"backendRefs": [{**ECHO, "filters": [REWRITE]}], "matches": [{"path": {"type": "Exact", "value": "/a"}}]},
            False,
        ),
        (
            {"backendRefs": [{**ECHO, "filters": [REDIRECT]}], "matches": [{"path": {"type": "Exact", "value": "/a"}}]},
            True,
        ),
    ],
)
def test_filters_of_a_rule_and_its_backend_refs_together(rule: dict[str, Any], compatible: bool) -> None:
    found = node(rules=[rule])
    assert [problem.reason for problem in found.problems] == ([] if compatible else ["IncompatibleFilters"])


@pytest.mark.parametrize(("value", "served"), [(None, True), ("None", True), ("All", False)])
def test_default_gateways(value: str | None, served: bool) -> None:
    found = node(spec={"useDefaultGateways": value})
    assert [problem.field for problem in found.problems] == ([] if served else ["spec.useDefaultGateways"])


@pytest.mark.parametrize(
    ("path", "served"),
    [("/a", True), ("/a/../b", True), ("/%2e%2e/a", False), ("/a/../../b", False), ("/a%zz", False)],
)
def test_a_path_that_no_request_has(path: str, served: bool) -> None:
    found = node(rules=[{"matches": [{"path": {"type": "Exact", "value": path}}]}])
    assert [problem.field for problem in found.problems] == ([] if served else ["spec.rules[0].matches[0].path.value"])


@pytest.mark.parametrize(
    ("value", "served"),
    [
        ("/a/../b", True),
        ("/..%2f", True),
        ("", True),
        ("100%25", True),
        ("/../../etc", False),
        ("..", False),
        ("/a/%2E%2e/../b", False),
        ("/..//a", False),
        ("/100%", False),
        ("/%00", False),
    ],
)
@pytest.mark.parametrize("type_", ["ReplaceFullPath", "ReplacePrefixMatch"])
@pytest.mark.parametrize("name", ["urlRewrite", "requestRedirect"])
def test_a_replacement_that_is_no_path(name: str, type_: str, value: str, served: bool) -> None:
    key = type_[0].lower() + type_[1:]
    written = {
        "type": {"urlRewrite": "URLRewrite"}.get(name, "RequestRedirect"),
        name: {"path": {"type": type_, key: value}},
    }
    fields = [problem.field for problem in node(rules=[{"filters": [written]}]).problems]
    assert fields == ([] if served else [f"spec.rules[0].filters[0].{name}.path.{key}"])
    on_backend = node(rules=[{"backendRefs": [{**ECHO, "filters": [written]}]}]).problems
    assert [problem.reason for problem in on_backend] == ([] if served else ["UnsupportedValue"])


def matching(**match: Any) -> dict[str, Any]:
    return {"matches": [{"path": {"value": "/"}}, match]}


@pytest.mark.parametrize(
    ("match", "field"),
    [
        ({"path": {"type": "RegularExpression", "value": "/[0-9]+"}}, None),
        ({"path": {"type": "RegularExpression", "value": "/(a"}}, "path"),
        ({"headers": [{"type": "RegularExpression", "name": "a", "value": "b+"}]}, None),
        ({"headers": [{"name": "a", "value": "(b"}]}, None),
        ({"headers": [{"type": "RegularExpression", "name": "a", "value": "(b"}]}, "headers[0]"),
        (
            {"queryParams": [{"name": "a", "value": "("}, {"type": "RegularExpression", "name": "b", "value": "("}]},
            "queryParams[1]",
        ),
    ],
)
def test_patterns_that_the_engine_refuses(match: dict[str, Any], field: str | None) -> None:
    found = node(rules=[matching(**match)])
    expected = [] if field is None else [f"spec.rules[0].matches[1].{field}.value"]
    assert [problem.field for problem in found.problems] == expected
    assert all("is refused by RE2: missing )" in problem.message for problem in found.problems)


def test_an_expression_that_could_make_matching_slow_is_refused() -> None:
    found = node(rules=[matching(headers=[{"type": "RegularExpression", "name": "a", "value": ".*a.{20}"}])])
    [problem] = found.problems
    assert (problem.condition, problem.reason) == ("Accepted", "UnsupportedValue")
    assert problem.field == "spec.rules[0].matches[1].headers[0].value"
    assert "could make matching slow: its automaton has too many states" in problem.message


@pytest.mark.parametrize(("count", "served"), [(128, True), (129, False)])
def test_a_route_has_a_limited_number_of_expressions(count: int, served: bool) -> None:
    matches = [{"path": {"type": "RegularExpression", "value": f"/{n}/v[0-9]"}} for n in range(count)]
    found = node(rules=[{"matches": matches[:64]}, {"matches": matches[64:]}])
    assert [problem.field for problem in found.problems] == ([] if served else ["spec.rules"])
    assert all("has 129 regular expressions, and 128 are allowed" in problem.message for problem in found.problems)


def test_the_expressions_of_a_route_have_a_limited_number_of_states() -> None:
    """The graph stops to look at them there."""
    names = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
    matches = [{"headers": [{"type": "RegularExpression", "name": "x", "value": f".*{n}.{{20}}"}]} for n in names]
    problems = node(rules=[{"matches": matches[:60]}]).problems
    assert len(problems) == 8
    assert "more than 2,000 states" in problems[-1].message


def test_refused_expressions_count_too() -> None:
    """Otherwise a route with 128 of them would take half a second."""
    values = [f"a{{{number}}}b{{800}}" for number in range(1, 61)]
    matches = [{"headers": [{"type": "RegularExpression", "name": "x", "value": value}]} for value in values]
    assert len(node(rules=[{"matches": matches}]).problems) == 8


def test_an_expression_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph judges it and computes its price; it does neither again when another part of the route changes."""
    compiled: list[str] = []

    def counted(pattern: str) -> Regex:
        compiled.append(pattern)
        return Regex(pattern)

    monkeypatch.setattr(regex, "Regex", counted)
    values = [f"/only-here-{number}[0-9]+" for number in range(40)]
    matches = [{"path": {"type": "RegularExpression", "value": value}} for value in values]
    for more in ({}, {"timeouts": {"request": "1s"}}):
        assert node(rules=[{"matches": matches, **more}]).accepted
    assert compiled == values


@pytest.mark.parametrize(
    ("value", "served"),
    [("/a" * 64 + "/", True), ("/a" * 65, False), ("/" * 65, True), ("/" * 66, False), ("/a/.." * 99 + "/b", True)],
)
def test_a_prefix_has_a_limited_number_of_elements(value: str, served: bool) -> None:
    path = {"value": value}
    found = node(rules=[{"matches": [{"path": path}, {"path": {**path, "type": "Exact"}}]}])
    assert [problem.field for problem in found.problems] == ([] if served else ["spec.rules[0].matches[0].path.value"])
    assert all("has 65 elements, and 64 are allowed" in problem.message for problem in found.problems)


def test_references_are_judged_though_the_route_is_not_accepted() -> None:
    elsewhere = {"type": "RequestMirror", "requestMirror": {"backendRef": {**ECHO, "namespace": "red"}}}
    found = node(rules=[{"backendRefs": [ref("none")], "filters": [EXTENSION, elsewhere]}])
    assert [(problem.condition, problem.reason, problem.field) for problem in found.problems] == [
        ("Accepted", "UnsupportedValue", "spec.rules[0].filters[0].type"),
        ("ResolvedRefs", "RefNotPermitted", "spec.rules[0].filters[1].requestMirror.backendRef"),
        ("ResolvedRefs", "BackendNotFound", "spec.rules[0].backendRefs[0].name"),
    ]


def test_every_refused_reference_is_a_problem_of_its_own_and_keeps_its_weight() -> None:
    refs = [ref("a", "red", weight=70), ref("echo", weight=20), ref("b", "red", weight=10), ref("a", "red", weight=0)]
    found = node(rules=[{"backendRefs": refs}])
    assert [(r.id, r.weight, r.resolved) for r in found.rules[0].backend_refs] == [
        ("red/a:80", 70, False),
        ("infra/echo:80", 20, True),
        ("red/b:80", 10, False),
        ("red/a:80", 0, False),
    ]
    assert [problem.field for problem in found.problems] == [f"spec.rules[0].backendRefs[{i}]" for i in (0, 2, 3)]
    assert found.accepted


ELSEWHERE = {"name": "echo", "namespace": "red", "port": 80}
AUTH = {"type": "ExternalAuth", "externalAuth": {"protocol": "GRPC", "backendRef": ELSEWHERE}}
COPY = {"type": "RequestMirror", "requestMirror": {"backendRef": ELSEWHERE}}


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"filters": [COPY]}, "spec.rules[0].filters[0].requestMirror.backendRef"),
        ({"filters": [REDIRECT, AUTH]}, "spec.rules[0].filters[1].externalAuth.backendRef"),
        (
            {"backendRefs": [{**ECHO, "filters": [COPY]}]},
            "spec.rules[0].backendRefs[0].filters[0].requestMirror.backendRef",
        ),
    ],
)
def test_references_of_filters_that_are_not_served_need_grants_too(rule: dict[str, Any], field: str) -> None:
    refused = [problem for problem in node(rules=[rule]).problems if problem.condition == "ResolvedRefs"]
    assert [(problem.reason, problem.field) for problem in refused] == [("RefNotPermitted", field)]
    allowed = node(grant("g", "red", "infra", "echo"), service("echo", "red"), rules=[rule])
    assert [problem for problem in allowed.problems if problem.condition == "ResolvedRefs"] == []
