"""Every fix that `check` offers solves its problem when it is applied to the file.

`offers()` finds all calls in the source that create a fix, and every one has a test case here.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import yaml

import fastroute
from fastroute.check import Report, Said, check
from fastroute.resources.document import parse
from fastroute.resources.problem import field_path
from fastroute.settings import GraphSettings
from fastroute.source.directory import Directory

SOURCE = Path(fastroute.__file__).parent
FIXES = SOURCE / "graph" / "fix.py"  # functions that return YAML to apply


def offers() -> set[str]:
    """FILE:FUNCTION, with a number from the second on, of each call that gives a Fault or a warning a fix, or calls
    graph/fix.py for text to apply."""
    makers = {node.name for node in ast.parse(FIXES.read_text()).body if isinstance(node, ast.FunctionDef)}
    found = set()
    for path in SOURCE.rglob("*.py"):
        for name, function in _functions(ast.parse(path.read_text())):
            calls = [call for call in ast.walk(function) if isinstance(call, ast.Call) and _offers(call, makers)]
            where = f"{path.relative_to(SOURCE)}:{name}"
            found |= {f"{where} {number}" if number > 1 else where for number in range(1, len(calls) + 1)}
        passed_on = {"lint/grant.py:grants_to_gateway"}  # its fix is made by _stanza
    return {where for where in found - passed_on if not where.startswith("graph/fix.py:")}


def _functions(module: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{each.name}", each) for each in node.body if isinstance(each, ast.FunctionDef))


def _offers(call: ast.Call, makers: set[str]) -> bool:
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    named = {keyword.arg for keyword in call.keywords}
    if name == "warning":
        return "fix" in named
    return name in makers or (name == "Fault" and (len(call.args) > 2 or bool(named & {"fix", "wanted"})))


BASE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: infra}
spec:
  gatewayClassName: fastroute
  listeners:
  - {name: proxy, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: fruits, namespace: apples, labels: {team: apples}}
spec:
  parentRefs: [{name: edge, namespace: infra}]
  rules:
  - name: all
    timeouts: {request: 10s}
    backendRefs:
    - {name: apples, port: 8080}
---
apiVersion: v1
kind: Service
metadata: {name: apples, namespace: apples}
spec:
  ports: [{name: web, port: 8080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: apples, namespace: apples, labels: {kubernetes.io/service-name: apples}}
addressType: IPv4
ports: [{name: web, port: 8080}]
endpoints: [{addresses: [10.0.0.1]}]
"""
SET = """\
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more, namespace: apples}
spec:
  parentRef: {name: edge, namespace: infra}
  listeners: [{name: more, port: 81, protocol: HTTP}]
"""
GRANT = """\
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: tenants, namespace: infra}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: apples}]
  to: [{group: gateway.networking.k8s.io, kind: Gateway}]
"""
HTTPS = "port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c, namespace: apples}]}"
NAME_LABEL = "kubernetes.io/metadata.name"
REMOTE = BASE.replace("{name: apples, port: 8080}\n---", "{name: apples, namespace: berries, port: 8080}\n---")
MIRROR = "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: m, namespace: berries, port: 1}}}]"
AUTH = "{protocol: HTTP, http: {}, backendRef: {name: a, namespace: b, port: 1}}"
EXTERNAL = f"filters: [{{type: ExternalAuth, externalAuth: {AUTH}}}]"


def base(old: str, new: str) -> str:
    assert old in BASE
    return BASE.replace(old, new)


def allowing(more: str) -> str:
    return base("allowedRoutes: {namespaces: {from: All}}", f"allowedRoutes: {{{more}}}")


def selecting(selector: str) -> str:
    return allowing(f"namespaces: {{from: Selector, selector: {{{selector}}}}}")


class Case(NamedTuple):
    """`offer`: the code that creates the fix; `manifests`: input with one problem of this `reason` that has a fix."""

    offer: str
    manifests: str
    fix: str | None = None  # None: not compared
    reason: str | None = None
    deletes: tuple[str, str] | None = None  # kind and name of the object that the fix tells the user to delete


TEXT, WHOLE = "resources/schema.py:Text.faults", "resources/schema.py:Whole.faults"
WRITTEN = [
    Case("resources/decode.py:_unread", base("kind: HTTPRoute", "kind: HttpRoute"), "kind: HTTPRoute"),
    Case(TEXT, base("name: all", "name: y"), 'name: "y"'),
    Case(TEXT, base("name: all", "name: no"), 'name: "no"'),
    Case(TEXT, base("name: all", "name: 1.10"), 'name: "1.10"'),
    Case(TEXT, base("name: all", "name: 010"), 'name: "010"'),
    Case(TEXT, base("team: apples", "team: on"), 'team: "on"'),
    Case(TEXT, base("team: apples", "on: 1e3"), '"on": "1e3"'),
    Case(TEXT, base("{name: apples, port", "{name: 0x10, port"), 'name: "0x10"'),
    Case(TEXT, base("  rules:", "  hostnames: [1.5]\n  rules:"), '- "1.5"'),
    Case(
        TEXT,
        base("name: edge, namespace: infra}]", "name: edge, namespace: infra, sectionName: 7}]"),
        'sectionName: "7"',
    ),
    Case(TEXT, base("request: 10s", "request: 30"), "request: 30s"),
    Case(f"{TEXT} 3", base("request: 10s", 'request: "30"'), "request: 30s"),
    Case(f"{TEXT} 2", base("from: All", "from: all"), "from: All"),
    Case(WHOLE, base("port: 80,", 'port: "80",'), "port: 80"),
    Case(WHOLE, base("port: 8080}\n---", 'port: "08080"}\n---'), "port: 8080"),
    Case(
        "resources/decode.py:_entry",
        base("k8s.io/v1\nkind: Gateway", "k8s.io/v2\nkind: Gateway"),
        "apiVersion: gateway.networking.k8s.io/v1",
    ),
    Case("resources/decode.py:_entry", base("apiVersion: v1", "apiVersion: v2"), "apiVersion: v1"),
    Case("resources/decode.py:_unread", base("kind: HTTPRoute", "kind: HTTPRout"), "kind: HTTPRoute"),
    Case(
        "resources/decode.py:_unread",
        base("gateway.networking.k8s.io/v1\nkind: HTTPRoute", "networking.x-k8s.io/v1alpha1\nkind: HTTPRoute"),
        "apiVersion: gateway.networking.k8s.io/v1",
    ),
]
WITHOUT = [  # problems without a fix
    base("name: all", "name: No"),
    base("name: all", "name: 1.5_000"),
    base("name: all", "name: -1"),
    base("request: 10s", "request: 0.5"),
    base("request: 10s", "request: true"),
    base("from: All", "from: y"),
    base("kind: Service\nmetadata: {name: apples", "kind: Service\nmetadata: {name: 7"),
    base("port: 80,", 'port: "80000",'),
    base("port: 80,", 'port: "٨٠",'),
]
ROUTE, TLS = "graph/route.py:_not_allowed", "graph/permission.py:refusal"
APPLIED = [
    Case("graph/permission.py:refusal", REMOTE, reason="RefNotPermitted"),
    Case("graph/permission.py:refusal", base("name: all", f"name: all\n    {MIRROR}"), reason="RefNotPermitted"),
    Case("graph/permission.py:refusal", base("name: all", f"name: all\n    {EXTERNAL}"), reason="RefNotPermitted"),
    Case(TLS, base("port: 80, protocol: HTTP", HTTPS), reason="RefNotPermitted"),
    Case(
        TLS,
        base("listeners:", "allowedListeners: {namespaces: {from: All}}\n  listeners:")
        + SET.replace("port: 81, protocol: HTTP", HTTPS.replace("namespace: apples", "namespace: infra")),
        reason="RefNotPermitted",
    ),
    *(
        Case(ROUTE, manifests, reason="NotAllowedByListeners")
        for manifests in (
            allowing(""),
            allowing("namespaces: {from: Same}"),
            allowing("kinds: [{kind: GRPCRoute}]"),
            allowing("kinds: [{kind: TCPRoute}, {kind: Odd, group: x.io}], namespaces: {from: All}"),
            allowing("namespaces: {from: Selector}"),
            selecting("matchLabels: {open: yes-please}"),
            selecting(f"matchExpressions: [{{key: {NAME_LABEL}, operator: In, values: [berries]}}]"),
            selecting(f"matchExpressions: [{{key: {NAME_LABEL}, operator: NotIn, values: [apples]}}]"),
            selecting("matchExpressions: [{key: closed, operator: Exists}]"),
            selecting("matchExpressions: [{key: odd, operator: Nonsense}]"),
            base("allowedRoutes: {namespaces: {from: All}}", "hostname: a.example.com"),
            allowing("namespaces: {from: Same}").replace("port: 80", "port: 80, hostname: a.example.com"),
        )
    ),
    *(
        Case(
            "graph/listenerset.py:_refusal",
            BASE.replace("listeners:", f"{allowed}\n  listeners:") + SET,
            reason="NotAllowed",
        )
        for allowed in (
            "",
            "allowedListeners: {namespaces: {from: None}}",
            "allowedListeners: {namespaces: {from: Same}}",
            "allowedListeners: {namespaces: {from: Selector}}",
            "allowedListeners: {namespaces: {from: Selector, selector: {matchLabels: {open: yes-please}}}}",
        )
    ),
    Case(
        "lint/grant.py:_stanza",
        allowing("namespaces: {from: Same}") + GRANT,
        reason="GrantToGateway",
        deletes=("ReferenceGrant", "tenants"),
    ),
]


ONE_MATCH = "  rules:\n  - matches: [MATCH]\n    name: all"


def matching(match: str) -> str:
    return base("  rules:\n  - name: all", ONE_MATCH.replace("MATCH", match))


def granting(old: str, new: str) -> str:
    assert old in GRANT
    return BASE + GRANT.replace(old, new)


CLASS = """\
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: fastroute}
spec: {controllerName: fastroute.dev/gateway}
"""
SUBSETS = """\
apiVersion: v1
kind: Endpoints
metadata: {name: apples, namespace: apples}
subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{name: web, port: 8080}]}]
"""
LINTED = [
    Case("lint/match.py:literal_asterisks", matching("{path: {type: Exact, value: /a/*}}"), reason="LiteralAsterisk"),
    Case("lint/match.py:literal_asterisks 2", matching("{path: {value: /a/*}}"), reason="LiteralAsterisk"),
    Case("lint/match.py:queries_not_sent", matching("{queryParams: [{name: q, value: a b}]}"), reason="QueryNotSent"),
    Case("lint/match.py:queries_not_sent", matching("{queryParams: [{name: q, value: '%c3'}]}"), reason="QueryNotSent"),
    Case(
        "lint/grant.py:grants_with_core_group",
        granting("{group: gateway.networking.k8s.io, kind: Gateway}", "{group: core, kind: Service}"),
        reason="GrantGroupNotCore",
    ),
    Case(
        "lint/grant.py:grants_for_unknown_kinds",
        granting("kind: HTTPRoute", "kind: HttpRoutes"),
        reason="GrantKindUnknown",
    ),
    Case(
        "lint/gateway.py:classes_not_ours",
        base("gatewayClassName: fastroute", "gatewayClassName: fastrute") + CLASS,
        reason="UnknownGatewayClass",
    ),
    Case(
        "lint/parent.py:missing_parents",
        base("{name: edge, namespace: infra}]", "{name: edge, kind: gateway, namespace: infra}]"),
        reason="ParentKindNotServed",
    ),
    Case(
        "lint/parent.py:missing_parents 2",
        base("{name: edge, namespace: infra}]", "{name: edge}]"),
        reason="ParentNotFound",
    ),
    Case(
        "lint/parent.py:missing_parents 2",
        base("{name: edge, namespace: infra}]", "{name: edg, namespace: infra}]"),
        reason="ParentNotFound",
    ),
]
ADDED = Case(
    "lint/backend.py:endpoints_not_read",
    BASE[: BASE.index("apiVersion: discovery")] + SUBSETS,
    reason="EndpointsNotRead",
)


ONLY_THEN = {"BackendNotFound", "InvalidCertificateRef"}  # reported only after the reference is allowed


def read(folder: Path, text: str) -> Report:
    (folder / "world.yaml").write_text(text)
    source = Directory([folder])
    source.load()
    store = source.store
    return check(store.snapshot(), GraphSettings(), store.problems, store.warnings, source.lines().find)


def offered(report: Report) -> list[Said]:
    return [said for said in (*report.problems, *report.warnings) if said.fix is not None]


def same(one: Said, other: Said) -> bool:
    return (one.object, one.reason, one.field) == (other.object, other.reason, other.field)


def test_every_offer_of_a_fix_has_a_case() -> None:
    assert offers() == {case.offer for case in (*WRITTEN, *APPLIED, *LINTED, ADDED)}


@pytest.mark.parametrize("case", WRITTEN, ids=[str(number) for number in range(len(WRITTEN))])
def test_a_value_to_write_instead(case: Case, tmp_path: Path) -> None:
    [said] = offered(read(tmp_path, case.manifests))
    assert case.fix in (None, said.fix)
    assert offered(read(tmp_path, rewritten(case.manifests, said))) == []
    left = read(tmp_path, rewritten(case.manifests, said)).problems
    assert [problem for problem in left if same(problem, said)] == []


def rewritten(text: str, said: Said) -> str:
    """The manifests with the fix in the field that it refers to."""
    assert said.fix is not None
    assert said.field is not None
    assert said.object is not None
    [fix] = parse(said.fix)
    [*steps, last] = field_path(said.field)
    documents = [each for part in text.split("---\n") for each in parse(part)]
    for document in documents:
        if document["kind"] == said.object.kind:
            holder: Any = document
            for step in steps:
                holder = holder[step]
            if isinstance(fix, dict) and last not in fix and isinstance(holder[last], dict):
                holder[last].update(fix)
            elif isinstance(fix, dict):
                holder.update(fix)
            else:
                [holder[last]] = fix
    return "\n---\n".join(msgspec.json.encode(document).decode() for document in documents)


@pytest.mark.parametrize("case", LINTED, ids=[f"{case.reason}-{n}" for n, case in enumerate(LINTED)])
def test_a_warning_with_a_value_to_write_instead(case: Case, tmp_path: Path) -> None:
    [said] = [each for each in offered(read(tmp_path, case.manifests)) if each.reason == case.reason]
    after = read(tmp_path, rewritten(case.manifests, said))
    assert [each for each in (*after.problems, *after.warnings) if each.reason == case.reason] == []
    assert [problem for problem in after.problems if problem.condition is None] == []


def test_a_warning_with_a_document_to_add(tmp_path: Path) -> None:
    [said] = [each for each in offered(read(tmp_path, ADDED.manifests)) if each.reason == ADDED.reason]
    after = read(tmp_path, f"{ADDED.manifests}\n---\n{said.fix}")
    assert [
        each for each in (*after.problems, *after.warnings) if each.reason in ("EndpointsNotRead", "NoEndpoints")
    ] == []


@pytest.mark.parametrize("manifests", WITHOUT, ids=[str(number) for number in range(len(WITHOUT))])
def test_nothing_is_offered_that_would_be_refused_again(manifests: str, tmp_path: Path) -> None:
    report = read(tmp_path, manifests)
    assert [problem for problem in report.problems if problem.condition is None] != []
    assert offered(report) == []
    assert "quotes" not in str(report.problems)


@pytest.mark.parametrize("case", APPLIED, ids=[f"{case.reason}-{n}" for n, case in enumerate(APPLIED)])
def test_yaml_to_apply(case: Case, tmp_path: Path) -> None:
    before = read(tmp_path, case.manifests)
    [said] = [each for each in offered(before) if each.reason == case.reason]
    after = read(tmp_path, applied(case, said))
    assert [each for each in (*after.problems, *after.warnings) if same(each, said)] == []
    assert offered(after) == []
    assert [problem for problem in after.problems if problem.condition is None] == []
    known = {(one.reason, one.field) for one in before.problems}
    new = [one for one in after.problems if (one.reason, one.field) not in known]
    assert [one for one in new if one.reason not in ONLY_THEN] == []


def applied(case: Case, said: Said) -> str:
    """Adds the fix as a document, or merges it into the node that its first line names; removes `case.deletes`."""
    assert said.fix is not None
    [fix] = yaml.safe_load_all(said.fix)
    if "kind" in fix:
        return f"{case.manifests}\n---\n{said.fix}"
    documents = list(yaml.safe_load_all(case.manifests))
    where = said.fix.splitlines()[0].removeprefix("# In ").removesuffix(":")
    holder, _, listener = where.partition(", listener ")
    for document in documents:
        metadata = document["metadata"]
        if holder == f"{document['kind']} {metadata['namespace']}/{metadata['name']}":
            nodes = [each for each in document["spec"]["listeners"] if each["name"] == listener]
            for node in nodes or [document["spec"]]:
                node.update(fix)
    if case.deletes is not None:
        kind, name = case.deletes
        assert f"delete {kind} " in said.fix
        documents = [one for one in documents if (one["kind"], one["metadata"]["name"]) != (kind, name)]
    return yaml.safe_dump_all(documents)
