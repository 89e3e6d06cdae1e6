"""--watch-namespace: which watches exist, and when a namespace is served."""

from pathlib import Path

import pytest
import trio
from apiserver.standin import GROUP, ApiServer
from source.kubernetes.followed import CERTIFICATE, SECRETS, SERVICES, following, starting, until

from fastroute.apiserver.kinds import BY_KIND, FOLLOWED
from fastroute.resources.core import Namespace
from fastroute.resources.meta import Key
from fastroute.source.kubernetes import scope
from fastroute.source.kubernetes.scope import Doors, Part, Scope
from fastroute.source.store import Delete

NAMESPACES = "/api/v1/namespaces"
ROUTES = f"/apis/{GROUP}/v1/httproutes"
TWO = Scope(["red", "blue"], ["service/edge/gate", "192.0.2.1", "service/red/gate"])
GONE = Delete(Namespace, Key("", "red"))


def local(plural: str, namespace: str) -> str:
    """The path of a collection in one namespace."""
    row = next(row for row in FOLLOWED if row.plural == plural)
    root = f"/apis/{row.group}/{row.versions[0]}" if row.group else "/api/v1"
    return f"{root}/namespaces/{namespace}/{plural}"


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("HTTPRoute", [Part("HTTPRoute in red", "red"), Part("HTTPRoute in blue", "blue")]),
        (
            "Secret",
            [
                Part("Secret in red", "red", "type=kubernetes.io/tls"),
                Part("Secret in blue", "blue", "type=kubernetes.io/tls"),
            ],
        ),
        (
            "Service",
            [
                Part("Service in red", "red"),
                Part("Service in blue", "blue"),
                Part("Service of edge/gate", "edge", "metadata.name=gate"),
            ],
        ),
        (
            "Namespace",
            [Part("Namespace /red", "", "metadata.name=red"), Part("Namespace /blue", "", "metadata.name=blue")],
        ),
        ("GatewayClass", [Part("GatewayClass")]),
        ("ClusterTrustBundle", [Part("ClusterTrustBundle")]),
    ],
)
def test_the_watches_of_a_kind(kind: str, parts: list[Part]) -> None:
    assert list(TWO.parts(BY_KIND[kind])) == parts
    assert Scope().parts(BY_KIND[kind]) == (Part(kind, "", BY_KIND[kind].selector),)


def test_a_closed_namespace_holds_everything_back_until_it_is_open() -> None:
    doors = Doors(["red", "blue"])
    assert list(doors.passing("red", [GONE])) == []
    assert list(doors.passing("green", [GONE])) == [GONE]
    assert doors.is_closed("red")
    assert doors.open("red") == [GONE]
    assert not doors.is_closed("red")
    assert list(doors.passing("red", [GONE])) == [GONE]


def test_the_start_waits_a_while_for_a_namespace_that_is_refused_and_for_all_of_them_without_end() -> None:
    doors = Doors(["red", "blue"])
    doors.refuse("red", 1.0)
    doors.refuse("red", 2.0)
    assert not doors.is_given_up("red", 1.0 + scope.PATIENCE / 2)
    assert doors.is_given_up("red", 1.0 + scope.PATIENCE)
    assert not doors.is_given_up("blue", 1.0 + scope.PATIENCE)
    doors.refuse("blue", 1.0)
    assert not doors.is_given_up("red", 1e9)
    doors.open("blue")
    assert doors.is_given_up("red", 1e9)


def put_route(api: ApiServer, namespace: str) -> None:
    api.put(ROUTES, "r", namespace, spec={"rules": [{}]})


async def test_only_these_namespaces_are_read_and_nothing_else_is_asked_for(api: ApiServer, tmp_path: Path) -> None:
    for namespace in ("red", "blue", "green"):
        put_route(api, namespace)
        api.put(SECRETS, "tls", namespace, **CERTIFICATE)
        api.put(SERVICES, "web", namespace, spec={"ports": [{"port": 80}]})
        api.put(NAMESPACES, namespace, "", metadata={"labels": {"team": namespace}})
    api.put(SERVICES, "gate", "edge", spec={"ports": [{"port": 80}]})
    api.put(SERVICES, "other", "edge", spec={"ports": [{"port": 80}]})
    async with following(api, tmp_path, TWO) as seen:
        resources = seen.source.store.snapshot()
        assert [key.namespace for key in sorted(resources.http_routes)] == ["blue", "red"]
        assert [key.namespace for key in sorted(resources.secrets)] == ["blue", "red"]
        assert sorted(map(str, resources.services)) == ["blue/web", "edge/gate", "red/web"]
        assert {key.name: one.metadata.labels["team"] for key, one in resources.namespaces.items()} == {
            "red": "red",
            "blue": "blue",
        }
        assert seen.source.held("HTTPRoute", Key("red", "r")) is not None
        assert sorted(seen.source.all_held("HTTPRoute")) == [Key("blue", "r"), Key("red", "r")]
        api.delete(ROUTES, "r", "red")
        put_route(api, "green")
        await until(lambda: sorted(seen.source.store.snapshot().http_routes) == [Key("blue", "r")])
    wide = {path for path, query in api.requests if "/namespaces/" not in path and "fieldSelector" not in query}
    assert wide == {
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        f"/apis/{GROUP}/v1/gatewayclasses",
    }
    assert not [path for path, _ in api.requests if "/namespaces/green/" in path]
    assert {query.get("fieldSelector") for path, query in api.requests if "/namespaces/edge/" in path} == {
        "metadata.name=gate"
    }


async def test_a_namespace_that_may_not_be_read_does_not_stop_the_others(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its policies are refused, so its Services and routes must not be served: backends would get cleartext."""
    monkeypatch.setattr(scope, "PATIENCE", 0.05)
    for namespace in ("red", "blue"):
        put_route(api, namespace)
        api.put(SERVICES, "web", namespace, spec={"ports": [{"port": 80}]})
    policies = local("backendtlspolicies", "red")
    api.refusals[policies] = 403
    async with following(api, tmp_path, Scope(["red", "blue"])) as seen:
        resources = seen.source.store.snapshot()
        assert [key.namespace for key in resources.http_routes] == ["blue"]
        assert [key.namespace for key in resources.services] == ["blue"]
        assert seen.source.held("HTTPRoute", Key("red", "r")) is None  # or its status would be withdrawn
        assert list(seen.source.all_held("HTTPRoute")) == [Key("blue", "r")]
        assert "BackendTLSPolicies of namespace red cannot be read" in caplog.text
        assert "the Role of fastroute in this namespace needs list and watch on backendtlspolicies" in caplog.text
        assert "nothing of this namespace is served" in caplog.text
        del api.refusals[policies]
        await until(lambda: len(seen.source.store.snapshot().http_routes) == 2)
        assert len(seen.source.store.snapshot().services) == 2
        assert sorted(seen.source.all_held("HTTPRoute")) == [Key("blue", "r"), Key("red", "r")]


async def test_if_no_namespace_may_be_read_the_start_waits(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scope, "PATIENCE", 0.0)
    grants = local("referencegrants", "red")
    api.refusals[grants] = 403
    async with starting(api, tmp_path, Scope(["red"])) as seen:
        await until(lambda: sum(path == grants for path, _ in api.requests) >= 3)
        assert not seen.source.loaded.is_set()
        del api.refusals[grants]
        with trio.fail_after(60):
            await seen.source.loaded.wait()


async def test_a_namespace_whose_labels_may_not_be_read_is_known_by_its_name(api: ApiServer, tmp_path: Path) -> None:
    api.refusals[NAMESPACES] = 403
    put_route(api, "red")
    async with following(api, tmp_path, Scope(["red"])) as seen:
        resources = seen.source.store.snapshot()
        assert list(resources.http_routes) == [Key("red", "r")]
        [known] = resources.namespaces.values()
        assert (known.metadata.name, known.metadata.labels) == ("red", {})
        assert known.omission == (
            "cannot be read, because the API server answers 403 Forbidden: the ClusterRole of fastroute needs list and "
            "watch on namespaces"
        )
        api.put(NAMESPACES, "red", "", metadata={"labels": {"team": "a"}})
        del api.refusals[NAMESPACES]
        await until(lambda: seen.source.store.snapshot().namespaces[Key("", "red")].metadata.labels == {"team": "a"})
        assert seen.source.store.snapshot().namespaces[Key("", "red")].omission == ""


async def test_secrets_of_namespaces_that_are_not_read_are_never_asked_for(api: ApiServer, tmp_path: Path) -> None:
    """A Gateway may name any Secret; of one that no grant permits it is otherwise known in advance."""
    refs = [{"name": "other", "namespace": "green"}, {"name": "opaque"}]
    listener = {"name": "a", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": refs}}
    api.put(f"/apis/{GROUP}/v1/gatewayclasses", "c", "", spec={"controllerName": "fastroute.dev/gateway"})
    api.put(f"/apis/{GROUP}/v1/gateways", "g", "red", spec={"gatewayClassName": "c", "listeners": [listener]})
    api.put(SECRETS, "opaque", "red", type="Opaque", data=CERTIFICATE["data"])
    async with following(api, tmp_path, Scope(["red"])) as seen:
        await until(lambda: Key("red", "opaque") in seen.source.store.snapshot().secrets)
        assert not [path for path, _ in api.requests if "green" in path]
