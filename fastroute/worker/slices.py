"""Slices of work between turns of the engine, and the measure of how long each keeps traffic waiting.

All work that is not traffic is done in slices: messages are received and decoded, tables are built, installed and
freed. A slice begins when the task gets the thread, and ends when it runs a turn of the engine or waits. The CPU time
of the slices from the first message of an installation to its Ack is counted: the main process charges it to the
namespace that caused the installation.
"""

import time

import trio

from fastroute.ext.engine.engine import Engine
from fastroute.ext.reactor.counters import INSTALL_SLOT, CounterMap

SHORTEST, LONGEST = 50e-6, 1e-3  # seconds of work between two turns of the engine
SHARE = 0.5  # the share of the duration of the last turn
OTHERS = 1e-3  # seconds after which trio's other tasks run


class Slices:
    """Interleaves background work with traffic that is ready now.

    The duration of a slice is a share of the duration of the turn before it, so that work continues under full load.
    With little traffic a slice is short, because a request that arrives during it waits for its end.
    """

    def __init__(self, engine: Engine, counters: CounterMap) -> None:
        self._engine = engine
        self._counters = counters
        self._length = SHORTEST
        self._began = time.monotonic()
        self._cpu = time.thread_time()  # at the beginning of this slice
        self._spent = 0.0  # CPU time of the slices before
        self._until = 0.0  # on the same clock
        self._looked_after = 0.0
        self.busy = False  # messages are processed, and the task does not wait for the next one
        self.count = 0  # slices so far: progress

    @property
    def length(self) -> int:
        """Duration of this slice, in microseconds."""
        return int(self._length * 1e6)

    def begin(self) -> None:
        """The task has the thread again after it waited."""
        self.busy = True
        self._resume()

    def end(self) -> None:
        """Call it before the task waits. Notes the duration of the slice."""
        self.busy = False
        self._note_length()

    def _resume(self) -> None:
        self._began, self._cpu = time.monotonic(), time.thread_time()

    def _note_length(self) -> None:
        self._counters.raise_to("worst_install_step", int((time.monotonic() - self._began) * 1e6))
        self._spent += time.thread_time() - self._cpu

    def begin_installation(self) -> None:
        """The first message of an installation was received."""
        self._spent, self._cpu = 0.0, time.thread_time()

    def installed(self, seconds: float) -> None:
        """Counts an installation, from its first message until it is acknowledged."""
        self._counters.observe(INSTALL_SLOT, int(seconds * 1e6))
        self._counters.count("install_cpu", int((self._spent + time.thread_time() - self._cpu) * 1e6))

    async def step_aside(self) -> None:
        """Returns at once within the slice; at its end runs a turn of the engine and begins the next slice."""
        if time.monotonic() >= self._until:
            await self.let_traffic_by()

    async def let_traffic_by(self) -> None:
        """Runs one turn of the engine without waiting, and occasionally all other tasks."""
        self._note_length()
        self.count += 1
        self._engine.hurry()
        began = time.monotonic()
        if self._engine.turn():
            self._engine.wake()
        if began >= self._looked_after + OTHERS:
            await trio.lowlevel.checkpoint()
            self._looked_after = time.monotonic()
        self._resume()
        now = self._began
        self._length = min(max((now - began) * SHARE, SHORTEST), LONGEST)
        self._until = now + self._length
