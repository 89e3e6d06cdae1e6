"""Policies that name a new ConfigMap: the last version is served until the ConfigMap is read, but not for long."""

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from apiserver.standin import GROUP, ApiServer
from source.kubernetes.followed import (
    CLASSES,
    CONFIG_MAPS,
    GATEWAYS,
    GRANTS,
    POLICIES,
    Followed,
    following,
    naming,
    until,
)

from fastroute.resources.gateway import Gateway, GatewayClass
from fastroute.resources.meta import Key, Metadata
from fastroute.resources.policy import BackendTLSPolicy, BackendTLSPolicySpec, LocalReference, PolicyTarget, Validation
from fastroute.resources.world import Resources
from fastroute.settings import CONTROLLER_NAME
from fastroute.source.kubernetes import postponed
from fastroute.source.kubernetes.named import config_maps_of
from fastroute.source.kubernetes.postponed import PATIENCE, Postponed
from fastroute.source.store import Apply

P = Key("default", "p")


def named(seen: Followed) -> list[str]:
    """The ConfigMaps that the policy in the Store names."""
    policy = seen.source.store.snapshot().backend_tls_policies.get(P)
    return [ref.name for ref in policy.spec.validation.authorities] if policy and policy.spec.validation else []


def read(seen: Followed) -> set[str]:
    return {key.name for key, one in seen.source.store.snapshot().config_maps.items() if not one.omission}


@pytest.mark.parametrize("most", [64, 1], ids=["watched", "read in turn"])
async def test_a_policy_and_its_new_config_maps_are_served_together(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("fastroute.source.kubernetes.named.MOST", most)
    monkeypatch.setattr(postponed, "PATIENCE", 3600.0)
    for name in ("old", "new", "newer", "last"):
        api.put(CONFIG_MAPS, name, data={"ca.crt": name})
    api.put(POLICIES, "p", spec=naming("s", "old"))
    async with following(api, tmp_path) as seen:
        unread: dict[tuple[str, ...], set[str]] = {}  # by what the policy named

        def changed(noticed: float) -> None:
            names = named(seen)
            unread.setdefault(tuple(names), set()).update(set(names) - read(seen))

        seen.changed = changed  # type: ignore[method-assign]
        versions = (["old", "new"], ["new", "newer"], ["last"])
        for names in versions:
            api.put(POLICIES, "p", spec=naming("s", *names))
            await until(lambda names=names: named(seen) == names)  # type: ignore[misc]
            await until(lambda names=names: read(seen) == set(names))  # type: ignore[misc]
        api.put(POLICIES, "p", spec=naming("s", "last", "missing"))  # it is known soon that there is none
        await until(lambda: named(seen) == ["last", "missing"])
        assert unread.pop(("last", "missing")) == {"missing"}
        assert unread.keys() >= set(map(tuple, versions))
        assert not any(unread.values())
        api.delete(POLICIES, "p")
        await until(lambda: not read(seen))


def validating(*config_maps: str, listener: str = "h") -> dict[str, Any]:
    """The spec of a Gateway that verifies clients with these, "name" or "namespace/name"."""
    split = [one.rpartition("/") for one in config_maps]
    refs = [
        {"group": "", "kind": "ConfigMap", "name": name, **({"namespace": space} if space else {})}
        for space, _, name in split
    ]
    frontend = {"default": {"validation": {"caCertificateRefs": refs}}}
    listeners = [{"name": listener, "port": 80, "protocol": "HTTP"}]
    return {"gatewayClassName": "ours", "listeners": listeners, "tls": {"frontend": frontend}}


async def test_a_gateway_and_its_new_config_maps_are_served_together(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for those of other namespaces that no grant opens."""
    monkeypatch.setattr(postponed, "PATIENCE", 3600.0)
    api.put(CLASSES, "ours", "", spec={"controllerName": CONTROLLER_NAME})
    for name in ("old", "new", "newer"):
        api.put(CONFIG_MAPS, name, data={"ca.crt": name})
    api.put(CONFIG_MAPS, "open", "cas", data={"ca.crt": "open"})
    gateways = {"group": GROUP, "kind": "Gateway", "namespace": "default"}
    opened = {"group": "", "kind": "ConfigMap", "name": "open"}
    api.put(GRANTS, "g", "cas", spec={"from": [gateways], "to": [opened]})
    api.put(GATEWAYS, "g", spec=validating("old"))
    async with following(api, tmp_path) as seen:
        store = seen.source.store

        def listeners() -> list[str]:
            return [one.name for one in store.snapshot().gateways[Key("default", "g")].spec.listeners]

        def unread(names: set[str]) -> set[str]:
            return names - read(seen)

        missing: dict[str, set[str]] = {}  # by the listener of the version
        for number, names in enumerate((["old", "new"], ["newer", "cas/open"], ["newer", "cas/closed"])):
            wanted = {name.rpartition("/")[2] for name in names} - {"closed"}
            listener = f"h{number}"

            def changed(noticed: object, listener: str = listener, wanted: set[str] = wanted) -> None:
                if listeners() == [listener]:
                    missing.setdefault(listener, set()).update(unread(wanted))

            seen.changed = changed  # type: ignore[method-assign]  # what follows the source
            api.put(GATEWAYS, "g", spec=validating(*names, listener=listener))
            await until(lambda: listeners() == [listener])  # noqa: B023
        assert missing == {"h0": set(), "h1": set(), "h2": set()}
        api.put(GATEWAYS, "foreign", spec={**validating("unread"), "gatewayClassName": "theirs"})
        await until(lambda: Key("default", "foreign") in store.snapshot().gateways)


async def test_an_older_version_or_a_deleted_policy_does_not_come_later(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postponed, "PATIENCE", 3600.0)
    api.put(CONFIG_MAPS, "old", data={"ca.crt": "old"})
    for name in ("p", "q"):
        api.put(POLICIES, name, spec=naming("s", "old"))
    answer = threading.Event()  # until then no new ConfigMap is sent
    async with following(api, tmp_path) as seen:
        api.before_event = lambda path, event: None if "configmaps" not in path or answer.wait(60) else b""
        api.put(CONFIG_MAPS, "new", data={"ca.crt": "new"})
        for name in ("p", "q"):
            api.put(POLICIES, name, spec=naming("s", "new"))
        await until(lambda: len(seen.source._postponed.names) == 1)
        await until(lambda: any(query.get("fieldSelector") == "metadata.name=new" for _, query in api.requests))
        assert named(seen) == ["old"]
        assert read(seen) == {"old"}
        api.put(POLICIES, "p", spec=naming("other", "old"))
        api.delete(POLICIES, "q")
        await until(lambda: not seen.source._postponed.names)
        answer.set()
        await until(lambda: seen.source.store.snapshot().backend_tls_policies.keys() == {P})
        assert seen.source.store.snapshot().backend_tls_policies[P].spec.target_refs[0].name == "other"
        await until(lambda: read(seen) == {"old"})
        assert named(seen) == ["old"]


@pytest.mark.parametrize("most", [64, 0], ids=["watched", "read in turn"])
async def test_a_config_map_that_must_not_be_read_is_not_called_missing(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Neither at the start nor later. What is known of it stays if the rights are taken away."""
    monkeypatch.setattr("fastroute.source.kubernetes.named.MOST", most)
    monkeypatch.setattr("fastroute.source.kubernetes.looks.PAUSE", 0.05)
    monkeypatch.setattr(postponed, "PATIENCE", 3600.0)
    path = "/api/v1/namespaces/default/configmaps"
    api.refusals[path] = 403
    for name in ("first", "second"):
        api.put(CONFIG_MAPS, name, data={"ca.crt": name})
    api.put(POLICIES, "p", spec=naming("s", "first"))

    def found(seen: Followed) -> dict[str, str]:
        return {key.name: one.omission for key, one in seen.source.store.snapshot().config_maps.items()}

    async with following(api, tmp_path) as seen:
        assert found(seen).keys() == {"first"}
        api.put(POLICIES, "p", spec=naming("s", "first", "second", "third"))
        await until(lambda: named(seen) == ["first", "second", "third"])
        assert found(seen).keys() == {"first", "second", "third"}
        for why in found(seen).values():
            assert why.startswith("cannot be read, because the API server answers 403 Forbidden: the ClusterRole")
        del api.refusals[path]
        await until(lambda: found(seen) == {"first": "", "second": ""})
        api.refusals[path] = 403
        requests = len(api.requests)
        api.cut()
        await until(lambda: len([one for one, _ in api.requests[requests:] if one == path]) > 3)
        assert {name: found(seen)[name] for name in ("first", "second")} == {"first": "", "second": ""}


@pytest.mark.parametrize("status", [429, 500])
@pytest.mark.parametrize("most", [64, 0], ids=["watched", "read in turn"])
async def test_a_temporary_error_replaces_no_policy(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, status: int
) -> None:
    monkeypatch.setattr("fastroute.source.kubernetes.named.MOST", most)
    monkeypatch.setattr("fastroute.source.kubernetes.looks.RETRY", 0.02)
    monkeypatch.setattr(postponed, "PATIENCE", 3600.0)
    path = "/api/v1/namespaces/default/configmaps"
    for name in ("old", "new"):
        api.put(CONFIG_MAPS, name, data={"ca.crt": name})
    api.put(POLICIES, "p", spec=naming("s", "old"))

    def tries() -> int:
        return len([one for one, query in api.requests if query.get("fieldSelector") == "metadata.name=new"])

    async with following(api, tmp_path) as seen:
        api.refusals[path] = status
        api.put(POLICIES, "p", spec=naming("s", "new"))
        await until(lambda: tries() > 1)
        assert named(seen) == ["old"]
        assert texts(seen)["old"] == "old"
        del api.refusals[path]
        await until(lambda: named(seen) == ["new"])
        assert texts(seen)["new"] == "new"


def texts(seen: Followed) -> dict[str, str]:
    """What each ConfigMap in the Store contains, or why it is not known."""
    found = seen.source.store.snapshot().config_maps
    return {key.name: one.omission or one.data["ca.crt"] for key, one in found.items()}


@pytest.mark.parametrize(
    ("most", "why"),
    [
        pytest.param(64, "is not read yet", id="watched"),
        pytest.param(0, "cannot be read, because the API server answers 500 Unavailable", id="read in turn"),
    ],
)
async def test_what_is_not_read_in_time_is_not_called_missing(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, why: str
) -> None:
    monkeypatch.setattr("fastroute.source.kubernetes.named.MOST", most)
    monkeypatch.setattr("fastroute.source.kubernetes.looks.RETRY", 0.02)
    monkeypatch.setattr(postponed, "PATIENCE", 0.2)
    path = "/api/v1/namespaces/default/configmaps"
    for name in ("old", "new", "other"):
        api.put(CONFIG_MAPS, name, data={"ca.crt": name})
    api.put(POLICIES, "p", spec=naming("s", "old"))
    async with following(api, tmp_path) as seen:
        missing: list[set[str]] = []
        seen.changed = lambda noticed: missing.append(set(named(seen)) - set(texts(seen)))  # type: ignore[method-assign]
        api.refusals[path] = 500
        api.put(POLICIES, "p", spec=naming("s", "new", "gone", "other"))
        await until(lambda: named(seen) == ["new", "gone", "other"])
        await until(lambda: set(texts(seen)) >= {"new", "gone", "other"})
        assert {texts(seen)[name] for name in ("new", "gone", "other")} == {why}
        assert missing
        assert not any(missing)
        api.put(POLICIES, "p", spec=naming("s", "new", "gone"))
        await until(lambda: "other" not in texts(seen))
        del api.refusals[path]
        await until(lambda: texts(seen) == {"new": "new"})
        await until(lambda: not seen.source._unread.keys)


@pytest.mark.parametrize(("late", "most"), [(CLASSES, 64), (CLASSES, 0), (GRANTS, 0)])
async def test_what_becomes_permitted_is_not_called_missing(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str, most: int
) -> None:
    """A GatewayClass or a ReferenceGrant comes after the Gateway, and the ConfigMap is read only later."""
    monkeypatch.setattr("fastroute.source.kubernetes.named.MOST", most)
    monkeypatch.setattr("fastroute.source.kubernetes.looks.RETRY", 0.02)
    path = "/api/v1/namespaces/cas/configmaps"
    gateways = {"group": GROUP, "kind": "Gateway", "namespace": "default"}
    to = {"group": "", "kind": "ConfigMap", "name": "new"}
    parts: dict[str, tuple[str, str, Any]] = {
        CLASSES: ("ours", "", {"controllerName": CONTROLLER_NAME}),
        GRANTS: ("g", "cas", {"from": [gateways], "to": [to]}),
    }
    key = Key("cas", "new")
    api.put(CONFIG_MAPS, "new", "cas", data={"ca.crt": "new"})
    api.put(GATEWAYS, "g", spec=validating("cas/new"))
    for collection in parts.keys() - {late}:
        name, space, spec = parts[collection]
        api.put(collection, name, space, spec=spec)
    async with following(api, tmp_path) as seen:
        store = seen.source.store
        api.refusals[path] = 500
        has_come: list[bool] = []

        def changed(noticed: float) -> None:
            now = store.snapshot()
            if now.gateway_classes and now.reference_grants:
                has_come.append(key in now.config_maps)

        seen.changed = changed  # type: ignore[method-assign]
        name, space, spec = parts[late]
        api.put(late, name, space, spec=spec)
        await until(lambda: has_come)
        assert texts(seen)["new"] in (
            "is not read yet",
            "cannot be read, because the API server answers 500 Unavailable",
        )
        del api.refusals[path]
        await until(lambda: texts(seen) == {"new": "new"})
        assert all(has_come)
        api.delete(late, name, space)
        await until(lambda: not texts(seen))


class NoPass(dict[Key, Any]):
    """Objects that nothing may go through."""

    def items(self) -> Any:
        raise AssertionError("all were read")

    __iter__ = keys = values = items


@pytest.mark.parametrize(
    ("frontend", "names"),
    [({"default": {}}, set()), (validating("a", "default/b")["tls"]["frontend"], {"default/a", "default/b"})],
)
def test_grants_are_not_read_for_a_gateway_that_needs_none(frontend: dict[str, Any], names: set[str]) -> None:
    spec = {**validating(), "tls": {"frontend": frontend}}
    ours = {"metadata": {"name": "ours"}, "spec": {"controllerName": CONTROLLER_NAME}}
    gateway = {"metadata": {"name": "g", "namespace": "default"}, "spec": spec}
    resources = Resources(
        gateway_classes={Key("", "ours"): msgspec.convert(ours, GatewayClass)}, reference_grants=NoPass()
    )
    found = config_maps_of(msgspec.convert(gateway, Gateway), resources, CONTROLLER_NAME)
    assert {str(one.key) for one in found} == names


def policy(name: str, *config_maps: str) -> Apply:
    refs = tuple(LocalReference(name=one, group="", kind="ConfigMap") for one in config_maps)
    target = PolicyTarget(name="s", kind="Service")
    spec = BackendTLSPolicySpec(target_refs=(target,), validation=Validation(hostname="a.test", authorities=refs))
    return Apply(BackendTLSPolicy(metadata=Metadata(name=name, namespace="default"), api_version="v1", spec=spec))


class Scene:
    """What is read, and what `late` returned, with the times."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.postponed = Postponed(
            lambda one: config_maps_of(one, Resources(), CONTROLLER_NAME), lambda key: key.name in self.known
        )
        self.late: list[tuple[str, float]] = []

    def waits(self, event: Apply) -> bool:
        return self.postponed.takes(event).waits

    def note(self, name: str) -> list[str]:
        self.known.add(name)
        return sorted(event.resource.key.name for event in self.postponed.note_read(Key("default", name)))

    async def run(self) -> None:
        while True:
            for event in await self.postponed.late():
                waits, unread = self.postponed.takes(event)
                assert not waits, "the object does not wait again"
                assert unread, "the ConfigMaps that are not read are returned"
                self.late.append((event.resource.key.name, trio.current_time()))


async def test_a_policy_waits_no_longer_than_two_seconds(autojump_clock: Any) -> None:
    """Also if it is edited again and again."""
    scene, begin = Scene(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.run)
        assert scene.waits(policy("p", "a"))
        await trio.sleep(0.5)
        assert scene.waits(policy("q", "b"))
        for number in range(10):
            await trio.sleep(0.1)
            assert scene.waits(policy("p", f"a{number}"))
        await trio.sleep(60)
        assert scene.late == [("p", begin + PATIENCE), ("q", begin + 0.5 + PATIENCE)]
        assert scene.waits(policy("p", "z")), "the next change may wait again"
        nursery.cancel_scope.cancel()
    assert not scene.note("a")
    assert scene.note("z") == ["p"]
    assert not scene.postponed._for


async def test_a_policy_waits_until_all_of_its_config_maps_are_read() -> None:
    scene = Scene()
    assert scene.waits(policy("p", "a", "b"))
    assert scene.waits(policy("q", "b"))
    assert {one.key.name for one in scene.postponed.names} == {"a", "b"}
    assert scene.note("b") == ["q"]
    assert scene.note("a") == ["p"]
    assert not scene.waits(policy("p", "a", "b"))
    assert not scene.postponed.names
