"""Misspelled values have a fix, and applying the fix solves the problem."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from graph.secrets import secret
from graph.world import gateway, grant, https, listener, ref, route, service, world
from resources.manifests import HTTP_ROUTE

from fastroute.graph.build import build_graph
from fastroute.graph.finding import Finding, find_problems
from fastroute.lint import lint
from fastroute.resources.decode import decode
from fastroute.resources.gateway import GROUP
from fastroute.resources.meta import Resource
from fastroute.resources.problem import field_path
from fastroute.resources.schema import List, Map, Record, Text
from fastroute.resources.shapes import SHAPES
from fastroute.settings import GraphSettings

# --- enumerations of schemas


def choices(schema: Any, where: str) -> Iterator[tuple[str, Text]]:
    """Every value of an enumeration in a schema, with its path."""
    if isinstance(schema, Record):
        for name, inner in schema.fields.items():
            yield from choices(inner, f"{where}.{name}")
    elif isinstance(schema, List | Map) and schema.of is not None:
        yield from choices(schema.of, f"{where}[]")
    elif isinstance(schema, Text) and (schema.choices or schema.known):
        yield where, schema


ENUMERATIONS = {where: text for (_, kind), shape in SHAPES.items() for where, text in choices(shape, kind)}


@pytest.mark.parametrize("where", ENUMERATIONS)
def test_another_case_or_a_slip_gives_the_choice_that_was_meant(where: str) -> None:
    schema = ENUMERATIONS[where]
    for choice in schema.choices or schema.known:
        slips = {choice.lower(), choice.upper(), choice.title()}
        slips |= {choice[:-1], choice[1:]} if len(choice) > 6 else set()
        for slip in slips - {*schema.choices, *schema.known}:
            if any(schema.faults(slip)):
                [fault] = schema.faults(slip)
                assert yaml.safe_load(f"field: {fault.fix}") == {"field": choice}
                assert not any(schema.faults(fault.fix))


def test_a_slip_in_a_manifest_is_mended_by_its_fix() -> None:
    text = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a}
spec:
  rules:
  - matches:
    - {path: {type: pathprefix, value: /a}, method: get}
    filters: [{type: CORS, cors: {allowMethods: [put]}}]
  hostnames: [Example.com]
"""
    [entry] = decode(text, "x.yaml")
    assert {problem.field: problem.fix for problem in entry.problems} == {
        "spec.rules[0].matches[0].path.type": "type: PathPrefix",
        "spec.rules[0].matches[0].method": "method: GET",
        "spec.rules[0].filters[0].cors.allowMethods[0]": "- PUT",
        "spec.hostnames[0]": "- example.com",
    }
    document = yaml.safe_load(text)
    for problem in entry.problems:
        apply(document, problem.field or "", problem.fix or "")
    assert decode(yaml.safe_dump(document), "x.yaml")[0].problems == ()


def apply(document: Any, field: str, fix: str) -> None:
    """Applies a fix: fields are added next to the named field, a list item replaces the value of the named field."""
    *path, last = field_path(field)
    for step in path:
        document = document[step]
    value = yaml.safe_load(fix)
    if isinstance(value, list):
        [document[last]] = value
    else:
        document |= value


@pytest.mark.parametrize(
    ("written", "words", "fix"),
    [
        ("::1", "got ::1 (an IP address is not a host name)", None),
        ("10.0.0.1:80", "got 10.0.0.1:80 (an IP address is not a host name)", None),
        ("*", "got * (omit it to match any host)", None),
        ("http://a.com", "got http://a.com", "- a.com"),
        ("A.com:80", "got A.com:80", "- a.com"),
        ("a b", "got a b", None),
    ],
)
def test_what_is_no_host_name(written: str, words: str, fix: str | None) -> None:
    [entry] = decode(HTTP_ROUTE.replace("  rules:", f"  hostnames: ['{written}']\n  rules:"), "x.yaml")
    [problem] = entry.problems
    assert problem.message.endswith(words)
    assert problem.fix == fix


# --- values that schemas cannot list


def judged(*objects: Resource) -> list[Finding]:
    resources = world(*objects)
    graph = build_graph(resources, GraphSettings())
    return [*find_problems(graph), *lint(resources, graph)]


def fixes(reason: str, *objects: Resource) -> list[tuple[str | None, Any]]:
    found = [one for one in judged(*objects) if one.reason == reason]
    return [(one.field, yaml.safe_load(one.fix) if one.fix else None) for one in found]


@pytest.mark.parametrize(
    ("written", "meant"),
    [("http", "HTTP"), ("Https", "HTTPS"), ("HTPP", "HTTP"), ("SCTP", None), ("a.com/x", None)],
)
def test_a_protocol(written: str, meant: str | None) -> None:
    found = fixes("UnsupportedProtocol", gateway("gw", "infra", listener(protocol=written)))
    assert found == [("spec.listeners[0].protocol", {"protocol": meant} if meant else None)]


@pytest.mark.parametrize(
    ("written", "fix"),
    [
        ({"kind": "service"}, {"kind": "Service"}),
        ({"kind": "Services"}, {"kind": "Service"}),
        ({"group": "core"}, {"group": ""}),
        ({"group": "v1", "kind": "service"}, {"group": "", "kind": "Service"}),
        ({"group": "serving.knative.dev"}, None),
        ({"kind": "ServiceImport", "group": "multicluster.x-k8s.io"}, None),
    ],
)
def test_the_kind_of_a_backend(written: dict[str, str], fix: object) -> None:
    wrong = {**ref("s"), **written}
    given = (gateway(), service("s", "red"))
    assert fixes("InvalidKind", *given, route("r", "red", wrong)) == [("spec.rules[0].backendRefs[0].kind", fix)]
    if isinstance(fix, dict):
        assert fixes("InvalidKind", *given, route("r", "red", {**wrong, **fix})) == []


def test_the_kind_of_a_certificate() -> None:
    secure = https("s", "c")
    secure["tls"]["certificateRefs"][0]["kind"] = "secret"
    found = fixes("InvalidCertificateRef", gateway("gw", "infra", secure), secret("c", "infra"))
    assert found == [("spec.listeners[0].tls.certificateRefs[0].kind", {"kind": "Secret"})]


def test_kinds_of_routes() -> None:
    kinds = [{"kind": "httproute"}, {"kind": "HTTPRoute"}]
    found = fixes("InvalidRouteKinds", gateway("gw", "infra", listener(kinds=kinds)))
    assert found == [("spec.listeners[0].allowedRoutes.kinds", {"kinds": [{"kind": "HTTPRoute"}]})]
    other = gateway("gw", "infra", listener(kinds=[{"kind": "TCPRoute"}, {"kind": "HTTPRoute"}]))
    assert [fix for _, fix in fixes("InvalidRouteKinds", other)] == [None]


def test_an_operator_of_a_selector() -> None:
    selector = {"matchExpressions": [{"key": "a", "operator": "in", "values": ["b"]}]}
    allow = {"from": "Selector", "selector": selector}
    [found] = [one for one in judged(gateway("gw", "infra", listener(allow=allow))) if one.reason == "UnsupportedValue"]
    assert "(did you mean In?)" in found.message


@pytest.mark.parametrize(
    ("parent", "reason", "field", "fix"),
    [
        ({"kind": "gateway"}, "ParentKindNotServed", ".kind", {"kind": "Gateway"}),
        ({"kind": "Service", "group": ""}, "ParentKindNotServed", ".kind", None),
        ({"name": "gateway"}, "ParentNotFound", "", {"name": "gatewy"}),
        ({"name": "gw", "namespace": None}, "ParentNotFound", "", {"namespace": "infra"}),
        ({"name": "none"}, "ParentNotFound", "", None),
        ({"sectionName": "porxy"}, "NoMatchingParent", ".sectionName", {"sectionName": "proxy"}),
        ({"sectionName": "other"}, "NoMatchingParent", ".sectionName", None),
        ({"sectionName": "proxy", "port": 81}, "NoMatchingParent", ".sectionName", None),
    ],
)
def test_a_parent(parent: dict[str, Any], reason: str, field: str, fix: object) -> None:
    given = (gateway(), gateway("gatewy", "infra", listener("a", 8080)))
    whole = {"namespace": "infra", "name": "gw", **parent}
    found = fixes(reason, *given, route("r", "red", parents=[whole]))
    assert found == [(f"spec.parentRefs[0]{field}", fix)]
    if isinstance(fix, dict):
        assert fixes(reason, *given, route("r", "red", parents=[{**whole, **fix}])) == []


@pytest.mark.parametrize(
    ("more", "field", "fix"),
    [
        ({"from_kind": "httproute"}, "spec.from[0].kind", {"kind": "HTTPRoute"}),
        ({"to_kind": "service"}, "spec.to[0].kind", {"kind": "Service"}),
        ({"origin": {"group": "networking.x-k8s.io"}}, "spec.from[0].group", {"group": GROUP}),
        ({"origin": {"group": "", "kind": "HTTPRout"}}, "spec.from[0].group", {"group": GROUP, "kind": "HTTPRoute"}),
        ({"to_kind": "secrets"}, "spec.to[0].kind", {"kind": "Secret"}),
    ],
)
def test_the_kinds_of_a_grant(more: dict[str, Any], field: str, fix: object) -> None:
    assert fixes("GrantKindUnknown", gateway(), grant("g", "red", "blue", **more)) == [(field, fix)]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"from_kind": "TCPRoute"},
        {"to_group": "core"},
        {"to_group": "a.x-k8s.io", "to_kind": "ServiceImport"},
    ],
)
def test_grants_for_other_kinds(more: dict[str, Any]) -> None:
    assert fixes("GrantKindUnknown", gateway(), grant("g", "red", "blue", **more)) == []


def test_the_core_group_of_a_grant() -> None:
    found = fixes("GrantGroupNotCore", gateway(), grant("g", "red", "blue", to_group="core"))
    assert found == [("spec.to[0].group", {"group": ""})]
