"""Slices: runs long calculations beside the event loop, in slices of about a millisecond.

Decoding a file of thousands of routes takes half a second. A function that calls `pause` often enough can be run here:
it runs in a thread of its own, but only while the event loop waits for it, so the two never compete for the GIL, and
nothing runs at the same time. Between two slices, all other tasks run until they wait for something. Under load a slice
is longer, so that the calculation gets its share.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import trio
from trio.testing import wait_all_tasks_blocked

SHORTEST, LONGEST = 0.001, 0.003  # s of a slice
SHARE = 0.5  # of the time since the last slice
LONGEST_WAIT = 0.02  # s between two slices, if other tasks are always busy

T = TypeVar("T")


async def step_aside() -> None:
    """Lets all other tasks run until each of them waits for something, at most for LONGEST_WAIT.

    For work of which there is much. A checkpoint is not enough: a change is served in several steps of several tasks,
    and they would alternate with the steps of this work.
    """
    with trio.move_on_after(LONGEST_WAIT):
        await wait_all_tasks_blocked()


class Slices:
    """`clock`: seconds, any zero."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._running = 0  # calculations, which share the time of a slice

    async def run(self, function: Callable[[Callable[[], None]], T]) -> T:
        """The result of `function(pause)`. If cancelled, the function is left as it is, paused for ever."""
        call = _Call(function, self._clock)
        self._running += 1
        ended = self._clock()
        try:
            while not call.step(self._length(ended) / self._running):
                ended = self._clock()
                await step_aside()
        finally:
            self._running -= 1
        return call.result()

    def _length(self, ended: float) -> float:
        return min(max(SHARE * (self._clock() - ended), SHORTEST), LONGEST)


class TooLongError(Exception):
    """The calculation takes longer than it may in one step."""


class Limit:
    """`pause` for a calculation that is made at once if it is short, and otherwise again in slices."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._until = clock() + seconds

    def pause(self) -> None:
        if self._clock() >= self._until:
            raise TooLongError


class Rests:
    """`pause` for a thread that runs beside the event loop, because system calls may block it: it sleeps for as long as
    it worked, so that the two rarely compete for the GIL."""

    def __init__(self) -> None:
        self._until = 0.0

    def pause(self) -> None:
        if time.perf_counter() >= self._until:
            time.sleep(SHORTEST)
            self._until = time.perf_counter() + SHORTEST


class _Call(Generic[T]):
    """A function that runs in its own thread, only during `step`."""

    def __init__(self, function: Callable[[Callable[[], None]], T], clock: Callable[[], float]) -> None:
        self._function, self._clock = function, clock
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._until = 0.0
        self._result: Any = None
        self._error: BaseException | None = None
        self._is_over = False
        threading.Thread(target=self._run, name="slices", daemon=True).start()

    def step(self, seconds: float) -> bool:
        """Lets the function run for about so long. True if it has ended."""
        self._until = self._clock() + seconds
        self._go.release()
        self._back.acquire()
        return self._is_over

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[no-any-return]

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._result = self._function(self._pause)
        except BaseException as error:  # raised by `result`
            self._error = error
        self._is_over = True
        self._back.release()

    def _pause(self) -> None:
        if self._clock() >= self._until:
            self._back.release()
            self._go.acquire()
