"""From documents to objects, and the exact messages for invalid documents."""

import logging
import threading

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from resources.manifests import (
    ENDPOINT_SLICE,
    EVERY_KIND,
    GATEWAY,
    GATEWAY_CLASS,
    GRPC_ROUTE,
    HTTP_ROUTE,
    NAMESPACE,
    REFERENCE_GRANT,
    SECRET,
    SERVICE,
    resource,
    said,
)

from fastroute.resources.core import Namespace
from fastroute.resources.decode import KINDS, decode
from fastroute.resources.gateway import GROUP
from fastroute.resources.http_rule import HTTPMatch
from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.meta import Key, Origin
from fastroute.resources.policy import BackendTLSPolicy

ROUTE = "HTTPRoute infra/fruits"

# A valid manifest, the replaced text, the new text, and the resulting message.
BROKEN = [
    (HTTP_ROUTE, "port: 8080", "port: 8080\n          weight: -1",
     f"x.yaml:15:11: {ROUTE}: spec.rules[0].backendRefs[0].weight: must be an integer from 0 to 1000000, got -1"),
    (HTTP_ROUTE, "port: 8080", 'port: "8080"',
     f'x.yaml:14:11: {ROUTE}: spec.rules[0].backendRefs[0].port: must be an integer from 1 to 65535, got "8080"'
     " (remove the quotes)"),
    (HTTP_ROUTE, "port: 8080", "port: http",
     f"x.yaml:14:11: {ROUTE}: spec.rules[0].backendRefs[0].port: must be an integer from 1 to 65535, got http"),
    (HTTP_ROUTE, "port: 8080", "port: 80.5",
     f"x.yaml:14:11: {ROUTE}: spec.rules[0].backendRefs[0].port: must be an integer from 1 to 65535, got 80.5"),
    (HTTP_ROUTE, "- name: apples\n          port", "- port",
     f"x.yaml:13:11: {ROUTE}: spec.rules[0].backendRefs[0].name: is required"),
    (HTTP_ROUTE, "name: apples", "name: yes",
     f"x.yaml:13:11: {ROUTE}: spec.rules[0].backendRefs[0].name: must be a string, got true (put it in quotes)"),
    (HTTP_ROUTE, "PathPrefix", "Prefix",
     f"x.yaml:11:18: {ROUTE}: spec.rules[0].matches[0].path.type: must be one of Exact, PathPrefix, RegularExpression,"
     " got Prefix (did you mean PathPrefix?)"),
    (HTTP_ROUTE, "value: /fruits", "value: fruits",
     f"x.yaml:11:11: {ROUTE}: spec.rules[0].matches[0].path: value must begin with '/'"),
    (HTTP_ROUTE, "        - path: {type: PathPrefix, value: /fruits}\n", "        path: {value: /fruits}\n",
     f"x.yaml:10:7: {ROUTE}: spec.rules[0].matches: must be a list,"
     " got {\"path\": {\"value\": \"/fruits\"}} (list items begin with '- ')"),
    (HTTP_ROUTE, "- name: edge", "- name: edge\n      namespace: Infra",
     f"x.yaml:9:7: {ROUTE}: spec.parentRefs[0].namespace: must be a DNS label in lower case, got Infra"),
    (HTTP_ROUTE, "  rules:", "  hostnames: [example.com, 'example.com:8080']\n  rules:",
     f"x.yaml:9:28: {ROUTE}: spec.hostnames[1]: must be a host name in lower case, optionally after '*.', without a"
     " port, got example.com:8080"),
    (HTTP_ROUTE, "    - matches:", "    - filters: [{type: requestRedirect, requestRedirect: {}}]\n      matches:",
     f"x.yaml:10:18: {ROUTE}: spec.rules[0].filters[0].type: must be one of RequestHeaderModifier,"
     " ResponseHeaderModifier, RequestMirror, RequestRedirect, URLRewrite, ExtensionRef, CORS, ExternalAuth,"
     " got requestRedirect (did you mean RequestRedirect?)"),
    (HTTP_ROUTE, "    - matches:", "    - timeouts: {request: 10}\n      matches:",
     f'x.yaml:10:18: {ROUTE}: spec.rules[0].timeouts.request: must be a duration such as "500ms" or "1m30s", got 10'
     " (write 10s)"),
    (HTTP_ROUTE, "        - path:", "        - headers: [{name: a, value: b}, {name: a, value: c}]\n          path:",
     f"x.yaml:11:42: {ROUTE}: spec.rules[0].matches[0].headers[1]: name a is already used at [0] of this list:"
     " it must be unique"),
    (HTTP_ROUTE, "        - path:", "        - headers: [{name: a, value: ' b'}]\n          path:",
     f"x.yaml:11:31: {ROUTE}: spec.rules[0].matches[0].headers[0].value: must be printable ASCII with single spaces or"
     ' tabs inside, got " b"'),
    (HTTP_ROUTE, "spec:", "specification:",
     f"x.yaml:1:1: {ROUTE}: spec: is required"),
    (HTTP_ROUTE, "    - matches:", "    []\n  other:\n    - matches:",
     f"x.yaml:9:3: {ROUTE}: spec.rules: must have 1 to 16 items, got 0"),
    (HTTP_ROUTE, "name: fruits", "name: Fruits",
     "x.yaml:4:3: HTTPRoute infra/Fruits: metadata.name: must be a DNS name in lower case, got Fruits"),
    (HTTP_ROUTE, "name: fruits", "name: 5",
     "x.yaml:4:3: metadata.name: must be a DNS name in lower case, got 5 (put it in quotes)"),
    (HTTP_ROUTE, "  name: fruits\n", "",
     "x.yaml:3:1: metadata.name: is required"),
    (HTTP_ROUTE, "name: fruits", "name: fruits\n  labels: {a b: c}",
     f"x.yaml:5:12: {ROUTE}: metadata.labels[a b]: the key must be a label name such as app or example.com/app,"
     " got a b"),
    (HTTP_ROUTE, "gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1alpha2",
     f"x.yaml:1:1: {ROUTE}: apiVersion: must be gateway.networking.k8s.io/v1 for HTTPRoute,"
     " got gateway.networking.k8s.io/v1alpha2"),
    (GRPC_ROUTE, "gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1",
     "x.yaml:1:1: GRPCRoute infra/fruits: apiVersion: must be gateway.networking.k8s.io/v1 for GRPCRoute,"
     " got gateway.networking.k8s.io/v1beta1"),
    (GATEWAY, "protocol: HTTP", "protocol: HTTP\n      allowedRoutes: {namespaces: {from: None}}",
     "x.yaml:12:36: Gateway infra/edge: spec.listeners[0].allowedRoutes.namespaces.from: must be one of All, Selector,"
     " Same, got None"),
    (GATEWAY, "port: 80", "port: 0",
     "x.yaml:10:7: Gateway infra/edge: spec.listeners[0].port: must be an integer from 1 to 65535, got 0"),
    (GATEWAY, "protocol: HTTP", "protocol: HTTP\n    - {name: proxy, port: 81, protocol: HTTP}",
     "x.yaml:12:7: Gateway infra/edge: spec.listeners[1]: name proxy is already used at [0] of this list:"
     " it must be unique"),
    (GATEWAY_CLASS, "fastroute.dev/gateway", "fastroute",
     "x.yaml:6:3: GatewayClass fastroute: spec.controllerName: must be a domain and a path such as example.com/gateway,"
     " got fastroute"),
    (REFERENCE_GRANT, "      namespace: infra\n", "",
     "x.yaml:8:7: ReferenceGrant apples/from-infra: spec.from[0].namespace: is required"),
    (REFERENCE_GRANT, 'group: ""', "group: Core",
     'x.yaml:12:7: ReferenceGrant apples/from-infra: spec.to[0].group: must be an API group, or "" for core, got Core'),
    (SERVICE, "name: apples", "name: 1apples",
     "x.yaml:4:3: Service apples/1apples: metadata.name: must be a DNS label in lower case that begins with a letter,"
     " got 1apples"),
    (ENDPOINT_SLICE, "addressType: IPv4\n", "",
     "x.yaml:1:1: EndpointSlice apples/apples-1: addressType: is required"),
    (ENDPOINT_SLICE, "[127.0.0.1]", "[localhost]",
     "x.yaml:10:17: EndpointSlice apples/apples-1: endpoints[0].addresses[0]: must be an address of the slice's"
     " addressType"),
    (ENDPOINT_SLICE, "[127.0.0.1]", "[]",
     "x.yaml:10:5: EndpointSlice apples/apples-1: endpoints[0].addresses: must have 1 to 100 items, got 0"),
    (SECRET, "aGVsbG8=", "hello",
     "x.yaml:6:3: Secret default/certificate: data[tls.crt]: must be base64 (use stringData for plain text)"),
    (NAMESPACE, "team: apples", "team: 7",
     "x.yaml:6:5: Namespace apples: metadata.labels.team: must be a label value (letters, digits, '-', '_', '.'),"
     " got 7 (put it in quotes)"),
    (HTTP_ROUTE, "kind: HTTPRoute", "kinds: HTTPRoute", "x.yaml:1:1: kind: is required"),
    (HTTP_ROUTE, "kind: HTTPRoute", "kind: [HTTPRoute]", "x.yaml:2:1: kind: must be a string"),
    (HTTP_ROUTE, "metadata:\n  name: fruits\n  namespace: infra\n", "", "x.yaml:1:1: metadata: is required"),
    (HTTP_ROUTE, HTTP_ROUTE, "- a\n- b\n", "x.yaml:1:1: must be a mapping with apiVersion, kind and metadata"),
    (HTTP_ROUTE, "spec:\n", "spec: [\n",
     "x.yaml:8:5: is not valid YAML: while parsing a flow node, did not find expected node content"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("right", "old", "new", "message"), BROKEN, ids=[case[3].partition(": ")[2] for case in BROKEN]
)
def test_what_is_said_about_a_broken_manifest(right, old, new, message):
    assert old in right
    assert said(right.replace(old, new, 1)) == [message]


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_what_is_right_is_read(kind):
    text = EVERY_KIND[kind]
    [entry] = decode(text, "x.yaml", 7)
    assert not entry.problems
    assert not entry.warnings
    assert type(entry.resource).__name__ == kind
    assert entry.resource.origin == Origin("x.yaml", 7)
    assert entry.id == (kind, entry.resource.key)


SEVERAL = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: fruits, namespace: infra}
spec:
  rules:
  - timeouts: {request: 1s, backendRequest: 2s}
    filters:
    - {type: URLRewrite}
    backendRefs:
    - {name: a, port: http}
    - {name: b}
  hostnames: [UPPER]
"""


def test_rules_over_several_fields_are_told_beside_wrong_fields():
    [entry] = decode(SEVERAL, "x.yaml")
    assert [(problem.line, problem.field) for problem in entry.problems] == [
        (6, "spec.rules[0].timeouts"),
        (8, "spec.rules[0].filters[0]"),
        (10, "spec.rules[0].backendRefs[0].port"),  # not reported as missing
        (11, "spec.rules[0].backendRefs[1]"),
        (12, "spec.hostnames[0]"),
    ]


def test_all_faults_of_an_object_are_told_but_not_without_end():
    refs = "".join(f"\n        - {{name: b, port: {port}}}" for port in range(65536, 65552))
    many = HTTP_ROUTE.replace("\n        - name: apples\n          port: 8080", refs)
    assert len(said(many)) == 16
    rule = many[many.index("    - matches") :]
    assert len(said(many + rule)) == 20


@pytest.mark.parametrize(("group", "kind"), KINDS)
def test_every_version_we_take_is_taken(group, kind):
    for version in KINDS[group, kind].versions:
        whole = f"{group}/{version}".lstrip("/")
        text = f"apiVersion: {whole}\n" + EVERY_KIND[kind].partition("\n")[2]
        assert resource(text).api_version == whole


@pytest.mark.parametrize("version", ["networking.istio.io/v1", "example.com/v1"])
def test_other_kinds_are_skipped(version, caplog):
    caplog.set_level(logging.DEBUG, "fastroute")
    assert decode(GATEWAY.replace("gateway.networking.k8s.io/v1", version), "x.yaml") == ()
    assert caplog.messages == [f"x.yaml:1: skipped {version} Gateway"]


TWO_RULES = "    - {name: a, backendRefs: [{name: b, port: 1}]}\n    - backendRefs:"
NO_HOSTNAMES = "  hostnames: [fruits.example.com]\n"


@pytest.mark.parametrize("kind", ["TCPRoute", "TLSRoute", "UDPRoute"])
def test_only_a_deprecated_version_has_several_rules_in_an_l4_route(kind):
    text = EVERY_KIND[kind].replace("    - backendRefs:", TWO_RULES)
    older = text.replace("/v1\n", "/v1alpha2\n", 1)
    line = 10 if kind == "TLSRoute" else 9
    assert said(text) == [f"x.yaml:{line}:3: {kind} infra/fruits: spec.rules: must have exactly 1 item, got 2"]
    assert len(resource(older).spec.rules) == 2
    [fault] = said(older.replace("- backendRefs", "- name: a\n      backendRefs"))
    assert "spec.rules[1]: name must be unique among the rules of a route" in fault


@pytest.mark.parametrize(("version", "allowed"), [("v1", False), ("v1alpha3", False), ("v1alpha2", True)])
def test_only_a_deprecated_version_has_tls_routes_without_hostnames_or_with_addresses(version, allowed):
    text = EVERY_KIND["TLSRoute"].replace("/v1\n", f"/{version}\n", 1)
    assert bool(said(text.replace(NO_HOSTNAMES, ""))) is not allowed
    assert bool(said(text.replace("fruits.example.com", "10.0.0.1"))) is not allowed
    assert bool(said(text.replace("fruits.example.com", "'10.0.0.1', a.example.com"))) is not allowed
    assert said(text.replace("fruits.example.com", "10.0.0.256")) == []


def test_lists_are_unpacked():
    items = "".join(f"- {EVERY_KIND[kind].replace(chr(10), chr(10) + '  ').rstrip()}\n" for kind in EVERY_KIND)
    entries = decode("apiVersion: v1\nkind: List\nitems:\n" + items, "x.yaml", 10)
    assert [entry.id[0] for entry in entries] == list(EVERY_KIND)
    assert all(entry.resource for entry in entries)
    assert entries[1].line == 19
    assert entries[1].resource.origin == Origin("x.yaml", 19)


def test_a_fault_in_a_list_is_found_and_its_field_is_the_objects():
    item = HTTP_ROUTE.replace("8080", "0").replace("\n", "\n    ")
    assert said("apiVersion: v1\nkind: List\nitems:\n  - " + item) == [
        "x.yaml:17:15: HTTPRoute infra/fruits: spec.rules[0].backendRefs[0].port: must be an integer from 1 to 65535,"
        " got 0"
    ]


def test_a_kinds_own_list_names_its_items():
    text = f"apiVersion: {GROUP}/v1\nkind: HTTPRouteList\nitems: [{{metadata: {{name: a}}, spec: {{}}}}, 5]\n"
    entries = decode(text, "x.yaml")
    assert entries[0].id == ("HTTPRoute", Key("default", "a"))
    assert entries[1].problems[0].message == "must be a mapping with apiVersion, kind and metadata"


def test_documents_that_end_with_dots_are_counted():
    text = SERVICE + "...\n---\n" + SERVICE.replace("8080", "0")
    assert said(text) == [
        "x.yaml:18:7: Service apples/apples: spec.ports[0].port: must be an integer from 1 to 65535, got 0"
    ]


def test_json_is_read_and_its_faults_are_found():
    metadata = '"metadata": {"name": "a\\ud83d\\ude00"}'
    text = f'{{"apiVersion": "v1", "kind": "Service",\n\t{metadata},\n\t"spec": {{"ports": [{{"port": 1}}]}}}}'
    [entry] = decode(text, "x.json", json=True)
    assert [str(problem) for problem in entry.problems] == [
        "x.json:1: Service default/a😀: metadata.name: must be a DNS label in lower case that begins with a letter,"
        " got a😀"
    ]
    [entry] = decode(text.replace("\\ud83d\\ude00", "_"), "x.json", json=True)
    assert (entry.problems[0].line, entry.problems[0].column) == (2, 15)
    [entry] = decode(text[:-1], "x.json", json=True)
    assert str(entry.problems[0]) == "x.json: is not valid JSON: Input data was truncated"


def test_nothing_is_nothing():
    assert decode("", "x.yaml") == decode("# only words\n", "x.yaml") == decode("---\n", "x.yaml") == ()


FIXES = [
    ("port: 8080", 'port: "8080"', "port: 8080"),
    ("name: apples", "name: yes", 'name: "yes"'),
    ("type: PathPrefix", "type: pathprefix", "type: PathPrefix"),
    ("k8s.io/v1", "k8s.io/v1alpha2", "apiVersion: gateway.networking.k8s.io/v1"),
    ("  rules:", "  hostnames: [7]\n  rules:", '- "7"'),
    ("port: 8080", "port: 0", None),
]


@pytest.mark.parametrize(("old", "new", "fix"), FIXES)
def test_the_one_way_out_is_given(old, new, fix):
    [entry] = decode(HTTP_ROUTE.replace(old, new, 1), "x.yaml")
    assert [problem.fix for problem in entry.problems] == [fix]


UNKNOWN = [
    ("backendRefs", "backendrefs", "spec.rules[0].backendrefs", "backendRefs"),
    ("backendRefs", "backendRef", "spec.rules[0].backendRef", "backendRefs"),
    ("matches:", "match:", "spec.rules[0].match", "matches"),
    ("port: 8080", "port: 8080\n          wieght: 1", "spec.rules[0].backendRefs[0].wieght", "weight"),
    ("port: 8080", "port: 8080\n          weigth: 1", "spec.rules[0].backendRefs[0].weigth", "weight"),
    ("port: 8080", "port: 8080\n          wight: 1", "spec.rules[0].backendRefs[0].wight", "weight"),
    ("port: 8080", "port: 8080\n          weightt: 1", "spec.rules[0].backendRefs[0].weightt", "weight"),
    ("name: fruits", "name: fruits\n  lables: {}", "metadata.lables", "labels"),
    ("  rules:", "  color: red\n  rules:", "spec.color", None),
]


@pytest.mark.parametrize(("old", "new", "field", "meant"), UNKNOWN)
def test_fields_without_effect_are_told_but_the_object_is_used(old, new, field, meant):
    [entry] = decode(HTTP_ROUTE.replace(old, new, 1), "x.yaml")
    hint = f": did you mean {meant}?" if meant else ""
    assert not entry.problems
    assert entry.resource is not None
    assert [(warning.field, warning.message) for warning in entry.warnings] == [
        (field, f"is not a field of this API and has no effect{hint}")
    ]


def test_status_is_not_judged_and_kept():
    status = {"parents": [{"controllerName": "other.example/x", "parentRef": {"name": "edge"}, "port": "nonsense"}]}
    text = (
        HTTP_ROUTE
        + "status:\n  parents:\n    - {controllerName: other.example/x, parentRef: {name: edge}, port: nonsense}\n"
    )
    assert resource(text).status == status
    assert resource(HTTP_ROUTE + "status: nonsense\n").status == {}


def test_origin_cannot_be_written_by_users():
    assert resource("origin: {file: /etc/passwd, line: 1}\n" + HTTP_ROUTE).origin == Origin("x.yaml", 1)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("a/*0 ", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)


def _paths(value, path=()):
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inside:
        yield from _paths(item, (*path, name))


def _replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


WHOLE = {kind: msgspec.yaml.decode(text.encode()) for kind, text in EVERY_KIND.items()}


@given(st.data(), st.sampled_from(sorted(EVERY_KIND)), junk)
def test_no_junk_is_an_error_of_ours(data, kind, value):
    """Any value anywhere in any object results in an object or in problems, never in an exception or a raw schema
    error."""
    path = data.draw(st.sampled_from(list(_paths(WHOLE[kind]))))
    text = msgspec.json.encode(_replaced(WHOLE[kind], path, value)).decode()
    for entry in decode(text, "x.json", json=True):
        assert (entry.resource is None) == bool(entry.problems or _is_skipped(entry)) or _is_policy(entry)
        assert not any(problem.message.startswith(("Expected", "Object", "Invalid")) for problem in entry.problems)


@given(st.data(), st.sampled_from(sorted(EVERY_KIND)), st.lists(junk, min_size=2, max_size=4))
def test_no_junk_in_several_places_is_an_error_of_ours(data, kind, values):
    whole = WHOLE[kind]
    for value in values:
        whole = _replaced(whole, data.draw(st.sampled_from(list(_paths(whole)))), value)
    for entry in decode(msgspec.json.encode(whole).decode(), "x.json", json=True):
        assert (entry.resource is None) == bool(entry.problems or _is_skipped(entry)) or _is_policy(entry)


def _is_policy(entry):
    """A BackendTLSPolicy that names a Service is both faulty and read."""
    return isinstance(entry.resource, BackendTLSPolicy)


def _is_skipped(entry):
    return entry.id is None and [warning.reason for warning in entry.warnings] == ["UnknownKind"]


def test_a_fault_inside_of_a_fault():
    rule = HTTP_ROUTE[HTTP_ROUTE.index("    - matches:") :].replace("8080", "0")
    problems = said(HTTP_ROUTE[: HTTP_ROUTE.index("    - matches:")] + rule * 17)
    assert len(problems) == 18
    assert problems[0].endswith("spec.rules: must have 1 to 16 items, got 17")


def test_the_defaults_of_the_api_are_in():
    route = resource(f"apiVersion: {GROUP}/v1\nkind: HTTPRoute\nmetadata: {{name: a}}\nspec: {{}}\n")
    assert isinstance(route, HTTPRoute)
    assert route.key == Key("default", "a")
    assert route.metadata.generation == 1
    assert [rule.matches for rule in route.spec.rules] == [(HTTPMatch(),)]
    assert route.spec.rules[0].matches[0].path.type == "PathPrefix"
    assert route.spec.rules[0].matches[0].path.value == "/"


def test_a_namespace_has_its_name_as_label():
    namespace = resource(NAMESPACE)
    assert isinstance(namespace, Namespace)
    assert namespace.key == Key("", "apples")
    assert namespace.metadata.labels == {"team": "apples", "kubernetes.io/metadata.name": "apples"}


def test_another_thread_decodes_while_positions_are_searched():
    """A large file is read in a thread that pauses, and meanwhile the main thread reads another file with a fault."""
    faulty = "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: a}\nspec: {ports: [{port: no}]}\n"

    def pause():
        other = threading.Thread(target=decode, args=(faulty, "b.yaml"), daemon=True)
        other.start()
        other.join(60)
        assert not other.is_alive()

    assert decode(faulty, "a.yaml", pause=pause)[0].problems
