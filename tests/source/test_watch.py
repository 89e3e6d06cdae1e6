"""Notices of the kernel: read in portions, merged by file, and muted where there are too many of them."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from fastroute.source import watch as timing
from fastroute.source.content import Missing, Unfinished, Whole
from fastroute.source.doubts import LONGEST_RETRY, Doubts
from fastroute.source.folder import Stamp
from fastroute.source.watch import Notice, Watch

MANY = 2_000


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    with Watch() as made:
        await made.follow([str(tmp_path)])
        yield made


def names(notices: list[Notice | None]) -> list[str]:
    return [notice.name for notice in notices if notice]


async def test_notices_about_one_file_are_merged(tmp_path: Path, watch: Watch) -> None:
    with (tmp_path / "a").open("w", buffering=1) as a, (tmp_path / "b").open("w", buffering=1) as b:
        for _ in range(100):
            print("a", file=a)
            print("b", file=b)
    created, *rest = watch.take_nowait()
    assert created == Notice(str(tmp_path), "a", is_written=True) or names([created]) == ["a"]
    assert len(rest) <= 3
    assert [notice for notice in rest if notice and notice.whole]


async def test_the_last_notice_about_a_file_says_whether_it_is_being_written(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "a"
    path.write_text("1")
    with path.open("a", buffering=1) as file:
        print("2", file=file)
        assert [notice.is_written for notice in watch.take_nowait() if notice] == [False, True]
    assert [(notice.is_written, notice.whole) for notice in watch.take_nowait() if notice] == [(False, True)]


async def test_many_notices_are_read_in_portions(tmp_path: Path, watch: Watch) -> None:
    for number in range(MANY):
        (tmp_path / f"{number}").touch()
    portions = []
    while portion := watch.take_nowait():
        portions.append(len(portion))
    assert sum(portions) >= MANY
    assert max(portions) <= timing.PORTION // 32


async def test_a_folder_with_many_writes_is_muted_for_a_while(
    tmp_path: Path, watch: Watch, mock_clock: MockClock
) -> None:
    descriptors = [os.open(tmp_path / f"{number}", os.O_WRONLY | os.O_CREAT) for number in range(MANY)]
    while watch.take_nowait():
        pass
    assert not watch.is_muted(str(tmp_path))
    for descriptor in descriptors:
        os.write(descriptor, b"1")
    assert watch.take_nowait()
    assert watch.is_muted(str(tmp_path))
    while watch.take_nowait():
        pass
    for descriptor in descriptors:
        os.write(descriptor, b"2")
    assert watch.take_nowait() == [], "the kernel reports no writes"
    os.close(descriptors.pop())
    assert names(watch.take_nowait()) == [f"{MANY - 1}"], "but it reports that a file was closed"
    mock_clock.jump(timing.MUTED)
    watch.take_nowait()
    assert not watch.is_muted(str(tmp_path))
    os.write(descriptors[0], b"3")
    assert watch.take_nowait() == [Notice(str(tmp_path), "0", is_written=True)]
    for descriptor in descriptors:
        os.close(descriptor)


async def test_a_folder_is_muted_no_longer_although_nothing_happens(
    tmp_path: Path, watch: Watch, mock_clock: MockClock
) -> None:
    for number in range(MANY):
        (tmp_path / f"{number}").touch()
        os.utime(tmp_path / f"{number}")
    while watch.take_nowait():
        pass
    began, mock_clock.autojump_threshold = trio.current_time(), 0
    with trio.move_on_after(10 * timing.MUTED):
        await watch.wait()
    assert trio.current_time() - began == timing.MUTED
    watch.take_nowait()
    os.truncate(tmp_path / "0", 1)
    assert watch.take_nowait() == [Notice(str(tmp_path), "0", is_written=True)]


async def test_a_muted_folder_that_is_removed_does_no_harm(tmp_path: Path, watch: Watch, mock_clock: MockClock) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    await watch.follow([str(folder)])
    for number in range(MANY):
        (folder / f"{number}").touch()
        os.utime(folder / f"{number}")
    while watch.take_nowait():
        pass
    assert watch.is_muted(str(folder))
    for number in range(MANY):
        (folder / f"{number}").unlink()
    folder.rmdir()
    while watch.take_nowait():
        pass
    mock_clock.jump(timing.MUTED)
    assert watch.take_nowait() == []
    assert not watch.is_muted(str(folder))


def stamp(number: int) -> Stamp:
    return Stamp((0, 0), 1, number)


def test_a_file_that_is_written_for_ever_is_read_ever_more_rarely() -> None:
    doubts, now, reads = Doubts(), 0.0, 0
    assert not doubts.believe("a", Unfinished(stamp(0)), now, defines=True)
    while now < 100:
        now = doubts.next
        assert [path for path, _ in doubts.due(now)] == ["a"]
        reads += 1
        assert not doubts.believe("a", Unfinished(stamp(reads)), now, defines=True)
    assert reads < 100 / LONGEST_RETRY + 30
    assert doubts.held_open("a", now) == 0.0


def test_a_file_that_rests_is_known_to_be_held_open() -> None:
    doubts = Doubts()
    for now in (1.0, 2.0, 3.0):
        assert not doubts.believe("a", Unfinished(stamp(0)), now, defines=True)
    assert doubts.held_open("a", 4.0) == 3.0
    assert doubts.believe("a", Whole(b"a", stamp(0)), 5.0, defines=True)
    assert doubts.held_open("a", 6.0) == 5.0, "as long as it is not read"
    doubts.forget("a")
    assert doubts.held_open("a", 6.0) == 0.0


def test_a_file_that_is_removed_is_leaving_until_that_is_believed() -> None:
    doubts = Doubts()
    assert doubts.believe("new", Missing(), 0.0, defines=False)
    assert not doubts.believe("a", Missing(), 0.0, defines=True)
    assert doubts.leaving == {"a"}
    assert doubts.believe("a", Missing(), doubts.next, defines=True)
    assert doubts.believe("a", Missing(), doubts.next, defines=True), "as long as it is not read"
    assert doubts.leaving == {"a"}
    doubts.forget("a")
    assert doubts.leaving == set()
