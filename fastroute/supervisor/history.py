"""History: readings of the workers' counters, from which the admin API computes rates.

The counters are read every PERIOD seconds, in a thread, whether anybody asks or not: so the first question has an
answer. If a reading is expensive (thousands of series), the next one comes later.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

import trio

from fastroute.ext.reactor.counters import BOUNDS, TRAFFIC, CounterMap, summed_histograms
from fastroute.supervisor.slots import SlotBook
from fastroute.view.traffic import NO_TRAFFIC, Reading, Traffic, traffic_between

PERIOD = 5.0  # seconds
KEPT = 3  # readings: what is shown is at least (KEPT - 1) and at most KEPT periods long
SHARE = 200  # a reading follows after at least this many times the CPU time of the last one


class History:
    """Any thread may call `traffic`."""

    def __init__(self, maps: Sequence[CounterMap], book: SlotBook, clock: Callable[[], float] = time.monotonic) -> None:
        self._maps, self._book, self._clock = maps, book, clock
        self._readings: deque[Reading] = deque(maxlen=KEPT)

    async def run(self) -> None:
        while True:
            cost = await trio.to_thread.run_sync(self.note, self._clock())
            await trio.sleep(max(PERIOD, cost * SHARE))

    def note(self, now: float) -> float:
        """Adds a reading; returns its CPU time."""
        began = time.thread_time()
        self._readings.append(self._read(now))
        return time.thread_time() - began

    def traffic(self) -> Traffic:
        """From the oldest reading until now; nothing is known until that is PERIOD long."""
        readings = tuple(self._readings)
        if not readings:
            return NO_TRAFFIC
        now = self._read(self._clock())
        if now.time < readings[0].time + PERIOD:  # a rate of a moment is far off
            return NO_TRAFFIC
        # Copies, because the main loop changes them.
        requests, durations = dict(self._book.requests.owners), dict(self._book.durations.owners)
        return traffic_between(readings[0], now, requests, durations, BOUNDS)

    def _read(self, now: float) -> Reading:
        """The sums over all workers. Series that share a slot one after another need no care: a slot is
        unused for minutes before it is assigned again."""
        requests: Counter[tuple[int, int]] = Counter()
        calls: Counter[tuple[int, int]] = Counter()
        connections: Counter[int] = Counter()
        end = self._book.requests.end()
        for one in self._maps:
            for slot, code, count in one.used_requests(end):
                requests[slot, code] += count
            for slot, code, count in one.used_calls(end):
                calls[slot, code] += count
            for slot, code, count in one.used_traffic(end):
                connections[slot] += count if code == TRAFFIC["connections"] else 0
        durations = summed_histograms(self._maps, *self._book.durations.range())
        return Reading(now, requests, calls, connections, durations)
