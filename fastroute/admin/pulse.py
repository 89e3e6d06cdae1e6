"""Whether the event loop of the main process runs. /healthz answers from another thread, so the fact that it answers
does not show that the main loop runs."""

import time
from collections.abc import Callable

import trio

BEAT = 0.5  # seconds between two beats
SILENT = 15.0  # seconds without a beat after which the main loop counts as hung; the longest passes take a few seconds


class Pulse:
    """The main loop calls `beat` regularly. Any thread may read the age of the last beat."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    @property
    def age(self) -> float:
        """Seconds since the last beat."""
        return self._clock() - self._last

    def beat(self) -> None:
        self._last = self._clock()

    async def run(self) -> None:
        while True:
            self.beat()
            await trio.sleep(BEAT)
