"""Compares fastroute's schemas and cross-field rules with the CRDs: by the verdicts of a real API server on the same
objects, and by the bounds in the CRDs.

Each case of tests/resources is created (dry run) on an API server with the CRDs of each release; both must accept, or
both refuse. MEANT and NOT_JUDGED list the intended differences, each with its reason.
"""

import functools
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
import yaml
from resources import manifests, test_cel, test_decode

from cluster import isolation
from cluster.api import Api, ApiError
from cluster.cluster import Cluster
from cluster.programs import RELEASES, crds
from cluster.scratch import scratch
from fastroute.resources.document import MalformedError, parse
from fastroute.resources.gateway import EXPERIMENTAL, GROUP
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.schema import Flag, List, Map, Record, Text, Whole
from fastroute.resources.shapes import SHAPES, shape_of

HIGHEST = {"int32": 2**31 - 1}  # by format
READ = ("GatewayClass", "Gateway", "ListenerSet", *ROUTES, "ReferenceGrant", "BackendTLSPolicy")
TELEMETRY = "XTelemetryPolicy"  # of v1.7
OLDER = tuple((kind.name, version) for kind in ROUTES.values() for version in kind.versions if "alpha" in version)


def gateway(more: str) -> str:
    old = test_cel.GATEWAY_SPEC
    return manifests.GATEWAY.replace(old, f"{old}  {more}\n")


PER_PORT = "{port: %d, tls: {}}"
ONLY_SCHEMAS = (  # checked by rules in the CRDs and by schemas in fastroute: (what, a valid object, an invalid one)
    (
        "the key of a label",
        gateway("infrastructure: {labels: {a.b/c_d: x}}"),
        gateway("infrastructure: {labels: {'a b': x}}"),
    ),
    (
        "the key of an annotation",
        gateway("infrastructure: {annotations: {a.b/c_d: x}}"),
        gateway("infrastructure: {annotations: {'a b': x}}"),
    ),
    (
        "TLS of one port",
        gateway(f"tls: {{frontend: {{default: {{}}, perPort: [{PER_PORT % 1}, {PER_PORT % 2}]}}}}"),
        gateway(f"tls: {{frontend: {{default: {{}}, perPort: [{PER_PORT % 1}, {PER_PORT % 1}]}}}}"),
    ),
    (
        "a hash in a path",
        manifests.HTTP_ROUTE.replace("/fruits", "'/a%23b'"),
        manifests.HTTP_ROUTE.replace("/fruits", "'/a#b'"),
    ),
)


class Case(NamedTuple):
    what: str
    text: str
    ours: str  # "accepted", "refused"


def cases() -> Iterator[Case]:
    for message, good, bad in test_cel.RULES:
        yield Case(message, good[0].replace(good[1], good[2], 1), "accepted")
        yield Case(message, bad[0].replace(bad[1], bad[2], 1), "refused")
    for text, old, new, said in test_decode.BROKEN:
        yield Case(said, text.replace(old, new, 1), "refused")
    for what, good, bad in ONLY_SCHEMAS:
        yield Case(what, good, "accepted")
        yield Case(what, bad, "refused")


def is_asked(case: Case) -> bool:
    """Whether the API server can judge the case: one object of a kind that the CRDs define."""
    try:
        [value] = parse(case.text)
    except (MalformedError, ValueError):
        return False
    named = isinstance(value, dict) and isinstance(value.get("kind"), str)
    return named and value["kind"] in (*READ, TELEMETRY) and str(value.get("apiVersion")) in VERSIONS


VERSIONS = (f"{GROUP}/v1", f"{EXPERIMENTAL}/v1alpha1")
CASES = [case for case in cases() if is_asked(case)]


# Rules of the CRDs that fastroute does not have: the reason by the rule's message.
WHOLE = "a condition refuses the whole feature to which the rule belongs"
FIRST = "both schemas refuse the value first"
NOT_JUDGED = {
    "Value is immutable": "a file has no earlier object",
    "field is immutable": "a file has no earlier object",
    "type must be one of ['Exact', 'PathPrefix', 'RegularExpression']": FIRST,
    "Hostnames must be valid based on RFC-1123": FIRST,
    "Wildcards on hostnames must be the first label, and the rest of hostname must be valid based on RFC-1123": FIRST,
    "ClusterTrustBundle references must not specify namespace": WHOLE,
    "filters may only be set when protocol is HTTP or HTTPS": WHOLE,
    "Routability must be empty, Cluster, or an implementation-specific prefixed path; k8s.io and its subdomains are "
    "reserved": WHOLE,
}


class Judgement(NamedTuple):
    case: Case
    theirs: str  # "accepted", "refused", "unknown": the release does not have the kind, or one of the fields
    said: str


@pytest.fixture(scope="module", params=RELEASES)
def release(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[Judgement]]]:
    """The API server's verdict on every case, with the CRDs of a release."""
    if not isolation.is_inside():
        pytest.skip("needs a new network namespace, which `pytest tests/cluster` creates")
    isolation.enter()
    with ExitStack() as stack:
        cluster = Cluster(stack.enter_context(scratch("schemas")))
        cluster.crds = crds(request.param) / "experimental"
        stack.callback(cluster.stop)
        cluster.start()
        yield request.param, [judged(cluster.api, case) for case in CASES]


def judged(api: Api, case: Case) -> Judgement:
    [value] = parse(case.text)
    group, _, version = str(value["apiVersion"]).partition("/")
    plural = re.sub(r"([^aeiou])y$", r"\1ie", value["kind"].lower())
    plural += "es" if plural.endswith("s") else "s"
    namespace = "" if value["kind"] == "GatewayClass" else "namespaces/default/"
    if namespace and isinstance(value.get("metadata"), dict):
        value["metadata"].pop("namespace", None)
    path = f"/apis/{group}/{version}/{namespace}{plural}?dryRun=All&fieldValidation=Strict"
    try:
        api.request("POST", path, value)
    except ApiError as error:
        unknown = error.status == 404 or "strict decoding error: unknown field" in str(error)
        return Judgement(case, "unknown" if unknown else "refused", str(error))
    return Judgement(case, "accepted", "")


def test_we_judge_as_the_api_server_does(release: tuple[str, list[Judgement]]) -> None:
    _, judgements = release
    differing = [
        f"{one.case.what} | fastroute: {one.case.ours}, API server: {one.theirs} | {one.said[:300]}"
        for one in judgements
        if one.theirs not in ("unknown", one.case.ours)
    ]
    assert differing == []


def rules(schema: dict[str, Any]) -> Iterator[str]:
    """The messages of all rules in a schema."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield rule["message"]
    for inner in schema.get("properties", {}).values():
        yield from rules(inner)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from rules(schema[name])


@functools.cache
def specs(version: str, api: str = "v1") -> dict[str, dict[str, Any]]:
    """The schema of the spec of each kind that fastroute reads and that has this version of the API."""
    found = {}
    for path in sorted((crds(version) / "experimental").glob("*.yaml")):
        for one in yaml.load_all(path.read_text(), yaml.CSafeLoader):
            if (
                one
                and one.get("kind") == "CustomResourceDefinition"
                and one["spec"]["names"]["kind"] in (*READ, TELEMETRY)
            ):
                for each in one["spec"]["versions"]:
                    if each["name"] == api:
                        schema = each["schema"]["openAPIV3Schema"]
                        found[one["spec"]["names"]["kind"]] = schema["properties"]["spec"]
    return found


def test_every_rule_of_the_crds_is_broken_by_a_case(release: tuple[str, list[Judgement]]) -> None:
    version, judgements = release
    said = "\n".join(one.said for one in judgements).replace("\\u0026", "&").replace('\\"', '"').replace("\\\\", "\\")
    every = {message for spec in specs(version).values() for message in rules(spec)}
    every.update(rules(specs(version, "v1alpha1").get(TELEMETRY, {})))
    untried = {message for message in every if message not in said}
    assert "\n".join(sorted(untried - NOT_JUDGED.keys())) == ""
    assert untried >= NOT_JUDGED.keys() & every


def bounds(schema: Any, where: str) -> Iterator[tuple[str, Any]]:
    """The bounds of a schema of fastroute, expressed as in OpenAPI."""
    match schema:
        case Text(least=least, most=most, choices=choices, form=form):
            yield where, ("string", None if choices else least, most, tuple(sorted(choices)), pattern(form))
        case Whole(least=least, most=most, choices=choices):
            yield where, ("integer", least, most, choices)
        case Flag():
            yield where, ("boolean",)
        case List(of=of, least=least, most=most, keys=keys):
            yield where, ("array", least, most, keys)
            yield from bounds(of, f"{where}[]")
        case Map(of=of, most=most):
            yield where, ("map", most)
            yield from bounds(of, f"{where}{{}}")
        case Record(fields=fields, required=required):
            yield where, ("object", tuple(sorted(required)))
            for name, inner in fields.items():
                yield from bounds(inner, f"{where}.{name}")


def their_bounds(schema: dict[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    kind = schema.get("type")
    choices = tuple(sorted(schema.get("enum", ())))
    if kind == "string":
        least = None if choices else schema.get("minLength", 0)
        yield where, (kind, least, schema.get("maxLength"), choices, pattern(schema.get("pattern")))
    elif kind == "integer":
        most = schema.get(
            "maximum", HIGHEST.get(schema.get("format", "")) if schema.get("minimum") is not None else None
        )
        yield where, (kind, schema.get("minimum"), most, choices)
    elif kind == "array":
        keys = tuple(schema.get("x-kubernetes-list-map-keys", ()))
        yield where, (kind, schema.get("minItems", 0), schema.get("maxItems"), keys)
        yield from their_bounds(schema["items"], f"{where}[]")
    elif isinstance(schema.get("additionalProperties"), dict):
        yield where, ("map", schema.get("maxProperties"))
        yield from their_bounds(schema["additionalProperties"], f"{where}{{}}")
    elif kind == "object":
        yield where, (kind, tuple(sorted(schema.get("required", ()))))
        for name, inner in schema.get("properties", {}).items():
            yield from their_bounds(inner, f"{where}.{name}")
    else:
        yield where, (kind,)


def pattern(form: str | None) -> str | None:
    return form and form.replace("\\Z", "$")


# Where the bounds differ: a regular expression for the path, the release (empty: all), and the reason.
MEANT = (
    (
        r"Modifier\.(set|add)\[\]\.value$|headers\[\]\.value$",
        "",
        "the same language, written so that it cannot backtrack",
    ),
    (r"subjectAltNames\[\]\.uri$", "", "the same language: the rest of the pattern matches anything"),
    (r"listeners\[\]\.filters", "v1.7.0", "not judged: a listener with filters is refused as a whole"),
    (r"retry\.attempts$", "v1.6.3", "0 is v1.7.0's"),
    (r"caCertificateRefs$", "v1.7.0", "an empty list is v1.6.3's"),
    (r"forwardBody\.maxSize$", "v1.7.0", "v1.6.3 has no lower bound"),
)


def is_meant(where: str, version: str) -> bool:
    return any(re.search(pattern, where) and release in ("", version) for pattern, release, _ in MEANT)


@pytest.mark.parametrize("version", RELEASES)
@pytest.mark.parametrize("kind", READ)
def test_the_bounds_are_those_of_the_crds(version: str, kind: str) -> None:
    ours = dict(bounds(SHAPES[GROUP, kind].fields["spec"], "spec"))
    theirs = dict(their_bounds(specs(version)[kind], "spec"))
    differing = {where: (ours.get(where), theirs[where]) for where in theirs if ours.get(where) != theirs[where]}
    assert {where: each for where, each in differing.items() if not is_meant(where, version)} == {}


@pytest.mark.parametrize("version", RELEASES)
@pytest.mark.parametrize(("kind", "api"), OLDER)
def test_the_bounds_of_deprecated_versions_are_those_of_the_crds(version: str, kind: str, api: str) -> None:
    ours = dict(bounds(shape_of(GROUP, kind, api).fields["spec"], "spec"))
    assert ours == dict(their_bounds(specs(version, api)[kind], "spec"))


def test_the_bounds_of_telemetry_policies_are_those_of_the_crd() -> None:
    ours = dict(bounds(SHAPES[EXPERIMENTAL, TELEMETRY].fields["spec"], "spec"))
    theirs = dict(their_bounds(specs("v1.7.0", "v1alpha1")[TELEMETRY], "spec"))
    assert ours.keys() == theirs.keys()
    differing = {where: (ours[where], theirs[where]) for where in theirs if ours[where] != theirs[where]}
    assert {where: each for where, each in differing.items() if not is_meant(where, "v1.7.0")} == {}


@pytest.mark.parametrize("kind", READ)
def test_we_have_no_field_that_no_release_has(kind: str) -> None:
    theirs = {where for version in RELEASES for where, _ in their_bounds(specs(version)[kind], "spec")}
    assert {where for where, _ in bounds(SHAPES[GROUP, kind].fields["spec"], "spec")} - theirs == set()
