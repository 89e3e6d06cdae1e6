"""Scans: when the given paths are scanned, and how: at once if that is short, else in a thread.

Most notices tell which file changed; `concerned` tells after which of them only a scan finds out.

A scan in the event loop ends after LONG_SCAN, whatever the folders contain: 120,000 files that were moved into a folder
stopped it for 3 s. Then the scan begins again in a thread.
"""

import math
import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path

import trio

from fastroute.resources.document import Pause, no_pause
from fastroute.source import walk
from fastroute.source.folder import Scan, is_manifest
from fastroute.source.slices import Limit, Rests, TooLongError, step_aside
from fastroute.source.watch import Notice

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


def concerned(notice: Notice, scan: Scan, given: Collection[str], *, is_full: bool) -> set[str] | None:
    """The manifests that a notice concerns. None: a scan of everything is needed to find out. `is_full`: as many
    manifests are read as may be."""
    path = os.path.join(notice.folder, notice.name)
    paths = scan.targets.get(path, set())
    if path in given:
        as_before = path not in scan.unreadable and os.path.isfile(path) and not os.path.islink(path)
        return {path, *paths} if as_before else None
    if notice.folder not in scan.folders:
        leads_here = notice.is_folder and any(f"{target}/".startswith(f"{path}/") for target in scan.targets)
        return None if leads_here else paths
    if notice.is_folder or not notice.name or notice.name.startswith(".."):  # "..data" of a mounted ConfigMap
        return None
    if path in scan.folders or path in scan.left_out:  # perhaps a link to a folder, which was removed or replaced
        return None
    if is_manifest(notice.name):
        may_be_too_many = scan.omits(path) or (is_full and path not in scan.files)
        return None if os.path.islink(path) or may_be_too_many else {path, *paths}
    return None if os.path.isdir(path) else paths


async def free(scan: Scan) -> None:
    """Frees what a scan found, in lots."""
    for found in (scan.files, scan.ranks):
        while len(found) > FOUND:
            for _ in range(FOUND):
                found.popitem()
            await step_aside()
