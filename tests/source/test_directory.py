"""Changes to a real folder on a real kernel: files are created, edited, renamed, linked, removed."""

import shutil
import sys
from pathlib import Path

import pytest
import trio
import trio.testing
from resources.manifests import SERVICE
from source.following import FRUITS, PATIENCE, QUIET, follow, put, route

from fastroute.resources.meta import Key
from fastroute.source import agenda, doubts
from fastroute.source import directory as timing


async def test_create_edit_rename_remove(tmp_path):
    async with follow(tmp_path) as seen:
        (tmp_path / "a.yaml").write_text(route())
        await seen.until(lambda seen: seen.ports == {"fruits": 8080})
        (tmp_path / "a.yaml").write_text(route(port=8081))
        await seen.until(lambda seen: seen.ports == {"fruits": 8081})
        (tmp_path / "a.yaml").rename(tmp_path / "b.yaml")
        await seen.until(
            lambda seen: seen.directory.store.snapshot().http_routes[FRUITS].origin.file.endswith("b.yaml")
        )
        (tmp_path / "b.yaml").unlink()
        await seen.until(lambda seen: seen.ports == {})
        assert not seen.said


async def test_unchanged_objects_are_the_very_same(tmp_path):
    (tmp_path / "a.yaml").write_text(route("a") + "---\n" + route("b"))
    (tmp_path / "c.yaml").write_text(route("c"))
    async with follow(tmp_path) as seen:
        before = seen.directory.store.snapshot()
        (tmp_path / "a.yaml").write_text(route("a", 1) + "---\n" + route("b"))
        await seen.until(lambda seen: seen.ports["a"] == 1)
        after = seen.directory.store.snapshot()
        for name in "bc":
            assert after.http_routes[Key("infra", name)] is before.http_routes[Key("infra", name)]
        assert after.namespaces is before.namespaces


def listed(*items: str) -> str:
    return "kind: List\napiVersion: v1\nitems:\n" + "".join(
        "- " + item.replace("\n", "\n  ").rstrip() + "\n" for item in items
    )


async def test_the_other_objects_of_a_list_are_the_very_same(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(listed(route("a"), route("b"), route("c")))
    async with follow(tmp_path) as seen:
        before = seen.directory.store.snapshot().http_routes
        path.write_text(listed(route("a"), "# words\n" + route("b", 1), route("c")))
        await seen.until(lambda seen: seen.ports["b"] == 1)
        after = seen.directory.store.snapshot().http_routes
        for name in "ac":
            assert after[Key("infra", name)] is before[Key("infra", name)]


async def test_nested_folders_come_and_go(tmp_path):
    async with follow(tmp_path) as seen:
        (tmp_path / "x" / "y").mkdir(parents=True)
        (tmp_path / "x" / "y" / "a.yaml").write_text(route("a"))
        await seen.until(lambda seen: seen.ports == {"a": 8080})
        (tmp_path / "x" / "y" / "b.yml").write_text(route("b"))
        await seen.until(lambda seen: set(seen.ports) == {"a", "b"})
        (tmp_path / "x").rename(tmp_path / "z")
        (tmp_path / "z" / "y" / "b.yml").write_text(route("b", 1))
        await seen.until(lambda seen: seen.ports == {"a": 8080, "b": 1})
        shutil.rmtree(tmp_path / "z")
        await seen.until(lambda seen: seen.ports == {})


async def test_a_moved_folder_arrives_whole(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    (outside / "deep").mkdir(parents=True)
    inside.mkdir()
    (outside / "deep" / "a.yaml").write_text(route("a"))
    async with follow(inside) as seen:
        outside.rename(inside / "here")
        await seen.until(lambda seen: seen.ports == {"a": 8080})


def mount(root: Path, version: str, **files: str) -> None:
    """Writes files as the kubelet does for a ConfigMap volume: into a hidden folder, then replaces link `..data`."""
    folder = root / f"..{version}"
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    old = (root / "..data").resolve() if (root / "..data").exists() else None
    (root / "..data_tmp").symlink_to(folder.name)
    (root / "..data_tmp").rename(root / "..data")
    for name in files:
        if not (root / f"{name}.yaml").is_symlink():
            (root / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
    for link in root.glob("*.yaml"):
        if link.stem not in files:
            link.unlink()
    if old:
        shutil.rmtree(old)


async def test_a_mounted_config_map_reloads(tmp_path):
    mount(tmp_path, "1", a=route("a"), b=route("b"))
    async with follow(tmp_path) as seen:
        assert seen.ports == {"a": 8080, "b": 8080}
        mount(tmp_path, "2", a=route("a", 1), b=route("b"))
        await seen.until(lambda seen: seen.ports == {"a": 1, "b": 8080})
        mount(tmp_path, "3", a=route("a", 2), c=route("c"))
        await seen.until(lambda seen: seen.ports == {"a": 2, "c": 8080})
        assert not seen.said


async def test_the_target_of_a_link_is_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "real").write_text(route())
    (tmp_path / "in" / "link.yaml").symlink_to("../out/real")
    async with follow(tmp_path / "in") as seen:
        (tmp_path / "out" / "real").write_text(route(port=1))
        await seen.until(lambda seen: seen.ports == {"fruits": 1})
        (tmp_path / "out" / "other").write_text(route(port=2))
        (tmp_path / "in" / "new.yaml").symlink_to("../out/other")
        (tmp_path / "in" / "link.yaml").unlink()
        await seen.until(lambda seen: seen.ports == {"fruits": 2})
        (tmp_path / "out" / "other").write_text(route(port=3))
        await seen.until(lambda seen: seen.ports == {"fruits": 3})


async def test_a_path_that_is_a_link_to_a_folder_may_be_swapped(tmp_path):
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.yaml").write_text(route(port=int(version)))
    (tmp_path / "current").symlink_to("1")
    async with follow(tmp_path / "current") as seen:
        assert seen.ports == {"fruits": 1}
        (tmp_path / "next").symlink_to("2")
        (tmp_path / "next").rename(tmp_path / "current")
        await seen.until(lambda seen: seen.ports == {"fruits": 2})
        (tmp_path / "2" / "a.yaml").write_text(route(port=3))
        await seen.until(lambda seen: seen.ports == {"fruits": 3})


@pytest.mark.parametrize("at_once", [timing.AT_ONCE, 0.0], ids=["at once", "apart"])
async def test_a_path_that_is_a_file(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(timing, "AT_ONCE", at_once)
    monkeypatch.setattr(doubts, "GRACE", PATIENCE)
    monkeypatch.chdir(tmp_path)
    put("a", route())
    async with follow(Path("a")) as seen:
        put("a", route(port=1))
        await seen.until(lambda seen: seen.ports == {"fruits": 1})
        put("b", route(port=2), into="a")
        await seen.until(lambda seen: seen.ports == {"fruits": 2})
        for port in range(3, 9):
            put("a", route(), into="a~")
            await trio.sleep(0.002)
            put("a", route(port=port))
            await trio.sleep(0.002)
            assert not seen.said
        await seen.until(lambda seen: seen.ports == {"fruits": 8})
        assert not seen.said


async def test_a_given_path_that_vanishes_keeps_what_it_held(tmp_path):
    folder, file = tmp_path / "folder", tmp_path / "file.yaml"
    folder.mkdir()
    (folder / "a.yaml").write_text(route("a"))
    file.write_text(route("b"))
    async with follow(folder, file) as seen:
        folder.rename(tmp_path / "away")
        await seen.until(lambda seen: seen.said == [f"{folder}: does not exist any more; its objects are still used"])
        file.unlink()
        await seen.until(lambda seen: len(seen.said) == 2)
        await trio.sleep(QUIET)
        assert seen.ports == {"a": 8080, "b": 8080}
        (tmp_path / "away").rename(folder)
        file.write_text(route("b", 1))
        await seen.until(lambda seen: not seen.said and seen.ports == {"a": 8080, "b": 1})


BURST = """
import pathlib, sys
folder, text = pathlib.Path(sys.argv[1]), sys.stdin.read()
for number in range(100):
    (folder / f"{number}.yaml").write_text(text.replace("name: fruits", f"name: r{number}"))
"""


async def test_a_burst_of_edits_is_one_pass(tmp_path, monkeypatch):
    """Another process writes a hundred files, which takes about ten milliseconds on an idle machine."""
    monkeypatch.setattr(timing, "QUIET", 1.0)
    monkeypatch.setattr(timing, "BURST", PATIENCE)
    monkeypatch.setattr(agenda, "HOLD", PATIENCE)  # on a busy machine, reading a hundred files takes longer than HOLD
    async with follow(tmp_path) as seen:
        for port in (8080, 1):
            seen.states.clear()
            await trio.run_process([sys.executable, "-S", "-c", BURST, tmp_path], stdin=route(port=port).encode())
            await seen.until(lambda seen, port=port: list(seen.ports.values()) == [port] * 100)
            assert len(seen.states) <= 3  # one pass, unless the other process is delayed by more than QUIET


NOISE = """
import sys, time
end = time.monotonic() + 2
while time.monotonic() < end:
    open(sys.argv[1], "a").close()
"""


async def test_noise_around_the_manifests_delays_nothing(tmp_path, monkeypatch):
    """Another process continuously opens and closes one file next to the folder and one in it."""
    monkeypatch.setattr(timing, "BURST", 10 * PATIENCE)
    monkeypatch.setattr(timing, "QUIET", 0.05)
    folder = tmp_path / "in"
    folder.mkdir()
    async with follow(folder) as seen, trio.open_nursery() as nursery:
        for noise in (tmp_path / "log", folder / "log"):
            nursery.start_soon(trio.run_process, [sys.executable, "-S", "-c", NOISE, noise])
        await trio.sleep(QUIET)
        (folder / "a.yaml").write_text(route())
        await seen.until(lambda seen: seen.ports == {"fruits": 8080})
        nursery.cancel_scope.cancel()


async def test_an_edit_that_changes_nothing_is_no_pass(tmp_path):
    (tmp_path / "a.yaml").write_text(route())
    async with follow(tmp_path) as seen:
        (tmp_path / "a.yaml").write_text(
            "# words\n---\n" + route().replace("kind", "'kind'", 1).replace("'kind'", "kind")
        )
        (tmp_path / "b.txt").write_text(route("b"))
        (tmp_path / ".c.yaml").write_text(route("c"))
        await trio.sleep(QUIET)
        assert seen.passes <= 1
        assert seen.ports == {"fruits": 8080}


async def test_namespaces_that_are_only_mentioned(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(route())
    explicit = "apiVersion: v1\nkind: Namespace\nmetadata: {name: infra, labels: {team: x}}\n"
    async with follow(tmp_path) as seen:
        infra = Key("", "infra")
        implied = seen.directory.store.snapshot().namespaces
        assert implied[infra].metadata.labels == {"kubernetes.io/metadata.name": "infra"}
        assert list(implied) == [infra]
        (tmp_path / "n.yaml").write_text(explicit)
        await seen.until(lambda seen: "team" in seen.directory.store.snapshot().namespaces[infra].metadata.labels)
        path.write_text(SERVICE)
        await seen.until(lambda seen: not seen.ports)
        assert list(seen.directory.store.snapshot().namespaces) == [Key("", "apples"), infra]
        (tmp_path / "n.yaml").unlink()
        await seen.until(lambda seen: list(seen.directory.store.snapshot().namespaces) == [Key("", "apples")])
