"""Long calculations beside the event loop: in slices, one thread at a time."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

from fastroute.source import slices
from fastroute.source.slices import Rests, Slices


async def test_between_two_slices_everything_else_runs() -> None:
    """The clock moves with each look at it, so each slice ends at the first pause. The other task takes many steps."""
    time, steps = 0.0, 0
    seen: list[int] = []

    def clock() -> float:
        nonlocal time
        time += 1.0
        return time

    def count(pause: Callable[[], None]) -> int:
        for _ in range(3):
            seen.append(steps)
            pause()
        return 7

    async def other() -> None:
        nonlocal steps
        for _ in range(100):
            await trio.lowlevel.checkpoint()
            steps += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        assert await Slices(clock).run(count) == 7
    assert seen == [0, 100, 100]


async def test_calculations_never_run_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SHORTEST", 0.0)
    monkeypatch.setattr(slices, "LONGEST", 0.0)
    running, most, threads = 0, 0, set()
    several = Slices()

    def work(pause: Callable[[], None]) -> None:
        nonlocal running, most
        threads.add(threading.get_ident())
        for _ in range(50):
            running += 1
            most = max(most, running)
            running -= 1
            pause()

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(several.run, work)
    assert most == 1
    assert len(threads) == 4


async def test_an_error_is_raised_where_the_result_is_awaited() -> None:
    def broken(pause: Callable[[], None]) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Slices().run(broken)


async def test_a_cancelled_calculation_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SHORTEST", 0.0)
    monkeypatch.setattr(slices, "LONGEST", 0.0)
    steps = 0

    def endless(pause: Callable[[], None]) -> Any:
        nonlocal steps
        while True:
            steps += 1
            pause()

    with trio.move_on_after(0.05):
        await Slices().run(endless)
    after = steps
    await trio.sleep(0.01)
    assert steps == after


def test_a_thread_rests_as_long_as_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause comes after a quarter of a slice of work."""
    now, slept = 0.0, 0.0

    def sleep(seconds: float) -> None:
        nonlocal now, slept
        now += seconds
        slept += seconds

    monkeypatch.setattr("time.perf_counter", lambda: now)
    monkeypatch.setattr("time.sleep", sleep)
    rests = Rests()
    for _ in range(400):
        rests.pause()
        now += slices.SHORTEST / 4
    assert slept == pytest.approx(now / 2, rel=0.1)
