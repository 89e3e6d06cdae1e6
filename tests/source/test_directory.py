"""A folder's life, on real folders with the real kernel: what is created, edited, renamed, removed, torn, mended."""

import contextlib
import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import inotify_simple
import pytest
import trio
import trio.testing
from resources.manifests import GATEWAY, HTTP_ROUTE, SERVICE

from fastroute.errors import SourceError
from fastroute.resources.meta import Key
from fastroute.source import directory as timing
from fastroute.source.directory import Directory

FRUITS = Key("infra", "fruits")
PATIENCE = 5.0  # s until a test gives up on something that takes milliseconds
QUIET = 0.1  # s without a pass that count as "nothing happens": several times GRACE and RETRY


def route(name: str = "fruits", port: int = 8080) -> str:
    return HTTP_ROUTE.replace("name: fruits", f"name: {name}").replace("8080", str(port))


def put(name: str, text: str, *, into: str | None = None) -> None:
    """Writes a file in the current folder; `into` another name by renaming, if given."""
    Path(name).write_text(text)
    if into:
        Path(name).rename(into)


class Following:
    """A directory being watched, and the passes it made."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.passes = 0
        self.states: list[dict[str, int]] = []  # `ports` after each pass
        self._passed = trio.Event()

    def note(self, noticed: float) -> None:
        assert noticed <= trio.current_time()
        self.passes += 1
        self.states.append(self.ports)
        self._passed.set()

    async def until(self, condition) -> None:
        """Waits until a state that passes left behind fulfils `condition`."""
        with trio.fail_after(PATIENCE):
            while not condition(self):
                self._passed = trio.Event()
                await self._passed.wait()

    @property
    def ports(self) -> dict[str, int]:
        """The backend's port of each route."""
        routes = self.directory.store.snapshot().http_routes
        return {key.name: item.spec.rules[0].backend_refs[0].port for key, item in routes.items()}

    @property
    def said(self) -> list[str]:
        return [str(problem) for problem in self.directory.store.problems]


@contextlib.asynccontextmanager
async def follow(*paths: Path) -> AsyncIterator[Following]:
    directory = Directory(paths)
    directory.load()
    following = Following(directory)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(directory.watch, following.note)
        await trio.testing.wait_all_tasks_blocked()
        yield following
        nursery.cancel_scope.cancel()


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
    """Writes files as a kubelet's ConfigMap volume does: into a hidden folder, then swaps `..data` to it."""
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


async def test_a_path_that_is_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "GRACE", PATIENCE)
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
        await seen.until(lambda seen: seen.said == [f"{folder}: is gone; what it held is still used"])
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
    """Another process writes a hundred files: some ten milliseconds, on a machine that does nothing else."""
    monkeypatch.setattr(timing, "QUIET", 0.2)
    monkeypatch.setattr(timing, "BURST", PATIENCE)
    async with follow(tmp_path) as seen:
        for port in (8080, 1):
            seen.states.clear()
            await trio.run_process([sys.executable, "-S", "-c", BURST, tmp_path], stdin=route(port=port).encode())
            await seen.until(lambda seen, port=port: list(seen.ports.values()) == [port] * 100)
            assert len(seen.states) <= 3  # one, unless the other process is held up for QUIET


NOISE = """
import sys, time
end = time.monotonic() + 2
while time.monotonic() < end:
    open(sys.argv[1], "a").close()
"""


async def test_noise_around_the_manifests_delays_nothing(tmp_path, monkeypatch):
    """A process opens and closes another file beside the folder, and in it, without pause."""
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


async def test_a_file_being_written_is_not_read_until_it_is_closed(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(route("a") + "---\n" + route("b"))
    async with follow(tmp_path) as seen:
        with path.open("w") as file:
            await trio.sleep(QUIET)
            file.write(route("a", 1))
            file.flush()
            await trio.sleep(QUIET)
            assert seen.ports == {"a": 8080, "b": 8080}
            assert seen.passes == 0
            file.write("---\n" + route("b", 1))
        await seen.until(lambda seen: seen.ports == {"a": 1, "b": 1})
        assert seen.passes == 1


async def test_a_new_file_being_written_waits_too_and_holds_up_nobody(tmp_path):
    async with follow(tmp_path) as seen:
        with (tmp_path / "a.yaml").open("w") as file:
            file.write(route("a"))
            file.flush()
            (tmp_path / "b.yaml").write_text(route("b"))
            await seen.until(lambda seen: seen.ports == {"b": 8080})
        await seen.until(lambda seen: set(seen.ports) == {"a", "b"})


def refuse_leases(descriptor: int, command: int, argument: int = 0) -> int:
    if command == fcntl.F_SETLEASE:
        raise PermissionError(errno.EACCES, "no lease")
    return 0


async def test_without_leases_notices_tell_who_writes(tmp_path, monkeypatch):
    """Another user's file cannot be leased, and another notice makes us look at it while it is being written."""
    monkeypatch.setattr(fcntl, "fcntl", refuse_leases)
    path = tmp_path / "a.yaml"
    path.write_text(route("a") + "---\n" + route("b"))
    async with follow(tmp_path) as seen:
        with path.open("w") as file:
            file.write(route("a", 1))
            file.flush()
            await trio.sleep(QUIET)
            (tmp_path / "folder").mkdir()
            await trio.sleep(QUIET)
            assert seen.ports == {"a": 8080, "b": 8080}
            file.write("---\n" + route("b", 1))
        await seen.until(lambda seen: seen.ports == {"a": 1, "b": 1})
        assert seen.states == [{"a": 1, "b": 1}]


def test_the_first_pass_waits_for_what_is_being_written(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "FIRST_WAIT", PATIENCE)
    path = tmp_path / "a.yaml"
    path.write_text(route("a"))
    command = "import sys, time; file = open(sys.argv[1], 'a'); time.sleep(0.2); file.write(sys.stdin.read())"
    writer = subprocess.Popen([sys.executable, "-S", "-c", command, path], stdin=subprocess.PIPE)
    writer.stdin.write(("---\n" + route("b")).encode())
    writer.stdin.close()
    while not isinstance(timing.content.read(str(path)), timing.Unfinished):
        assert writer.poll() is None
    directory = Directory([tmp_path])
    directory.load()
    assert set(Following(directory).ports) == {"a", "b"}
    assert writer.wait() == 0


def test_the_first_pass_does_not_wait_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "FIRST_WAIT", 0.02)
    with (tmp_path / "a.yaml").open("w") as file:
        file.write(route())
        file.flush()
        directory = Directory([tmp_path])
        directory.load()
    assert Following(directory).ports == {"fruits": 8080}


async def test_a_file_held_open_for_long_is_read_when_it_rests(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "HELD_OPEN", 0.05)
    async with follow(tmp_path) as seen:
        with (tmp_path / "a.yaml").open("w") as file:
            file.write(route())
            file.flush()
            await seen.until(lambda seen: seen.ports == {"fruits": 8080})


WRITER = """
import sys
path, pause = sys.argv[1], float(sys.argv[2])
text = sys.stdin.read()
import time
for version in range(9000, 9040):
    with open(path, "w", buffering=1) as file:
        for line in text.replace("8080", str(version)).splitlines(keepends=True):
            file.write(line)
    time.sleep(pause)
"""


@pytest.mark.parametrize("pause", [0.0, 0.004])
async def test_no_state_between_two_versions_is_ever_seen(tmp_path, pause):
    """Another process rewrites two routes line by line: each pass shows both routes, of one version."""
    path = tmp_path / "a.yaml"
    text = route("a") + "---\n" + route("b")
    path.write_text(text)
    async with follow(tmp_path) as seen:
        process = await trio.run_process([sys.executable, "-c", WRITER, path, str(pause)], stdin=text.encode())
        assert process.returncode == 0
        await seen.until(lambda seen: seen.ports == {"a": 9039, "b": 9039})
        versions = [state["a"] for state in seen.states]
        assert seen.states == [{"a": version, "b": version} for version in versions]
        assert versions == sorted(versions)


async def test_a_file_removed_and_written_anew_never_takes_its_routes_away(tmp_path, monkeypatch):
    """As vim (moves the old file away first), git and `sed -i` without rename do it. (A busy machine is slower.)"""
    monkeypatch.setattr(timing, "GRACE", PATIENCE)
    path = tmp_path / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path) as seen:
        for port in range(1, 30):
            path.rename(tmp_path / "a.yaml~")
            await trio.sleep(0.001)
            path.write_text(route(port=port))
            await trio.sleep(0.002)
            assert set(seen.ports) == {"fruits"}
        await seen.until(lambda seen: seen.ports == {"fruits": 29})
        path.write_text("")
        await trio.sleep(0.001)
        path.write_text(route(port=1))
        await seen.until(lambda seen: seen.ports == {"fruits": 1})


async def test_an_emptied_file_is_believed_after_a_moment(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path) as seen:
        path.write_text("")
        await seen.until(lambda seen: seen.ports == {})


async def test_broken_then_mended(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(route("a") + "---\n" + route("b"))
    async with follow(tmp_path) as seen:
        path.write_text(route("a", 0) + "---\n" + route("b", 1))
        await seen.until(lambda seen: seen.ports == {"a": 8080, "b": 1})
        place = f"{path}:14:11: HTTPRoute infra/a: spec.rules[0].backendRefs[0].port"
        assert seen.said == [f"{place}: must be an integer from 1 to 65535, got 0"]
        path.write_text("spec: [\n---\n" + route("b", 2))
        await seen.until(lambda seen: seen.ports == {"a": 8080, "b": 2})
        assert len(seen.said) == 1
        path.write_text(route("a", 3))
        await seen.until(lambda seen: seen.ports == {"a": 3})
        assert not seen.said


async def test_a_broken_object_at_the_start_is_left_out(tmp_path):
    (tmp_path / "a.yaml").write_text(route("a", 0) + "---\n" + route("b"))
    async with follow(tmp_path) as seen:
        assert seen.ports == {"b": 8080}
        assert len(seen.said) == 1


async def test_the_same_object_twice(tmp_path):
    one, two = tmp_path / "1.yaml", tmp_path / "2.yaml"
    two.write_text("# words\n" + route(port=2))
    async with follow(tmp_path) as seen:
        one.write_text(GATEWAY + "---\n" + route(port=1))
        await seen.until(lambda seen: seen.ports == {"fruits": 1})
        assert seen.said == [
            f"{two}:1: HTTPRoute infra/fruits: is also defined at {one}:12, which comes first and is used"
        ]
        one.write_text(GATEWAY + "---\n" + route(port=0))
        await seen.until(lambda seen: len(seen.said) == 2)
        assert seen.ports == {"fruits": 1}
        one.unlink()
        await seen.until(lambda seen: seen.ports == {"fruits": 2})
        assert not seen.said


async def test_the_same_object_twice_in_one_file_and_in_the_second_path(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "z.yaml").write_text(route(port=2))
    (tmp_path / "b" / "a.yaml").write_text(route(port=1) + "---\n" + route(port=3))
    async with follow(tmp_path / "b", tmp_path / "a") as seen:
        assert seen.ports == {"fruits": 1}
        assert [line.partition(": ")[0].removeprefix(str(tmp_path)) for line in seen.said] == [
            "/b/a.yaml:15",
            "/a/z.yaml:1",
        ]


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


async def test_a_file_that_becomes_unreadable_keeps_everything(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path) as seen:
        path.write_bytes(b"\xff" + route().encode())
        await seen.until(lambda seen: seen.said == [f"{path}:1: is not UTF-8 text"])
        assert seen.ports == {"fruits": 8080}
        path.unlink()
        path.symlink_to("a.yaml")  # a link to itself
        await seen.until(lambda seen: seen.said == [f"{path}: cannot be read: Too many levels of symbolic links"])
        assert seen.ports == {"fruits": 8080}


async def test_an_error_of_ours_takes_nothing_away(tmp_path, monkeypatch, caplog):
    path = tmp_path / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path) as seen:
        with monkeypatch.context() as broken:
            broken.setattr(timing.manifest, "read", lambda *_: 1 / 0)
            path.write_text(route(port=1))
            said = f"{path}: cannot be read because of an error in fastroute (see its log)"
            await seen.until(lambda seen: seen.said == [said])
        assert seen.ports == {"fruits": 8080}
        assert "ZeroDivisionError" in caplog.text
        path.write_text(route(port=2))
        await seen.until(lambda seen: seen.ports == {"fruits": 2} and not seen.said)


async def test_what_no_notice_tells_is_found_by_looking(tmp_path, monkeypatch):
    """A write under another name of the file, in a folder that is not watched, raises no notice."""
    monkeypatch.setattr(timing, "RESCAN", 0.05)
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path / "in") as seen:
        os.link(path, tmp_path / "other")
        (tmp_path / "other").write_text(route(port=1))
        await seen.until(lambda seen: seen.ports == {"fruits": 1})


@pytest.mark.parametrize("refused", ["__init__", "add_watch"])
async def test_where_the_kernel_will_not_tell_looking_does(tmp_path, monkeypatch, caplog, refused):
    """The kernel's limits count for all processes of a user, so a test does not use them up."""

    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "limit")

    monkeypatch.setattr(inotify_simple.INotify, refused, refuse)
    monkeypatch.setattr(timing, "DEAF_RESCAN", 0.02)
    path = tmp_path / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path) as seen:
        path.write_text(route(port=1))
        await seen.until(lambda seen: seen.ports == {"fruits": 1})
    [warning] = caplog.messages
    assert "No space left on device; raise the limit with: sysctl fs.inotify.max_user_" in warning


def test_a_missing_path_cannot_be_started_with(tmp_path):
    with pytest.raises(SourceError, match="No such file or directory"):
        Directory([tmp_path / "no"]).load()


async def test_a_command_of_the_shell_that_is_slow_to_begin(tmp_path):
    """`(sleep 0.1; cat) > file`: the shell truncates the file long before anything is written."""
    path = tmp_path / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path) as seen:
        command = ["sh", "-c", f"(sleep 0.1; printf '%s' \"$TEXT\") > {path}"]
        await trio.run_process(command, env={**os.environ, "TEXT": route(port=1)})
        await seen.until(lambda seen: seen.ports == {"fruits": 1})
        assert seen.states == [{"fruits": 1}]
