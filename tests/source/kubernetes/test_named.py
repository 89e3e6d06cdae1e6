"""Secrets that are watched by name: which, when, and how many."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from apiserver.standin import GROUP, ApiServer
from source.kubernetes.followed import (
    CERTIFICATE,
    CLASSES,
    CONFIG_MAPS,
    GATEWAYS,
    GRANTS,
    POLICIES,
    SECRETS,
    Followed,
    following,
    naming,
    until,
)

from fastroute.resources.core import Secret
from fastroute.resources.meta import Key
from fastroute.settings import CONTROLLER_NAME
from fastroute.source.kubernetes import backlog
from fastroute.source.kubernetes.named import NAMING, Named, Names, choose, named_secrets
from fastroute.source.kubernetes.source import KubernetesSource


def secure(*secrets: str) -> dict[str, Any]:
    """A listener with certificateRefs "name" or "namespace/name"."""
    refs = [dict(zip(("name", "namespace"), reversed(secret.split("/")), strict=False)) for secret in secrets]
    return {"name": "s", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": refs}}


def secrets(seen: Followed) -> Mapping[Key, Secret]:
    return seen.source.store.snapshot().secrets


def watched(source: KubernetesSource) -> set[str]:
    return {name.partition(" ")[2] for name in source._lives if name.startswith("Secret ")}


async def test_secrets_of_other_types_are_followed_while_they_are_named(api: ApiServer, tmp_path: Path) -> None:
    listener = secure("odd")
    api.put(CLASSES, "ours", "", spec={"controllerName": CONTROLLER_NAME})
    api.put(GATEWAYS, "g", spec={"gatewayClassName": "ours", "listeners": [listener]})
    api.put(GATEWAYS, "foreign", "elsewhere", spec={"gatewayClassName": "theirs", "listeners": [listener]})
    api.put(SECRETS, "odd", type="Opaque", data={"tls.crt": "AA=="})
    api.put(SECRETS, "odd", "elsewhere", type="Opaque", data={})
    api.put(SECRETS, "unnamed", type="Opaque", data={})
    key = Key("default", "odd")
    async with following(api, tmp_path) as seen:
        assert list(secrets(seen)) == [key]
        api.put(SECRETS, "odd", type="Opaque", data={"tls.crt": "BBBB"})
        await until(lambda: secrets(seen)[key].data == {"tls.crt": "BBBB"})

        gone: list[Key] = []
        seen.changed = lambda noticed: gone.extend({key} - secrets(seen).keys())  # type: ignore[method-assign]
        api.forget()  # listing the Secrets of type kubernetes.io/tls does not remove it
        api.cut()
        api.put(SECRETS, "listed", **CERTIFICATE)
        api.put(SECRETS, "odd", type="Opaque", data={"tls.crt": "CCCC"})
        await until(
            lambda: secrets(seen)[key].data == {"tls.crt": "CCCC"} and Key("default", "listed") in secrets(seen)
        )
        assert not gone

        api.delete(SECRETS, "odd")  # a Secret's type cannot be changed
        await until(lambda: key not in secrets(seen))
        api.put(SECRETS, "odd", **CERTIFICATE)
        await until(lambda: key in secrets(seen))
        await until(lambda: not watched(seen.source))
        assert secrets(seen)[key].data == CERTIFICATE["data"]
        gone.clear()
        api.delete(GATEWAYS, "g")
        api.put(SECRETS, "listed", **{**CERTIFICATE, "data": {"tls.crt": "BBBB"}})
        await until(lambda: not seen.source.store.snapshot().gateways.get(Key("default", "g")))
        await until(lambda: secrets(seen)[Key("default", "listed")].data == {"tls.crt": "BBBB"})
        assert not gone
        assert key in secrets(seen)


async def test_secrets_beyond_the_watches_are_read_in_turn_and_are_a_problem(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastroute.source.kubernetes.named.MOST", 2)
    monkeypatch.setattr("fastroute.source.kubernetes.looks.PAUSE", 0.05)
    api.put(CLASSES, "ours", "", spec={"controllerName": CONTROLLER_NAME})
    api.put(GATEWAYS, "g", spec={"gatewayClassName": "ours", "listeners": [secure("s0", "s1", "s2", "s3")]})
    for number in range(3):
        api.put(SECRETS, f"s{number}", type="Opaque", data={"tls.crt": "AA=="})
    async with following(api, tmp_path) as seen:
        store = seen.source.store
        await until(lambda: [problem.name for problem in store.problems] == ["s2"])
        assert "give it the type kubernetes.io/tls" in store.problems[0].message
        assert len(store.snapshot().secrets) == 3
        api.put(SECRETS, "s2", type="Opaque", data={"tls.crt": "BBBB"})
        await until(lambda: store.snapshot().secrets[Key("default", "s2")].data == {"tls.crt": "BBBB"})
        api.put(SECRETS, "s3", type="Opaque", data={})
        await until(lambda: len(store.snapshot().secrets) == 4)
        api.delete(SECRETS, "s3")
        await until(lambda: len(store.snapshot().secrets) == 3)
        api.delete(SECRETS, "s0")  # its watch goes to s2, which stays in the Store all the time
        await until(lambda: store.problems == ())
        assert set(map(str, store.snapshot().secrets)) == {"default/s1", "default/s2"}


ATTACK = "a-tenant"
LISTENER_SETS = f"/apis/{GROUP}/v1/listenersets"


def attack(api: ApiServer, number: int) -> None:
    """A ListenerSet in a-tenant that names so many Secrets."""
    parent = {"parentRef": {"group": GROUP, "kind": "Gateway", "name": "g", "namespace": "z-tenant"}}
    listeners = [secure(*(f"s{index}" for index in range(number)))]
    api.put(LISTENER_SETS, "l", ATTACK, spec={**parent, "listeners": listeners})


def victim(api: ApiServer, allowed: str = "All") -> Key:
    """A Gateway with a Secret that can only be followed by name, as the last of all by name."""
    api.put(CLASSES, "ours", "", spec={"controllerName": CONTROLLER_NAME})
    spec = {"gatewayClassName": "ours", "allowedListeners": {"namespaces": {"from": allowed}}}
    api.put(GATEWAYS, "g", "z-tenant", spec={**spec, "listeners": [secure("z")]})
    api.put(SECRETS, "z", "z-tenant", type="Opaque", data={"tls.crt": "AA=="})
    return Key("z-tenant", "z")


@pytest.mark.parametrize("exist", [False, True], ids=["missing", "existing"])
async def test_a_namespace_that_names_many_secrets_takes_no_watch_from_another(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exist: bool
) -> None:
    """The Secret of the victim exists and is served: it is watched all the time, also after a restart."""
    monkeypatch.setattr("fastroute.source.kubernetes.named.MOST", 4)
    key = victim(api)
    for number in range(8 if exist else 0):
        api.put(SECRETS, f"s{number}", ATTACK, type="Opaque", data={})
    async with following(api, tmp_path) as seen:
        gone: list[Key] = []
        seen.changed = lambda noticed: gone.extend({key} - seen.source.store.snapshot().secrets.keys())  # type: ignore[method-assign]
        attack(api, 8)
        await until(lambda: len(watched(seen.source)) == 4)
        await until(lambda: len(seen.source.store.snapshot().secrets) == (9 if exist else 1))
        assert "z-tenant/z" in watched(seen.source)
        assert not gone
    async with following(api, tmp_path) as seen:
        assert key in seen.source.store.snapshot().secrets
        await until(lambda: "z-tenant/z" in watched(seen.source))
        assert len(watched(seen.source)) == 4


async def test_a_missing_secret_of_another_namespace_is_found_when_it_is_created(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All watches belong to Secrets that exist, so it is found by reading, and then gets a watch."""
    monkeypatch.setattr("fastroute.source.kubernetes.named.MOST", 4)
    monkeypatch.setattr("fastroute.source.kubernetes.looks.PAUSE", 0.1)
    key = victim(api)
    api.delete(SECRETS, "z", "z-tenant")
    for number in range(8):
        api.put(SECRETS, f"s{number}", ATTACK, type="Opaque", data={})
    attack(api, 8)
    async with following(api, tmp_path) as seen:
        await until(lambda: len(seen.source.store.snapshot().secrets) == 8)
        api.put(SECRETS, "z", "z-tenant", type="Opaque", data={"tls.crt": "AA=="})
        await until(lambda: key in seen.source.store.snapshot().secrets)
        await until(lambda: "z-tenant/z" in watched(seen.source))
        assert len(seen.source.store.snapshot().secrets) == 9


async def test_a_listener_set_that_its_gateway_does_not_allow_takes_no_watch(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastroute.source.kubernetes.named.MOST", 2)
    victim(api, allowed="Same")
    attack(api, 8)
    async with following(api, tmp_path) as seen:
        assert "z-tenant/z" in watched(seen.source)
        await trio.sleep(0.1)
        assert not any(f"/{ATTACK}/" in path and "watch" not in query for path, query in api.requests)


NAMES = Names(
    permitted=frozenset(Named(space, Key(space, f"s{number}")) for space in "ab" for number in range(100)),
    refused=frozenset({Named("c", Key("a", "other"))}),
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("", {"a": 32, "b": 32}),
        ("a", {"a": 64}),
        ("ab", {"a": 32, "b": 32}),
    ],
)
def test_the_shares_of_the_watches_are_equal_and_what_exists_comes_first(found: str, expected: dict[str, int]) -> None:
    exist = {one.key for one in NAMES.permitted if one.space in found}
    choice = choose(NAMES, set(), exist, set())
    assert Counter(key.namespace for key in choice.watched) == expected
    assert {one.key for one in choice.unwatched} == {one.key for one in NAMES.permitted} - set(choice.watched)
    again = choose(NAMES, set(), exist, set(choice.watched))
    assert again == choice


@pytest.mark.parametrize("name", ["a/b", "../b", "a,b=c", "", "A"])
def test_a_name_that_no_object_can_have_is_not_followed(name: str) -> None:
    """The schema has no pattern for the names of references."""
    named = frozenset({Named("a", Key("a", name)), Named("a", Key("a", "good"))})
    choice = choose(Names(named, named), set(), set(), set())
    assert (choice.watched, choice.unwatched) == ((Key("a", "good"),), frozenset())


async def test_secrets_that_no_grant_opens_take_no_watch_from_others_and_nothing_is_said_of_them(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether Secrets in other namespaces exist must not be revealed, and naming many of them must not use up the
    watches that others need."""
    monkeypatch.setattr("fastroute.source.kubernetes.named.MOST", 2)
    api.put(CLASSES, "ours", "", spec={"controllerName": CONTROLLER_NAME})
    named = secure("s", "aaa/s0", "aaa/s1", "aaa/s2")
    api.put(GATEWAYS, "g", spec={"gatewayClassName": "ours", "listeners": [named]})
    for name, namespace in (("s", "default"), ("s0", "aaa"), ("s1", "aaa"), ("s2", "aaa")):
        api.put(SECRETS, name, namespace, type="Opaque", data={})
    async with following(api, tmp_path) as seen:
        store = seen.source.store
        assert set(map(str, store.snapshot().secrets)) == {"default/s", "aaa/s0"}
        assert store.problems == ()
        gateways = {"group": GROUP, "kind": "Gateway", "namespace": "default"}
        api.put(GRANTS, "g", "aaa", spec={"from": [gateways], "to": [{"group": "", "kind": "Secret", "name": "s2"}]})
        await until(lambda: set(map(str, store.snapshot().secrets)) == {"default/s", "aaa/s2"})
        assert store.problems == ()


async def test_no_watch_by_name_is_begun_for_what_the_watch_by_type_has(api: ApiServer, tmp_path: Path) -> None:
    api.put(CLASSES, "ours", "", spec={"controllerName": CONTROLLER_NAME})
    names = [f"s{number}" for number in range(5)]
    api.put(GATEWAYS, "g", spec={"gatewayClassName": "ours", "listeners": [secure(*names)]})
    for name in names:
        api.put(SECRETS, name, **CERTIFICATE)
    api.before_event = lambda path, event: time.sleep(0.05) if path == SECRETS else None  # listed last
    async with following(api, tmp_path) as seen:
        assert len(seen.source.store.snapshot().secrets) == 5
    assert not [path for path, _ in api.requests if "/namespaces/" in path]


async def test_what_comes_with_the_last_word_of_a_watch_that_was_ended_is_not_taken(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing would ever remove it."""
    api.put(CLASSES, "ours", "", spec={"controllerName": CONTROLLER_NAME})
    api.put(GATEWAYS, "g", spec={"gatewayClassName": "ours", "listeners": [secure("odd")]})
    api.put(SECRETS, "odd", type="Opaque", data={})
    async with following(api, tmp_path) as seen:
        source, name = seen.source, "Secret default/odd"
        [life] = [life for key, life in source._lives.items() if key == name]
        source._end(name)
        late = msgspec.Raw(json.dumps(api.objects[SECRETS]["default/odd"]).encode())
        source._take(name, life.collection, [backlog.Notice("Put", late)])
        assert not source.store.snapshot().secrets


async def test_the_time_of_a_change_begins_with_its_arrival(api: ApiServer, tmp_path: Path) -> None:
    """Not when it is processed."""
    async with following(api, tmp_path) as seen:
        source = seen.source
        source.store.snapshot()
        one = {"metadata": {"namespace": "default", "name": "s", "resourceVersion": "99"}, **CERTIFICATE}
        arrived = trio.current_time()
        await trio.sleep(0.01)
        notice = backlog.Notice("Put", msgspec.Raw(json.dumps(one).encode()), since=arrived)
        source._take("Secret", source._lives["Secret"].collection, [notice])
        assert source.store.portion(50, 0.0).since == {"default": arrived}


async def test_secrets_are_followed_by_name_once_they_may_be(api: ApiServer, tmp_path: Path) -> None:
    """Also if the watch by type has no events."""
    api.put(CLASSES, "ours", "", spec={"controllerName": CONTROLLER_NAME})
    api.put(GATEWAYS, "g", spec={"gatewayClassName": "ours", "listeners": [secure("odd")]})
    api.put(SECRETS, "odd", type="Opaque", data={"tls.crt": "AA=="})
    api.refusals[SECRETS] = 403
    async with following(api, tmp_path) as seen:
        assert not seen.source.store.snapshot().secrets
        del api.refusals[SECRETS]
        await until(lambda: seen.source.store.snapshot().secrets)


async def test_a_certificate_that_changes_is_no_reason_to_look_at_all_names(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be thousands of listeners, and other controllers edit the metadata of Secrets."""
    looks: list[int] = []

    def counted(*given: Any) -> Names:
        looks.append(1)
        return named_secrets(*given)

    monkeypatch.setitem(NAMING, "Secret", counted)
    api.put(SECRETS, "tls", **CERTIFICATE)
    key = Key("default", "tls")
    async with following(api, tmp_path) as seen:
        before = len(looks)
        for number in range(3):
            api.put(SECRETS, "tls", **CERTIFICATE, metadata={"annotations": {"a": str(number)}})
        renewed = {**CERTIFICATE, "data": {"tls.crt": "BBBB", "tls.key": "AA=="}}
        api.put(SECRETS, "tls", **renewed)
        await until(lambda: seen.source.store.snapshot().secrets[key].data == renewed["data"])
        assert len(looks) == before
        api.delete(SECRETS, "tls")
        await until(lambda: len(looks) > before)


async def test_config_maps_are_followed_while_a_policy_names_them(api: ApiServer, tmp_path: Path) -> None:
    """No other one is read."""
    api.put(POLICIES, "p", spec=naming("s", "named"))
    for name in ("named", "later", "other"):
        api.put(CONFIG_MAPS, name, data={"ca.crt": name, "more": "x" * 1000})
    api.put(CONFIG_MAPS, "named", "elsewhere", data={"ca.crt": "x"})
    async with following(api, tmp_path) as seen:

        def found() -> dict[str, dict[str, str]]:
            return {str(key): one.data for key, one in seen.source.store.snapshot().config_maps.items()}

        assert found() == {"default/named": {"ca.crt": "named"}}
        assert CONFIG_MAPS not in dict(api.requests)
        api.put(CONFIG_MAPS, "named", data={"ca.crt": "renewed"})
        await until(lambda: found() == {"default/named": {"ca.crt": "renewed"}})
        api.put(POLICIES, "p", spec=naming("s", "named", "later", "missing"))
        await until(lambda: set(found()) == {"default/named", "default/later"})
        api.put(CONFIG_MAPS, "missing", data={"ca.crt": "found"})
        await until(lambda: "default/missing" in found())
        api.delete(CONFIG_MAPS, "named")
        await until(lambda: set(found()) == {"default/later", "default/missing"})
        api.delete(POLICIES, "p")
        await until(lambda: not found())


async def test_config_maps_are_followed_while_a_gateway_of_ours_names_them(api: ApiServer, tmp_path: Path) -> None:
    """Those that a grant allows come first."""

    def verifying(*names: str) -> dict[str, Any]:
        refs = [dict(zip(("name", "namespace"), reversed(name.split("/")), strict=False)) for name in names]
        refs = [{"group": "", "kind": "ConfigMap", **ref} for ref in refs]
        frontend = {"default": {"validation": {"caCertificateRefs": refs}}}
        return {"listeners": [secure("c")], "tls": {"frontend": frontend}}

    api.put(CLASSES, "ours", "", spec={"controllerName": CONTROLLER_NAME})
    api.put(GATEWAYS, "g", spec={"gatewayClassName": "ours", **verifying("own", "cas/clients")})
    api.put(GATEWAYS, "foreign", spec={"gatewayClassName": "theirs", **verifying("unread")})
    for name in ("own", "unread", "later"):
        api.put(CONFIG_MAPS, name, data={"ca.crt": name})
    api.put(CONFIG_MAPS, "clients", "cas", data={"ca.crt": "clients"})
    origin = {"group": GROUP, "kind": "Gateway", "namespace": "default"}
    api.put(GRANTS, "g", "cas", spec={"from": [origin], "to": [{"group": "", "kind": "ConfigMap"}]})
    async with following(api, tmp_path) as seen:

        def found() -> set[str]:
            return {str(key) for key in seen.source.store.snapshot().config_maps}

        assert found() == {"default/own", "cas/clients"}
        names = NAMING["ConfigMap"](seen.source.store.snapshot(), CONTROLLER_NAME)
        assert ({str(one.key) for one in names.permitted}, names.refused) == (
            {"default/own", "cas/clients"},
            frozenset(),
        )
        api.delete(GRANTS, "g", "cas")
        await until(lambda: bool(NAMING["ConfigMap"](seen.source.store.snapshot(), CONTROLLER_NAME).refused))
        api.put(GATEWAYS, "g", spec={"gatewayClassName": "ours", **verifying("later")})
        await until(lambda: found() == {"default/later"})
        api.put(GATEWAYS, "g", spec={"gatewayClassName": "ours", "listeners": [secure("c")]})
        await until(lambda: not found())
