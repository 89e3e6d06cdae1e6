"""The Secrets and the statuses of one namespace cannot fill the memory."""

import json
import tracemalloc
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from apiserver.standin import ApiServer
from source.kubernetes.followed import CONFIG_MAPS, POLICIES, following, naming, until

from fastroute.apiserver.kinds import BY_KIND
from fastroute.resources.core import ConfigMap, Secret
from fastroute.resources.meta import Key
from fastroute.settings import CONTROLLER_NAME
from fastroute.source.kubernetes import quota
from fastroute.source.kubernetes.backlog import Notice
from fastroute.source.kubernetes.collection import Collection
from fastroute.source.kubernetes.quota import Quota
from fastroute.source.store import Apply

MIB = 1024 * 1024


def collection(kind: str, restated: list[Key]) -> Collection:
    row = BY_KIND[kind]
    return Collection(row, "v1", "host", restated.append, CONTROLLER_NAME, room=quota.rooms().get(row.type))


def put(name: str, namespace: str = "red", **parts: Any) -> Notice:
    one = {"metadata": {"namespace": namespace, "name": name, "uid": "u", "resourceVersion": "1"}, **parts}
    return Notice("Put", msgspec.Raw(json.dumps(one).encode()))


def route(name: str, size: int, namespace: str = "red", by: str = "x.dev/c") -> Notice:
    """A route with a status of about this size, by another controller."""
    parent = {"parentRef": {"name": "g"}, "controllerName": by, "conditions": [{"message": "x" * size}]}
    return put(name, namespace, spec={"hostnames": ["a.test"], "rules": [{}]}, status={"parents": [parent]})


def test_what_came_first_is_kept_for_each_namespace() -> None:
    kept = Quota(100)
    a, b, blue = Key("red", "a"), Key("red", "b"), Key("blue", "b")
    assert kept.admit(a, 60)
    assert not kept.admit(b, 60)
    assert kept.admit(blue, 60)
    assert kept.admit(a, 100), "its own size does not count twice"
    assert kept.admit(a, 30)
    assert kept.admit(b, 60)
    assert not kept.admit(b, 80), "nothing of it is kept now"
    assert kept.admit(a, 100)
    for key in (a, b, blue, Key("red", "unknown")):
        kept.drop(key)
    assert not kept._totals
    assert not kept._sizes


def test_secrets_above_the_limit_have_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "SECRETS", 100)
    secrets = collection("Secret", [])
    found: list[Secret] = []
    for name, namespace in (("a", "red"), ("b", "red"), ("b", "blue")):
        [event] = secrets.take([put(name, namespace, data={"tls.crt": "A" * 60})])
        assert isinstance(event, Apply)
        assert isinstance(event.resource, Secret)
        found.append(event.resource)
    assert [secret.size for secret in found] == [60, 0, 60]
    assert "Secrets of its namespace" in found[1].omission


def test_config_maps_above_the_limit_have_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "CONFIG_MAPS", 100)
    config_maps = collection("ConfigMap", [])
    found: list[ConfigMap] = []
    for name, namespace in (("a", "red"), ("b", "red"), ("b", "blue")):
        [event] = config_maps.take([put(name, namespace, data={"ca.crt": "A" * 60, "other": "A" * 500})])
        assert isinstance(event, Apply)
        assert isinstance(event.resource, ConfigMap)
        found.append(event.resource)
    assert [one.size for one in found] == [60, 0, 60]
    assert "CA certificates in ConfigMaps of its namespace" in found[1].omission


async def test_the_watches_of_config_maps_share_the_limit_with_those_that_are_read_in_turn(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the watches go to others, for which objects are in two collections for a moment."""
    monkeypatch.setattr(quota, "CONFIG_MAPS", 100)
    monkeypatch.setattr("fastroute.source.kubernetes.named.MOST", 2)
    monkeypatch.setattr("fastroute.source.kubernetes.looks.PAUSE", 0.05)
    names = ("a", "b", "c", "d")
    for name in names:
        api.put(CONFIG_MAPS, name, data={"ca.crt": name * 60})
    api.put(CONFIG_MAPS, "other", "elsewhere", data={"ca.crt": "x" * 60})
    api.put(POLICIES, "p", "elsewhere", spec=naming("s", "other"))
    api.put(POLICIES, "p", spec=naming("s", *names))
    async with following(api, tmp_path) as seen:

        def sizes() -> dict[str, int]:
            return {key.name: one.size for key, one in seen.source.store.snapshot().config_maps.items()}

        await until(lambda: len(sizes()) == 5)
        assert sorted(sizes().values()) == [0, 0, 0, 60, 60]
        left, edits = list(names), count()

        def some_are_kept() -> bool:
            """What was refused is kept when it changes, if there is room then."""
            for name in left:
                api.put(CONFIG_MAPS, name, data={"ca.crt": name * 60, "edited": str(next(edits))})
            return any(sizes().get(name) for name in left)

        while left:
            await until(some_are_kept)
            kept = next(name for name in left if sizes().get(name))
            left.remove(kept)
            api.delete(CONFIG_MAPS, kept)  # its watch goes to one that is read in turn
            assert sum(size for name, size in sizes().items() if name != "other") <= 100
        await until(lambda: sizes() == {"other": 60})
        await until(lambda: seen.source._rooms[ConfigMap]._totals == {"elsewhere": 60})


def test_the_statuses_of_2000_routes_do_not_fill_the_memory() -> None:
    """Entries of other controllers may have more than a megabyte. With all of them, it was 200 MB here."""
    routes = collection("HTTPRoute", [])
    tracemalloc.start()
    try:
        for number in range(2_000):
            [event] = routes.take([route(f"r{number}", 100_000)])
            assert isinstance(event, Apply)
        assert tracemalloc.get_traced_memory()[0] < 32 * MIB
    finally:
        tracemalloc.stop()
    assert len(routes.held) == 2_000
    assert sum(len(held.raw_status) for held in routes.held.values()) <= quota.STATUSES
    [_] = routes.take([route("r", 100_000, "blue")])
    assert routes.held[Key("blue", "r")].has_whole_status


def test_a_status_that_is_not_kept_is_known_by_its_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "STATUSES", 1_000)
    restated: list[Key] = []
    routes, key = collection("HTTPRoute", restated), Key("red", "r")

    def take(notice: Notice) -> int:
        before = len(restated)
        for _ in routes.take([notice]):
            pass
        assert (routes.held[key].raw_status == b"") is not routes.held[key].has_whole_status
        return len(restated) - before

    assert take(route("r", 2_000)) == 1
    assert take(route("r", 2_000)) == 0, "it did not change"
    assert not routes.held[key].names(CONTROLLER_NAME)
    assert take(route("r", 2_000, by=CONTROLLER_NAME)) == 1
    assert routes.held[key].names(CONTROLLER_NAME)
    assert take(route("r", 20)) == 1
    assert routes.held[key].has_whole_status
    for _ in routes.drop(key):
        pass
    assert not routes._statuses._sizes
