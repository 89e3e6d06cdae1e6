"""--watch-namespace: which watches exist, and when a namespace is served."""

from pathlib import Path

import pytest
import trio
from apiserver.standin import GROUP, ApiServer
from source.kubernetes.followed import CERTIFICATE, GRANTS, SECRETS, SERVICES, Followed, following, starting, until

from fastroute.apiserver.kinds import BY_KIND, FOLLOWED
from fastroute.resources.core import Service, ServicePort, ServiceSpec
from fastroute.resources.meta import Key, Metadata
from fastroute.source.kubernetes import scope
from fastroute.source.kubernetes.scope import Doors, Part, Scope
from fastroute.source.store import Apply, Delete

NAMESPACES = "/api/v1/namespaces"
ROUTES = f"/apis/{GROUP}/v1/httproutes"
TWO = Scope(["red", "blue"], ["service/edge/gate", "192.0.2.1", "service/red/gate"])


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


def service(name: str = "web", port: int = 80) -> Apply:
    meta = Metadata(name=name, namespace="red")
    return Apply(Service(metadata=meta, api_version="v1", spec=ServiceSpec(ports=(ServicePort(port=port),))))


def deletion(name: str = "web") -> Delete:
    return Delete(Service, Key("red", name))


def pass_all(doors: Doors, namespace: str, *events: Apply | Delete) -> list[Apply | Delete]:
    return list(doors.passing(namespace, events, lambda event: True))


def test_a_closed_namespace_holds_everything_back_until_it_is_open() -> None:
    doors = Doors(["red", "blue"])
    assert pass_all(doors, "red", service()) == []
    assert pass_all(doors, "green", service()) == [service()]
    assert doors.is_closed("red")
    assert doors.open("red") == [service()]
    assert not doors.is_closed("red")
    assert pass_all(doors, "red", service()) == [service()]


def test_a_closed_namespace_holds_back_one_event_of_each_object() -> None:
    doors = Doors(["red"])
    for port in range(1, 1000):
        pass_all(doors, "red", service(port=port), service("more", port), service(f"gone-{port}"))
        pass_all(doors, "red", deletion(f"gone-{port}"))
    assert doors.open("red") == [service(port=999), service("more", 999)]


def test_a_namespace_that_closes_again_holds_back_deletions_of_what_is_served() -> None:
    doors = Doors(["red"])
    doors.open("red")
    doors.close("red", [(Service, Key("red", "web")), (Service, Key("red", "kept"))])
    pass_all(doors, "red", deletion(), service("new"), deletion("new"), deletion("kept"), service("kept"))
    assert doors.open("red") == [deletion(), service("kept")]


def test_a_deletion_of_an_object_that_another_watch_holds_is_none() -> None:
    doors = Doors(["red"])
    pass_all(doors, "red", service())
    list(doors.passing("red", [deletion()], lambda event: False))
    assert doors.open("red") == [service()]


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


def put_both(api: ApiServer, name: str) -> None:
    """A Service, then a route: when the route is known, so is the Service."""
    api.put(SERVICES, name, "red", spec={"ports": [{"port": 80}]})
    api.put(ROUTES, name, "red", spec={"rules": [{}]})


def known(seen: Followed) -> set[tuple[str, str]]:
    resources = seen.source.store.snapshot()
    return {("route", key.name) for key in resources.http_routes} | {
        ("service", key.name) for key in resources.services
    }


OLD = {("route", "old"), ("service", "old")}
NEW = {("route", "new"), ("service", "new")}


@pytest.mark.parametrize("status", [403, 404])
async def test_a_namespace_that_may_no_longer_be_read_stays_as_it_is_until_all_is_listed_anew(
    api: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """As if it was deleted and created again, or its Role has lost a kind: what is new might need TLS."""
    put_both(api, "old")
    policies = local("backendtlspolicies", "red")
    async with following(api, tmp_path, Scope(["red"])) as seen:
        assert known(seen) == OLD
        api.refusals[policies] = status
        api.cut()
        await until(lambda: seen.source.held("HTTPRoute", Key("red", "old")) is None)  # its status is not written
        put_both(api, "new")
        await until(lambda: Key("red", "new") in seen.restated)
        assert known(seen) == OLD
        if status == 403:
            assert "changes in this namespace have no effect" in caplog.text
        api.delete(ROUTES, "old", "red")
        seen.restated.clear()
        del api.refusals[policies]
        await until(lambda: known(seen) == NEW | {("service", "old")})
        assert seen.source.held("HTTPRoute", Key("red", "new")) is not None
    for plural in ("backendtlspolicies", "services", "httproutes", "referencegrants"):
        lists = [
            query for path, query in api.requests if path == local(plural, "red") and "resourceVersion" not in query
        ]
        assert len(lists) >= 2, plural


async def test_statuses_that_were_not_written_while_a_namespace_was_closed_are_checked(
    api: ApiServer, tmp_path: Path
) -> None:
    put_both(api, "old")
    policies = local("backendtlspolicies", "red")
    async with following(api, tmp_path, Scope(["red"])) as seen:
        api.refusals[policies] = 403
        api.cut()
        await until(lambda: seen.source.held("HTTPRoute", Key("red", "old")) is None)
        seen.restated.clear()
        del api.refusals[policies]
        await until(lambda: seen.source.held("HTTPRoute", Key("red", "old")) is not None)
        assert seen.restated == [Key("red", "old")]


async def test_grants_are_found_when_their_namespace_is_first_read_and_new_afterwards(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scope, "PATIENCE", 0.0)
    policies = local("backendtlspolicies", "red")
    spec = {
        "from": [{"group": GROUP, "kind": "HTTPRoute", "namespace": "blue"}],
        "to": [{"group": "", "kind": "Service"}],
    }
    api.refusals[policies] = 403
    api.put(GRANTS, "there", "red", spec=spec)
    found = {Key("red", "there")}
    async with following(api, tmp_path, Scope(["red", "blue"])) as seen:
        store = seen.source.store
        assert not store.snapshot().reference_grants
        del api.refusals[policies]
        await until(lambda: store.snapshot().reference_grants.keys() == found)
        assert store.snapshot().found_grants == found
        api.put(GRANTS, "new", "red", spec=spec)
        await until(lambda: len(store.snapshot().reference_grants) == 2)
        assert store.snapshot().found_grants == found
        api.delete(GRANTS, "there", "red")
        await until(lambda: store.snapshot().reference_grants.keys() == {Key("red", "new")})
        assert not store.snapshot().found_grants


async def test_a_namespace_is_served_without_a_kind_whose_crd_was_deleted(api: ApiServer, tmp_path: Path) -> None:
    put_both(api, "old")
    async with following(api, tmp_path, Scope(["red"])) as seen:
        del api.served["backendtlspolicies"]
        api.cut()
        api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", f"backendtlspolicies.{GROUP}", "")
        await until(lambda: "BackendTLSPolicy" in seen.source.store.missing)
        put_both(api, "new")
        await until(lambda: known(seen) == OLD | NEW)


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
