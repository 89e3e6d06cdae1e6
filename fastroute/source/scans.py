"""Scans: when the given paths are scanned, and how: at once if that is short, else in a thread.

A scan in the event loop ends after LONG_SCAN, whatever the folders contain: 120,000 files that were moved into a folder
stopped it for 3 s. Then the scan begins again in a thread.
"""

import math
import time
from collections.abc import Iterable
from pathlib import Path

import trio

from fastroute.resources.document import Pause, no_pause
from fastroute.source import walk
from fastroute.source.folder import Scan
from fastroute.source.slices import Limit, Rests, TooLongError, step_aside

FOUND = 500  # files of a scan that are processed at a time
LONG_SCAN = 0.005  # s; longer scans are made in a thread
RESCAN = 10.0  # s
SCAN_GAP = 2.0  # times as long as the last scan took: the time until the next one at the earliest
DEAF_RESCAN = 0.5  # s


class Scans:
    """Times are on trio's clock."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.next = 0.0  # when the next one is due
        self._paths = tuple(paths)
        self._earliest = 0.0
        self._took = 0.0  # s

    def ask(self) -> None:
        """Something may have changed that only a scan finds."""
        self.next = min(self.next, self._earliest)

    def begin(self) -> None:
        """A scan begins: no other one is due until its `end`."""
        self.next = math.inf

    def end(self, now: float, *, is_new: bool, is_deaf: bool) -> None:
        """The result of a scan was taken. `is_new`: it found a folder that was not watched before."""
        self._earliest = now + SCAN_GAP * self._took
        self.next = self._earliest if is_new else now + (DEAF_RESCAN if is_deaf else RESCAN)

    def whole(self, pause: Pause = no_pause) -> Scan:
        """Scans everything."""
        began = time.perf_counter()
        try:
            return walk.scan(self._paths, pause)
        finally:
            self._took = time.perf_counter() - began

    def short(self) -> Scan | None:
        """Scans everything. None: that takes too long."""
        if self._took > LONG_SCAN:
            return None
        try:
            return self.whole(Limit(LONG_SCAN).pause)
        except TooLongError:
            return None

    async def apart(self) -> Scan:
        """Scans everything in a thread."""
        return await trio.to_thread.run_sync(self.whole, Rests().pause)


async def free(scan: Scan) -> None:
    """Frees what a scan found, in lots."""
    for found in (scan.files, scan.ranks):
        while len(found) > FOUND:
            for _ in range(FOUND):
                found.popitem()
            await step_aside()
