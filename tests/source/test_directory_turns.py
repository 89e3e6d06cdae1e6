"""Bulk changes of one team do not delay those of another, and files that belong together take effect together."""

import contextlib
import math
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
from resources.manifests import HTTP_ROUTE
from source.following import PATIENCE, Following, follow

from fastroute.source import agenda, directory, slices, walk
from fastroute.source import scans as scanning
from fastroute.source.manifest import Manifest
from fastroute.source.watch import PORTION, Notice, Watch

MANY = 200


def route(space: str, name: str, port: int) -> str:
    text = HTTP_ROUTE.replace("name: fruits", f"name: {name}").replace("8080", str(port))
    return text.replace("namespace: infra", f"namespace: {space}")


def bulk(port: int) -> str:
    return "---\n".join(route("bulk", f"b{number}", port) for number in range(MANY))


@pytest.fixture
def stepwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file in each round, one pause in each slice, so that only the order counts; bursts wait for as long as they
    must."""
    monkeypatch.setattr(directory, "ROUND", 0.0)
    monkeypatch.setattr(slices, "SHORTEST", 0.0)
    monkeypatch.setattr(slices, "LONGEST", 0.0)
    monkeypatch.setattr(agenda, "HOLD", PATIENCE)


def states(seen: Following) -> list[tuple[set[int], int | None]]:
    """After each round: the ports of the routes of `bulk`, and that of the victim."""
    return [
        ({port for name, port in state.items() if name.startswith("b")}, state.get("victim")) for state in seen.states
    ]


@pytest.mark.parametrize("form", ["documents", "list", "slow"])
async def test_a_large_file_does_not_delay_a_small_one(
    tmp_path: Path, stepwise: Any, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The victim's file is written when the other one is being read, and is served first. `slow`: the other one is not
    large, but takes long."""
    if form == "slow":
        monkeypatch.setattr(directory, "LARGE", 1_000_000)
        monkeypatch.setattr(directory, "AT_ONCE", 0.0)

    def text(port: int) -> str:
        if form != "list":
            return bulk(port)
        items = "".join("- " + part.replace("\n", "\n  ").rstrip(" ") for part in bulk(port).split("---\n"))
        return f"apiVersion: v1\nkind: List\nitems:\n{items}"

    (tmp_path / "bulk.yaml").write_text(text(1))
    (tmp_path / "victim.yaml").write_text(route("victim", "victim", 1))
    async with follow(tmp_path) as seen:
        assert form == "slow" or len(text(2)) > directory.LARGE
        (tmp_path / "bulk.yaml").write_text(text(2))
        with trio.fail_after(PATIENCE):
            while not seen.directory._apart:  # noqa: ASYNC110 (no event reports it)
                await trio.sleep(0.001)
        (tmp_path / "victim.yaml").write_text(route("victim", "victim", 2))
        await seen.until(lambda seen: states(seen)[-1:] == [({2}, 2)])
        assert ({1}, 2) in states(seen)


async def test_many_files_do_not_delay_one_of_another_team(tmp_path: Path, stepwise: Any) -> None:
    for number in range(MANY):
        (tmp_path / f"b{number}.yaml").write_text(route("bulk", f"b{number}", 1))
    (tmp_path / "victim.yaml").write_text(route("victim", "victim", 1))
    async with follow(tmp_path) as seen:
        reads: Counter[str] = Counter()
        original = seen.directory._read

        def read(path: str, *more: Any) -> Any:
            reads[Path(path).name[0]] += 1
            if reads.total() == 20:
                (tmp_path / "victim.yaml").write_text(route("victim", "victim", 2))
            return original(path, *more)

        seen.directory._read = read  # type: ignore[method-assign]
        for number in range(MANY):
            (tmp_path / f"b{number}.yaml").write_text(route("bulk", f"b{number}", 2))
        await seen.until(lambda seen: (states(seen) or [(0, 0)])[-1][1] == 2)
        assert reads["b"] < MANY / 2
        await seen.until(lambda seen: states(seen)[-1:] == [({2}, 2)])
        assert all(len(ports) == 1 for ports, _ in states(seen)), "the burst of a team takes effect at once"


async def test_files_that_are_written_without_pause_do_not_delay_one_of_another_team(
    tmp_path: Path, stepwise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process holds many files open and writes to all of them before each look at the notices."""
    files = [tmp_path / f"b{number}.yaml" for number in range(2_000)]
    for number, path in enumerate(files):
        path.write_text(route("bulk", f"b{number}", 1))
    (tmp_path / "victim.yaml").write_text(route("victim", "victim", 1))
    async with follow(tmp_path) as seen:
        sizes: list[int] = []
        original = Watch.take_nowait
        with contextlib.ExitStack() as held, monkeypatch.context() as patch:
            writing = [held.enter_context(path.open("r+b", buffering=0)) for path in files]

            def take(watch: Watch) -> list[Notice | None]:
                for file in writing:
                    os.pwrite(file.fileno(), b"#", 0)
                sizes.append(len(found := original(watch)))
                return found

            patch.setattr(Watch, "take_nowait", take)
            (tmp_path / "victim.yaml").write_text(route("victim", "victim", 2))
            await seen.until(lambda seen: seen.ports["victim"] == 2)
            assert max(sizes) <= PORTION / 32
            assert len(sizes) < 20


async def test_folders_that_are_made_without_pause_do_not_cause_scans_without_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "SCAN_GAP", math.inf)
    (tmp_path / "victim.yaml").write_text(route("victim", "victim", 1))
    scans = 0
    original = walk.scan

    def scan(paths: Any, pause: Any) -> Any:
        nonlocal scans
        scans += 1
        (tmp_path / f"folder{scans}").mkdir()
        return original(paths, pause)

    monkeypatch.setattr(walk, "scan", scan)
    async with follow(tmp_path) as seen:
        (tmp_path / "victim.yaml").write_text(route("victim", "victim", 2))
        await seen.until(lambda seen: seen.ports == {"victim": 2})
        assert scans <= 5  # one of `load`, two of `watch`, which are repeated in a thread if they take long


async def test_an_object_that_moves_to_another_file_never_disappears(tmp_path: Path, stepwise: Any) -> None:
    for number in range(20):
        (tmp_path / f"a{number}.yaml").write_text(route("bulk", f"b{number}", 1))
    async with follow(tmp_path) as seen:
        for number in range(20):
            (tmp_path / f"a{number}.yaml").write_text(route("bulk", f"c{number}", 1))
            (tmp_path / f"z{number}.yaml").write_text(route("bulk", f"b{number}", 2))
        await seen.until(lambda seen: ({2}, None) in states(seen)[-1:])
        assert all(f"b{number}" in state for state in seen.states for number in range(20))


async def test_a_large_file_that_is_written_again_while_it_is_read_is_read_again(tmp_path: Path, stepwise: Any) -> None:
    (tmp_path / "bulk.yaml").write_text(bulk(1))
    async with follow(tmp_path) as seen:
        (tmp_path / "bulk.yaml").write_text(bulk(2))
        with trio.fail_after(PATIENCE):
            while not seen.directory._apart:  # noqa: ASYNC110 (no event reports it)
                await trio.sleep(0.001)
        (tmp_path / "bulk.yaml").write_text(bulk(3))
        await seen.until(lambda seen: ({3}, None) in states(seen)[-1:])


async def test_a_large_file_that_is_removed_while_it_is_read_is_gone(tmp_path: Path, stepwise: Any) -> None:
    (tmp_path / "bulk.yaml").write_text(bulk(1))
    async with follow(tmp_path) as seen:
        (tmp_path / "bulk.yaml").write_text(bulk(2))
        with trio.fail_after(PATIENCE):
            while not seen.directory._apart:  # noqa: ASYNC110 (no event reports it)
                await trio.sleep(0.001)
        (tmp_path / "bulk.yaml").unlink()
        await seen.until(lambda seen: seen.ports == {})


async def test_thousands_of_repeated_definitions_are_found_with_one_look_at_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    original = Manifest.lines

    def lines(manifest: Manifest) -> Any:
        nonlocal looks
        looks += 1
        return original(manifest)

    monkeypatch.setattr(Manifest, "lines", lines)
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(bulk(1))
    async with follow(tmp_path) as seen:
        assert len(seen.said) == MANY
        assert looks == 2
        (tmp_path / "victim.yaml").write_text(route("victim", "victim", 1))
        await seen.until(lambda seen: "victim" in seen.ports)
        assert looks == 2, "other files change nothing"
        (tmp_path / "b.yaml").write_text("# moved\n" + bulk(1))
        await seen.until(lambda seen: looks == 4)
        assert len(seen.said) == MANY


async def test_long_scans_do_not_delay_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new folder makes a scan of everything necessary, which is slow here."""
    (tmp_path / "victim.yaml").write_text(route("victim", "victim", 1))
    async with follow(tmp_path) as seen:
        monkeypatch.setattr(scanning, "LONG_SCAN", 0.0)
        go = trio.Event()
        original = walk.scan

        def slow(paths: Any, pause: Any) -> Any:
            trio.from_thread.run(go.wait)
            return original(paths, pause)

        monkeypatch.setattr(walk, "scan", slow)
        (tmp_path / "new").mkdir()
        (tmp_path / "new/b.yaml").write_text(route("bulk", "b", 1))
        with trio.fail_after(PATIENCE):
            while not seen.directory._scanning:  # noqa: ASYNC110 (no event reports it)
                await trio.sleep(0.001)
        (tmp_path / "victim.yaml").write_text(route("victim", "victim", 2))
        await seen.until(lambda seen: seen.ports == {"victim": 2})
        go.set()
        await seen.until(lambda seen: seen.ports == {"victim": 2, "b": 1})


async def test_a_scan_that_turns_out_to_be_long_continues_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first scans were short. Then a folder of 120,000 files stopped the event loop for 3 s."""
    (tmp_path / "victim.yaml").write_text(route("victim", "victim", 1))
    async with follow(tmp_path) as seen:
        threads: list[bool] = []
        original = walk.scan

        def scan(paths: Any, pause: Any) -> Any:
            threads.append(threading.current_thread() is not threading.main_thread())
            if not threads[-1]:
                while True:  # as if it found files without end
                    pause()
            return original(paths, pause)

        monkeypatch.setattr(walk, "scan", scan)
        (tmp_path / "new").mkdir()
        (tmp_path / "new/b.yaml").write_text(route("bulk", "b", 1))
        await seen.until(lambda seen: seen.ports == {"victim": 1, "b": 1})
        assert threads[:2] == [False, True]


async def test_files_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "victim.yaml").write_text(route("victim", "victim", 1))
    async with follow(tmp_path) as seen:
        for number in range(20):
            path = tmp_path / f"b{number}.yaml"
            path.write_text(route("bulk", "b", number + 1))
            await seen.until(lambda seen, number=number: seen.ports.get("b") == number + 1)
            path.unlink()
            await seen.until(lambda seen: "b" not in seen.ports)
        assert set(seen.directory._ranks) == {str(tmp_path / "victim.yaml")}
