"""`check` and `explain` with a cluster: what is read, with which rights, and what is said about the rest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from apiserver.standin import CRDS, GROUP, ApiServer
from commands import fastroute
from source.kubernetes.followed import CLASSES, GATEWAYS, GRANTS, ROUTES, SECRETS, SERVICES, kubeconfig
from typer.testing import Result
from view.test_views import secret
from worlds import grant

NAMESPACES = "/api/v1/namespaces"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
Ask = Callable[..., Result]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("NO_PROXY", "*")
    server = ApiServer()
    fill(server)
    yield server
    server.close()


@pytest.fixture
def ask(api: ApiServer, tmp_path: Path) -> Ask:
    return lambda *words: fastroute(*words, "--kubeconfig", kubeconfig(api, tmp_path))


def fill(api: ApiServer) -> None:
    """A Gateway with a certificate, and a route to a Service of another namespace without a grant."""
    api.put(CLASSES, "fastroute", "", spec={"controllerName": "fastroute.dev/gateway"})
    for name in ("infra", "shop"):
        api.put(NAMESPACES, name, "")
    listeners = [
        {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}},
        {"name": "tls", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "edge"}]}},
    ]
    api.put(GATEWAYS, "web", "infra", spec={"gatewayClassName": "fastroute", "listeners": listeners})
    made = yaml.safe_load(secret("infra"))
    api.put(SECRETS, "edge", "infra", type=made["type"], data=made["data"])
    api.put(SECRETS, "unrelated", "infra", type="Opaque", data={})
    refs = [{"name": "web", "namespace": "infra"}]
    rules = [{"backendRefs": [{"name": "pay", "namespace": "bank", "port": 80}]}]
    api.put(ROUTES, "pay", "shop", spec={"parentRefs": refs, "rules": rules})
    api.put(SERVICES, "pay", "bank", spec={"ports": [{"port": 80}]})
    address = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}
    api.put(SERVICES, "fastroute", "fastroute", spec={"type": "LoadBalancer", "ports": [{"port": 80}]}, status=address)


def problems(result: Result) -> list[tuple[str, str]]:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return [(one["object"]["name"], one["reason"]) for one in json.loads(result.stdout)["problems"]]


def test_a_cluster_is_checked_as_it_is(api: ApiServer, ask: Ask) -> None:
    result = ask("check", "-o", "json")
    assert (result.exit_code, problems(result)) == (1, [("pay", "RefNotPermitted")])
    document = json.loads(result.stdout)
    assert [one["metadata"]["name"] for one in document["objects"]] == ["fastroute", "web", "pay"]
    [gateway] = [one for one in document["objects"] if one["kind"] == "Gateway"]
    assert gateway["status"]["addresses"] == [{"type": "IPAddress", "value": "192.0.2.7"}]
    assert [one["status"] for one in gateway["status"]["listeners"][1]["conditions"]] == ["True"] * 3
    asked = [path for path, _ in api.requests]
    assert f"{SECRETS.removesuffix('secrets')}namespaces/infra/secrets/edge" in asked
    assert not [path for path in asked if path.endswith("/secrets") or "unrelated" in path]  # only what is named
    assert api.writes == []
    [release] = [one for one in document["objects"] if one["kind"] == "GatewayClass"]
    [supported] = [one for one in release["status"]["conditions"] if one["type"] == "SupportedVersion"]
    assert "v1.6" in supported["message"]


def test_manifests_are_checked_as_if_they_were_applied(api: ApiServer, ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "change.yaml"
    file.write_text(grant("bank", "shop", "pay"))
    result = ask("check", file, "-o", "json")
    assert (result.exit_code, problems(result)) == (0, [])
    assert [one["metadata"]["name"] for one in json.loads(result.stdout)["objects"]] == ["pay"]  # what changes
    assert fastroute("check", file).exit_code == 0
    api.put(GRANTS, "pay", "bank", spec=yaml.safe_load(grant("bank", "shop", "pay"))["spec"])
    assert problems(ask("check", "-o", "json")) == []
    route = {
        "parentRefs": [{"name": "web", "namespace": "infra"}],
        "rules": [{"backendRefs": [{"name": "no", "port": 1}]}],
    }
    manifest = {"apiVersion": f"{GROUP}/v1", "kind": "HTTPRoute", "metadata": {"name": "new", "namespace": "shop"}}
    file.write_text(yaml.safe_dump({**manifest, "spec": route}))
    assert problems(ask("check", file, "-o", "json")) == [("new", "BackendNotFound")]
    file.write_text(yaml.safe_dump({**manifest, "metadata": {"name": "pay", "namespace": "shop"}, "spec": route}))
    assert problems(ask("check", file, "-o", "json")) == [("pay", "BackendNotFound")]
    assert api.writes == []


def test_problems_of_others_are_left_out(api: ApiServer, ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    file.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: shop}\nspec: {ports: [{port: 1}]}\n")
    result = ask("check", file, "-o", "json")
    assert (result.exit_code, problems(result)) == (0, [])


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ((SERVICES,), "only Services of namespace ours can be read"),
        ((SERVICES, "/api/v1/namespaces/ours/services"), "Services cannot be read, and are left out"),
        ((SLICES,), "only EndpointSlices of namespace ours can be read"),
        ((SECRETS,), "Secret infra/edge cannot be read, and is left out"),
        ((CRDS,), None),
    ],
    ids=["services-of-others", "services", "slices", "secrets", "crds"],
)
def test_what_may_not_be_read_is_said_and_left_out(
    api: ApiServer, ask: Ask, refused: tuple[str, ...], said: str | None
) -> None:
    api.refusals |= dict.fromkeys(refused, 403)
    result = ask("check", "-o", "json")
    warnings = [one["message"] for one in json.loads(result.stdout)["warnings"] if one["reason"] == "NotRead"]
    assert [one.partition(":")[0] for one in warnings] == ([said] if said else [])
    told = ask("explain", "GET", "http://a/", "-o", "json")
    assert json.loads(told.stdout)["route"] == "shop/pay"
    assert (said or "") in told.stderr


def test_without_the_right_to_read_classes_one_is_assumed(api: ApiServer, ask: Ask) -> None:
    api.refusals |= {CLASSES: 403, f"/apis/{GROUP}/v1/namespaces/ours/gatewayclasses": 403}
    assert problems(ask("check", "-o", "json")) == [("pay", "RefNotPermitted")]


def test_explain_answers_for_a_cluster(api: ApiServer, ask: Ask) -> None:
    told = json.loads(ask("explain", "GET", "http://a/", "-o", "json").stdout)
    assert [(one["backend"], one["status"]) for one in told["backends"]] == [("bank/pay:80", 500)]
    assert "kind: ReferenceGrant" in told["backends"][0]["fix"]
    assert "reference_refused" in ask("explain", "GET", "http://a/").stdout


def test_a_server_that_is_not_reached_is_an_error(api: ApiServer, ask: Ask, tmp_path: Path) -> None:
    api.close()
    for words in (["check"], ["explain", "GET", "http://a/"]):
        result = ask(*words)
        assert result.exit_code == 1
        assert "127.0.0.1" in str(result.exception)
    both = fastroute("explain", "GET", "http://a/", "--kubernetes", "--manifests", tmp_path)
    assert "mutually exclusive" in str(both.exception)
    assert fastroute("check").exit_code == 2
    assert "give --manifests PATH" in str(fastroute("explain", "GET", "http://a/").exception)


def test_a_server_that_fails_is_an_error_that_names_the_request(api: ApiServer, ask: Ask) -> None:
    api.refusals[SERVICES] = 500
    result = ask("check")
    assert "500" in str(result.exception)


def test_only_the_named_namespaces_are_read(api: ApiServer, ask: Ask, tmp_path: Path) -> None:
    """`bank` is not read, so no grant is offered for it. The Service of the chart tells the addresses."""
    words = ("--watch-namespace", "infra", "--watch-namespace", "shop")
    result = ask("check", "-o", "json", *words)
    document = json.loads(result.stdout)
    assert problems(result) == [("pay", "RefNotPermitted")]
    [problem] = document["problems"]
    assert (problem["fix"], "namespace bank is not read" in problem["message"]) == (None, True)
    [gateway] = [one for one in document["objects"] if one["kind"] == "Gateway"]
    assert gateway["status"]["addresses"] == [{"type": "IPAddress", "value": "192.0.2.7"}]
    told = ask("explain", "GET", "http://a/", *words).stdout
    assert "namespace bank is not read (--watch-namespace)" in " ".join(told.split())
    file = tmp_path / "grant.yaml"
    file.write_text(grant("bank", "shop", "pay"))
    result = ask("check", file, "-o", "json", *words)
    [warning] = [one for one in json.loads(result.stdout)["warnings"] if one["reason"] == "NotRead"]
    assert (warning["object"]["kind"], warning["file"]) == ("ReferenceGrant", str(file))
    assert "Its namespace bank is not read (--watch-namespace)" in warning["message"]
    wide = [path for path, query in api.requests if "/namespaces/" not in path and "fieldSelector" not in query]
    assert {path.rpartition("/")[2] for path in wide if "/customresourcedefinitions" not in path} == {"gatewayclasses"}
    assert not [path for path, _ in api.requests if "/namespaces/bank/" in path]


def test_what_may_not_be_read_of_a_named_namespace_is_said(api: ApiServer, ask: Ask) -> None:
    api.refusals |= {NAMESPACES: 403, "/api/v1/namespaces/shop/services": 403}
    result = ask("check", "-o", "json", "--watch-namespace", "shop", "--watch-namespace", "infra")
    warnings = [one["message"] for one in json.loads(result.stdout)["warnings"] if one["reason"] == "NotRead"]
    assert sorted(one.partition(":")[0] for one in warnings) == [
        "Services of namespace shop cannot be read, and are left out",
        "labels of namespace infra cannot be read, and are left out",
        "labels of namespace shop cannot be read, and are left out",
    ]
