"""An API server as a source: the content of the Store when connections, versions, CRDs and rights change or fail.

The server runs in this process and fails as each test requires; tests/cluster uses a real one.
"""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import trio
from apiserver.standin import GROUP, ApiServer
from prometheus_client import generate_latest
from source.kubernetes.followed import (
    CERTIFICATE,
    GRANTS,
    POLICIES,
    ROUTES,
    SECRETS,
    SERVICES,
    following,
    starting,
    until,
)

from fastroute.apiserver import client, objects
from fastroute.apiserver.kinds import FOLLOWED
from fastroute.resources.meta import Key
from fastroute.source.kubernetes import watch

MISSING = {
    "ClusterTrustBundle": "the API server does not serve clustertrustbundles.certificates.k8s.io",
    "XTelemetryPolicy": "the CRD xtelemetrypolicies.gateway.networking.x-k8s.io is not installed",
}


def put_route(api: ApiServer, name: str, host: str = "a.example.com", **parts: Any) -> None:
    api.put(ROUTES, name, spec={"hostnames": [host], "rules": [{}]}, **parts)


def listings(api: ApiServer, collection: str) -> int:
    """How often a collection was listed, by a watch or in pages."""
    return sum(
        path == collection and not {"resourceVersion", "continue"} & query.keys() and query.get("limit") != "1"
        for path, query in api.requests
    )


def compared(api: ApiServer, collection: str) -> int:
    """How often the version of a collection was asked for."""
    return sum(path == collection and query.get("limit") == "1" for path, query in api.requests)


@pytest.mark.parametrize("has_watchlist", [True, False])
async def test_everything_is_there_before_the_first_change_is_told(
    api: ApiServer, tmp_path: Path, has_watchlist: bool
) -> None:
    api.has_watchlist = has_watchlist
    for number in range(5):
        put_route(api, f"r{number}")
    api.put(SERVICES, "web", spec={"ports": [{"port": 80}]}, status={"loadBalancer": {}, "conditions": []})
    api.put(SECRETS, "tls", **CERTIFICATE)
    api.put(SECRETS, "other", type="Opaque", data={})
    async with following(api, tmp_path) as seen:
        resources = seen.source.store.snapshot()
        assert seen.routes == ["r0", "r1", "r2", "r3", "r4"]
        assert list(resources.services) == [Key("default", "web")]
        assert list(resources.secrets) == [Key("default", "tls")]
        assert seen.route("r0").api_version == f"{GROUP}/v1"
        assert seen.source.bundle_version == seen.source.store.bundle_version == "v1.6.3"
        assert seen.source.store.missing == MISSING
        put_route(api, "r5")
        api.delete(ROUTES, "r0")
        await until(lambda: seen.routes == ["r1", "r2", "r3", "r4", "r5"])
        assert listings(api, ROUTES) == (1 if has_watchlist else 2)  # the first one was refused


async def test_what_does_not_concern_us_changes_nothing_but_what_is_held(api: ApiServer, tmp_path: Path) -> None:
    put_route(api, "r")
    api.put(SERVICES, "web", spec={"ports": [{"port": 80}]})
    async with following(api, tmp_path) as seen:
        route, changes = seen.route("r"), seen.changes
        seen.restated.clear()
        entry = {"controllerName": "else.example/x", "parentRef": {"name": "g"}, "conditions": []}
        put_route(api, "r", status={"parents": [entry]}, metadata={"annotations": {"a": "b"}})
        api.put(SERVICES, "web", spec={"ports": [{"port": 80}]}, status={"conditions": [{"type": "T"}]})
        await until(lambda: seen.held("r").status == {"parents": [entry]})
        await until(lambda: seen.source.held("Service", Key("default", "web")).resource_version == str(len(api.log)))
        assert seen.route("r") is route
        assert seen.changes == changes
        assert seen.restated == [route.key]
        assert seen.held("r").generation == 1
        put_route(api, "r", "b.example.com", status={"parents": [entry]})
        await until(lambda: seen.changes > changes)
        assert seen.route("r").spec.hostnames == ("b.example.com",)
        assert (seen.held("r").generation, seen.route("r").metadata.generation) == (2, 2)


async def test_a_watch_that_is_cut_goes_on_where_it_was(api: ApiServer, tmp_path: Path) -> None:
    async with following(api, tmp_path) as seen:
        for number in range(5):
            api.cut()
            put_route(api, f"r{number}")
            await until(lambda: len(seen.routes) == number + 1)  # noqa: B023
        assert listings(api, ROUTES) == 1


async def test_a_version_that_is_too_old_is_a_new_listing_that_takes_nothing_away(
    api: ApiServer, tmp_path: Path
) -> None:
    for name in ("stays", "goes"):
        put_route(api, name)
    async with following(api, tmp_path) as seen:
        stays = seen.route("stays")
        lost: list[int] = []
        api.close()
        api.delete(ROUTES, "goes")
        put_route(api, "comes")
        api.forget()
        api.delay = 0.1
        api.reopen()
        with trio.fail_after(60):
            while seen.routes != ["comes", "stays"]:
                lost.append("stays" not in seen.routes)
                await trio.sleep(0.01)
        assert not any(lost)
        assert seen.route("stays") is stays
        expired = {"kind": "HTTPRoute", "reason": "Expired"}
        assert seen.registry.get_sample_value("fastroute_kubernetes_watch_errors_total", expired) == 1


@pytest.mark.parametrize("has_watchlist", [True, False])
async def test_a_listing_that_is_cut_takes_nothing_away(api: ApiServer, tmp_path: Path, has_watchlist: bool) -> None:
    api.has_watchlist = has_watchlist
    for number in range(6):
        put_route(api, f"r{number}")
    async with following(api, tmp_path) as seen:
        api.close()
        api.forget()
        api.delay = 0.1
        api.reopen()
        before = listings(api, ROUTES)
        await until(lambda: listings(api, ROUTES) > before)
        for _ in range(4):  # every listing is cut before it is complete
            await trio.sleep(0.15)
            api.cut()
            assert len(seen.routes) == 6
        api.delay = 0.0
        api.delete(ROUTES, "r0")
        await until(lambda: len(seen.routes) == 5)


async def test_a_server_that_says_nothing_in_a_listing_is_asked_for_pages(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LISTING_SILENCE", 0.2)
    put_route(api, "r")
    # Servers that do not support sendInitialEvents send the objects, but never the bookmark that ends them.
    api.before_event = lambda path, event: b"\n" if b"initial-events-end" in json.dumps(event).encode() else None
    async with following(api, tmp_path) as seen:
        assert seen.routes == ["r"]
        put_route(api, "s")
        await until(lambda: seen.routes == ["r", "s"])


@pytest.mark.parametrize("has_watchlist", [True, False])
async def test_a_server_restored_from_a_backup_is_listed_anew(
    api: ApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    has_watchlist: bool,
) -> None:
    """The server's versions are lower than the source's: watches are accepted, but receive no events."""
    monkeypatch.setattr(watch, "DEAF", 1.5)
    monkeypatch.setattr(client, "SILENCE", 1.0)  # connections time out before that
    api.has_watchlist = has_watchlist
    put_route(api, "stays")
    async with following(api, tmp_path) as seen:
        backup = api.backup()
        put_route(api, "lost")
        put_route(api, "stays", "b.example.com")
        for number in range(20):
            put_route(api, f"more{number}")
        await until(lambda: len(seen.routes) == 22)
        api.restore(backup)
        put_route(api, "stays", "c.example.com")  # a generation that existed before, with another spec
        await until(lambda: seen.routes == ["stays"])
        assert seen.route("stays").spec.hostnames == ("c.example.com",)
        put_route(api, "new")
        await until(lambda: seen.routes == ["new", "stays"])
    assert f"{ROUTES}: the API server went back from version" in caplog.text


async def test_everything_is_listed_anew_when_it_is_asked_for(api: ApiServer, tmp_path: Path) -> None:
    put_route(api, "goes")
    async with following(api, tmp_path) as seen:
        backup = api.backup()
        for number in range(20):
            put_route(api, f"more{number}")
        await until(lambda: len(seen.routes) == 21)
        api.restore(backup)
        put_route(api, "new")
        seen.source.renew()
        await until(lambda: seen.routes == ["goes", "new"])


async def test_a_quiet_watch_is_not_listed_anew(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server sends no bookmarks for a kind that has not changed since the watch began."""
    monkeypatch.setattr(watch, "DEAF", 0.2)
    api.has_bookmarks = False
    put_route(api, "r")
    async with following(api, tmp_path) as seen:
        await until(lambda: compared(api, ROUTES) >= 3)
        put_route(api, "s")
        await until(lambda: seen.routes == ["r", "s"])
        assert listings(api, ROUTES) == 1
        assert "fastroute_kubernetes_watch_errors_total{" not in generate_latest(seen.registry).decode()
    assert caplog.text == ""


async def test_a_version_that_cannot_be_read_is_asked_for_again(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile, changes are noticed."""
    monkeypatch.setattr(watch, "DEAF", 0.2)
    api.has_bookmarks = False
    put_route(api, "r")
    async with following(api, tmp_path) as seen:
        api.list_refusals[ROUTES] = 500
        await until(lambda: compared(api, ROUTES) >= 2)
        put_route(api, "s")
        await until(lambda: seen.routes == ["r", "s"])
        del api.list_refusals[ROUTES]
        asked = compared(api, ROUTES)
        await until(lambda: compared(api, ROUTES) >= asked + 2)
        assert listings(api, ROUTES) == 1


async def test_nonsense_on_the_wire_is_a_watch_that_failed(api: ApiServer, tmp_path: Path) -> None:
    spoilt = [b"{not json}\n", b'{"type":"ADDED"}\n', b"[1]\n"]
    async with following(api, tmp_path) as seen:
        api.before_event = lambda path, event: spoilt.pop() if spoilt and path == ROUTES else None
        put_route(api, "r")
        put_route(api, "s")
        await until(lambda: seen.routes == ["r", "s"])
        assert not spoilt


async def test_an_object_that_cannot_be_read_keeps_its_last_good_version(api: ApiServer, tmp_path: Path) -> None:
    put_route(api, "r")
    async with following(api, tmp_path) as seen:
        good = seen.route("r")
        api.put(ROUTES, "r", spec={"hostnames": 7})
        await until(lambda: seen.source.store.problems)
        [problem] = seen.source.store.problems
        assert (problem.kind, problem.namespace, problem.name) == ("HTTPRoute", "default", "r")
        assert problem.field == "spec.hostnames"
        assert "last good version is used" in problem.message
        assert seen.route("r") is good
        put_route(api, "r", "b.example.com")
        await until(lambda: seen.route("r").spec.hostnames == ("b.example.com",))
        assert seen.source.store.problems == ()


async def test_a_mistake_of_ours_in_one_kind_ends_nothing(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mistakes = [ZeroDivisionError("of ours")]

    def typed(*given: Any) -> Any:
        if given[0].kind == "HTTPRoute" and mistakes:
            raise mistakes.pop()
        return objects.typed(*given)

    async with following(api, tmp_path) as seen:
        monkeypatch.setattr("fastroute.source.kubernetes.collection.typed", typed)
        put_route(api, "r")
        await until(lambda: seen.routes == ["r"])
    assert caplog.text.count("listing all objects again") == 1


async def test_an_object_without_a_name_is_left_out(api: ApiServer, tmp_path: Path) -> None:
    put_route(api, "r")
    api.objects[ROUTES]["default/x"] = {"metadata": {"resourceVersion": "1"}, "spec": {}}
    async with starting(api, tmp_path) as seen:
        api.objects[ROUTES]["default/x"]["metadata"]["namespace"] = "default"
        await until(lambda: seen.source.loaded.is_set() and seen.source.store.problems)
        assert seen.routes == ["r"]
        assert "metadata cannot be read" in seen.source.store.problems[0].message


async def test_a_server_that_is_away_is_told_once_each_way(
    api: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fastroute")
    put_route(api, "r")
    async with following(api, tmp_path) as seen:
        api.close()
        await until(lambda: "cannot be reached" in caplog.text)
        await trio.sleep(0.5)
        assert seen.routes == ["r"]
        put_route(api, "s")
        api.reopen()
        await until(lambda: seen.routes == ["r", "s"])
        await until(lambda: "is reachable again" in caplog.text)
    assert caplog.text.count("cannot be reached") == caplog.text.count("is reachable again") == 1
    assert "the last known state is still served" in caplog.text


async def test_a_server_that_is_not_there_yet_is_waited_for(
    api: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_route(api, "r")
    api.close()
    async with starting(api, tmp_path) as seen:
        await until(lambda: "nothing is served until it is reached" in caplog.text)
        assert not seen.source.loaded.is_set()
        api.reopen()
        await until(seen.source.loaded.is_set)
        assert seen.routes == ["r"]


async def test_kinds_come_change_their_version_and_go(
    api: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fastroute")
    spec = {"from": [{"group": GROUP, "kind": "HTTPRoute", "namespace": "a"}], "to": [{"group": "", "kind": "Service"}]}
    beta = GRANTS.replace("/v1/", "/v1beta1/")
    del api.served["referencegrants"]
    api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", f"referencegrants.{GROUP}", "")
    async with following(api, tmp_path) as seen:
        store = seen.source.store
        missing = {"ReferenceGrant": f"the CRD referencegrants.{GROUP} is not installed"}
        assert store.missing == {**MISSING, **missing}
        changes = seen.changes

        api.served["referencegrants"] = ("v1alpha2",)
        api.put_crd("referencegrants")
        await until(lambda: "as v1alpha2; fastroute reads v1 and v1beta1" in store.missing["ReferenceGrant"])

        api.put(beta, "g", spec=spec)
        api.served["referencegrants"] = ("v1beta1",)
        api.put_crd("referencegrants")
        await until(lambda: len(store.snapshot().reference_grants) == 1)
        assert seen.source.served["ReferenceGrant"] == "v1beta1"
        assert store.missing == MISSING
        assert seen.changes > changes

        api.put(GRANTS, "g", spec=spec)
        api.served["referencegrants"] = ("v1", "v1beta1")
        api.put_crd("referencegrants")
        await until(lambda: seen.source.served["ReferenceGrant"] == "v1")
        await until(lambda: store.snapshot().reference_grants[Key("default", "g")].api_version == f"{GROUP}/v1")
        api.put(GRANTS, "h", spec=spec)
        await until(lambda: len(store.snapshot().reference_grants) == 2)

        del api.served["referencegrants"]
        api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", f"referencegrants.{GROUP}", "")
        await until(lambda: not store.snapshot().reference_grants)
        assert "not installed" in store.missing["ReferenceGrant"]
    assert caplog.text.count("ReferenceGrants are now read, as v1beta1") == 1


POLICY = {
    "targetRefs": [{"group": "", "kind": "Service", "name": "web", "sectionName": "https"}],
    "validation": {"hostname": "a.example.com", "wellKnownCACertificates": "System"},
}


@pytest.mark.parametrize("version", ["v1", "v1alpha3"])
async def test_tls_policies_are_followed_in_both_versions(api: ApiServer, tmp_path: Path, version: str) -> None:
    collection = POLICIES.replace("/v1/", f"/{version}/")
    api.served["backendtlspolicies"] = (version,)
    api.put(collection, "secure", spec=POLICY)
    async with following(api, tmp_path) as seen:
        [policy] = seen.source.store.snapshot().backend_tls_policies.values()
        assert (policy.api_version, policy.spec.target_refs[0].section_name) == (f"{GROUP}/{version}", "https")
        api.delete(collection, "secure")
        await until(lambda: not seen.source.store.snapshot().backend_tls_policies)


async def test_without_the_crd_of_tls_policies_all_else_is_served(
    api: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    del api.served["backendtlspolicies"]
    api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", f"backendtlspolicies.{GROUP}", "")
    put_route(api, "r")
    async with following(api, tmp_path) as seen:
        assert seen.routes == ["r"]
    assert f"BackendTLSPolicies are not read: the CRD backendtlspolicies.{GROUP} is not installed" in caplog.text


def test_several_of_a_kind_are_called_by_their_plural() -> None:
    assert [row.words.lower() for row in FOLLOWED] == [row.plural for row in FOLLOWED]


async def test_a_kind_that_discovery_forgot_for_a_moment_is_kept(api: ApiServer, tmp_path: Path) -> None:
    put_route(api, "r")
    async with following(api, tmp_path) as seen:
        api.served["httproutes"] = ()
        api.put_crd("gateways")  # discovery is repeated
        api.cut()
        await trio.sleep(0.5)
        assert seen.routes == ["r"]
        api.served["httproutes"] = ("v1",)
        put_route(api, "s")
        await until(lambda: seen.routes == ["r", "s"])


@pytest.mark.parametrize(("collection", "is_needed"), [(SERVICES, True), (POLICIES, True), (SECRETS, False)])
async def test_a_kind_that_may_not_be_read(
    api: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, collection: str, is_needed: bool
) -> None:
    api.refusals[collection] = 403
    async with starting(api, tmp_path) as seen:
        plural = collection.rpartition("/")[2]
        await until(lambda: f"the ClusterRole of fastroute needs list and watch on {plural}" in caplog.text)
        if is_needed:
            await trio.sleep(0.5)
            assert not seen.source.loaded.is_set()
        else:
            await until(seen.source.loaded.is_set)
        assert caplog.text.count("the ClusterRole of fastroute needs") == 1
        del api.refusals[collection]
        await until(seen.source.loaded.is_set)
        spec = POLICY if collection == POLICIES else {"ports": [{"port": 80}]}
        api.put(collection, "web", spec=spec, type="kubernetes.io/tls")
        field = {SERVICES: "services", POLICIES: "backend_tls_policies", SECRETS: "secrets"}[collection]
        await until(lambda: getattr(seen.source.store.snapshot(), field))


async def test_rights_that_are_taken_away_take_nothing_away(api: ApiServer, tmp_path: Path) -> None:
    put_route(api, "r")
    async with following(api, tmp_path) as seen:
        api.refusals[ROUTES] = 403
        api.cut()
        await trio.sleep(0.5)
        assert seen.routes == ["r"]


async def test_ending_waits_for_nobody(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait until a watch receives data or times out."""
    monkeypatch.setattr(client, "SILENCE", 3600.0)
    with trio.fail_after(60):
        async with following(api, tmp_path):
            pass
