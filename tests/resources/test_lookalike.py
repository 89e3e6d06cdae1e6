"""Objects of unknown kinds: a warning if another kind was certainly intended, and no warning otherwise."""

import pytest
import yaml

from fastroute.resources.decode import KINDS, decode
from fastroute.resources.gateway import GROUP
from fastroute.resources.lookalike import lookalike

from .manifests import EVERY_KIND, HTTP_ROUTE, LISTENER_SET

OLD, EXPERIMENTAL = "networking.x-k8s.io", "gateway.networking.x-k8s.io"


@pytest.mark.parametrize(
    ("group", "kind", "meant"),
    [
        (GROUP, "HTTPRout", (GROUP, "HTTPRoute")),
        (GROUP, "httproute", (GROUP, "HTTPRoute")),
        (GROUP, "TLSRouet", (GROUP, "TLSRoute")),
        (GROUP, "Gatway", (GROUP, "Gateway")),
        (GROUP, "ReferencePolicy", (GROUP, "ReferenceGrant")),
        (GROUP, "Service", ("", "Service")),
        (OLD, "HTTPRoute", (GROUP, "HTTPRoute")),
        (EXPERIMENTAL, "XListenerSet", (GROUP, "ListenerSet")),
        ("gatway.networking.k8s.io", "Gateway", (GROUP, "Gateway")),
        ("gateway.networking.k8s.oi", "HTTPRoutes", (GROUP, "HTTPRoute")),
        ("gateway.k8s.io", "HTTPRoute", (GROUP, "HTTPRoute")),
        ("networking.k8s.io", "HTTPRoute", (GROUP, "HTTPRoute")),
        ("", "Gateway", (GROUP, "Gateway")),
        ("", "Secrets", ("", "Secret")),
        ("", "EndpointSlice", ("discovery.k8s.io", "EndpointSlice")),
        ("apps", "Service", ("", "Service")),
    ],
)
def test_what_was_surely_meant(group: str, kind: str, meant: tuple[str, str]) -> None:
    assert lookalike(group, kind, tuple(KINDS)) == meant


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("networking.istio.io", "Gateway"),
        ("networking.gke.io", "Gateway"),
        ("serving.knative.dev", "Service"),
        ("multicluster.x-k8s.io", "ServiceImport"),
        ("inference.networking.x-k8s.io", "InferencePool"),
        ("networking.k8s.io", "Ingress"),
        ("networking.k8s.io", "IngressClass"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("storage.k8s.io", "StorageClass"),
        ("apps", "Deployment"),
        ("batch", "Job"),
        ("", "Pod"),
        ("", "Node"),
        ("", "Event"),
        ("", "ServiceAccount"),
    ],
)
def test_what_is_another_kind(group: str, kind: str) -> None:
    assert lookalike(group, kind, tuple(KINDS)) is None
    assert decode(f"apiVersion: {group}/v1\nkind: {kind}\n".replace(" /", " "), "x.yaml") == ()


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (HTTP_ROUTE.replace("HTTPRoute", "HTTPRout"), "kind: HTTPRoute"),
        (HTTP_ROUTE.replace(f"{GROUP}/v1", f"{OLD}/v1alpha1"), f"apiVersion: {GROUP}/v1"),
        (
            LISTENER_SET.replace(f"{GROUP}/v1", f"{EXPERIMENTAL}/v1alpha1").replace("kind: L", "kind: XL"),
            f"apiVersion: {GROUP}/v1\nkind: ListenerSet",
        ),
    ],
)
def test_the_fix_makes_the_object_one_of_ours(text: str, fix: str) -> None:
    [entry] = decode("# one\n" + text, "x.yaml", 10)
    assert (entry.id, entry.resource, entry.problems) == (None, None, ())
    [warning] = entry.warnings
    assert (warning.reason, warning.fix) == ("UnknownKind", fix)
    assert "has no effect; did you mean" in warning.message
    assert (warning.field, warning.line) == (("apiVersion", 11) if fix.startswith("api") else ("kind", 12))
    assert warning.name == yaml.safe_load(text)["metadata"]["name"]
    mended = yaml.safe_dump({**yaml.safe_load(text), **yaml.safe_load(fix)})
    [entry] = decode(mended, "x.yaml")
    assert entry.resource is not None
    assert entry.warnings == ()


def test_no_fix_where_the_fields_are_others() -> None:
    text = f"apiVersion: {OLD}/v1alpha1\nkind: Gateway\nmetadata: {{name: a}}\nspec: {{gatewayClassName: a}}\n"
    [entry] = decode(text, "x.yaml")
    assert [warning.fix for warning in entry.warnings] == [None]


@pytest.mark.parametrize("api", [f"{GROUP}/v1", f"{EXPERIMENTAL}/v1alpha1"])
def test_every_kind_of_the_gateway_api_that_is_not_read_is_told(api: str) -> None:
    [entry] = decode(f"apiVersion: {api}\nkind: XMesh\nmetadata: {{name: m}}\n", "x.yaml")
    [warning] = entry.warnings
    assert warning.message == f"{api} XMesh is not read by fastroute: the object has no effect"


@pytest.mark.parametrize("kind", [kind for group, kind in KINDS if group == GROUP])
def test_a_version_that_is_not_read_is_a_problem_with_its_fix(kind: str) -> None:
    text = EVERY_KIND[kind].replace(f"{GROUP}/v1\n", f"{GROUP}/v1alpha1\n").replace("v1beta1", "v1alpha1")
    [entry] = decode(text, "x.yaml")
    [problem] = entry.problems
    # Such a policy still withholds the Services that it targets.
    assert (entry.resource is None) is (kind != "BackendTLSPolicy")
    assert problem.fix == f"apiVersion: {GROUP}/v1"


@pytest.mark.parametrize("text", ["apiVersion: v1\nkind: {0}", "apiVersion: {0}/v1\nkind: Gateway"])
def test_a_long_name_is_not_compared(text: str) -> None:
    assert decode(text.format("Gateway" * 100_000), "x.yaml") == ()
