"""Garbage collections of the main process: how many objects one of them scans, and that no cycle stays for ever."""

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from fastroute import garbage

MANY = 200_000


@pytest.fixture
def bounded() -> Iterator[None]:
    before = gc.get_threshold()
    garbage.begin()
    yield
    gc.callbacks.remove(garbage._freeze_survivors)
    gc.set_threshold(*before)
    gc.unfreeze()


class Node:
    """Part of a cycle."""

    def __init__(self) -> None:
        self.other = self


def test_no_collection_scans_what_was_kept_before(bounded: None) -> None:
    """While objects are read in bulk, each collection of all of them stopped the process, for 200 ms in the end."""
    scanned: list[int] = []

    def count(phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            scanned.append(sum(len(gc.get_objects(generation)) for generation in range(info["generation"] + 1)))

    gc.callbacks.append(count)
    try:
        kept = [[number] for number in range(MANY)]
    finally:
        gc.callbacks.remove(count)
    assert len(kept) == MANY
    assert len(scanned) >= MANY // garbage.YOUNG // 2, "young cycles are collected"
    assert max(scanned) <= 2 * garbage.YOUNG * garbage.YOUNG_COLLECTIONS


def test_a_frozen_cycle_is_freed_when_everything_is_collected(bounded: None) -> None:
    node = Node()
    gc.freeze()
    known = weakref.ref(node)
    del node
    gc.collect()
    assert known() is not None
    garbage.collect_all()
    assert known() is None


async def test_collecting_everything_takes_a_small_share_of_the_time(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[float] = []

    def collect() -> float:
        times.append(trio.current_time())
        return 2.0

    monkeypatch.setattr(garbage, "collect_all", collect)
    with trio.move_on_after(3.0 / garbage.SHARE):
        await garbage.run()
    first, second = times
    assert first >= garbage.PAUSE
    assert second - first >= 2.0 / garbage.SHARE
