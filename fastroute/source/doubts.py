"""Doubts: files whose content is not accepted yet, and when to read them again.

A file that is being written is read again after RETRY. The time then grows to a quarter of the time since the file was
first found unfinished, at most LONGEST_RETRY, so that thousands of files that a process holds open cost little.
(Usually inotify reports that the file was closed, and it is read at once.) If a file was removed or became empty, this
is accepted after GRACE.
"""

import heapq
import math
from collections.abc import Iterator
from typing import NamedTuple

from fastroute.source.content import Content, Missing, Unfinished, Whole
from fastroute.source.folder import Stamp

GRACE = 0.01  # s
RETRY, LONGEST_RETRY = 0.01, 1.0  # s
QUARTER = 0.25


class Doubt(NamedTuple):
    """Why the content of a file is not yet accepted."""

    due: float  # when to read it again
    since: float  # when it was first seen in this state
    stamp: Stamp | None  # the stamp of unfinished content; None: the file seems to be removed or empty
    begin: float  # when it was first seen unfinished


class Doubts:
    """All times are on trio's clock."""

    def __init__(self) -> None:
        self._doubts: dict[str, Doubt] = {}
        self._queue: list[tuple[float, str]] = []  # a heap of the times at which files are due; also of earlier doubts
        self.leaving: set[str] = set()  # the files that seem to be removed or empty

    def held_open(self, path: str, now: float) -> float:
        """For how many seconds the file has been open without a change."""
        doubt = self._doubts.get(path)
        return now - doubt.since if doubt and doubt.stamp else 0.0

    @property
    def next(self) -> float:
        """The earliest time at which a file may be due."""
        return self._queue[0][0] if self._queue else math.inf

    def due(self, now: float) -> Iterator[tuple[str, float]]:
        """The files to read again, each once, and since when their state is known."""
        while self.next <= now:
            due, path = heapq.heappop(self._queue)
            doubt = self._doubts.get(path)
            if doubt is not None and doubt.due == due:
                yield path, doubt.since

    def believe(self, path: str, seen: Content, now: float, *, defines: bool) -> bool:
        """Whether the content is accepted. It remains so until `forget`, or until the file changes. `defines`: the file
        defined objects before."""
        after = self._doubt(self._doubts.get(path), seen, now, defines=defines)
        if after is not None:
            self._doubts[path] = after
            heapq.heappush(self._queue, (after.due, path))
            (self.leaving.add if after.stamp is None else self.leaving.discard)(path)
        return after is None

    def forget(self, path: str) -> None:
        """The accepted content is read now."""
        self._doubts.pop(path, None)
        self.leaving.discard(path)

    def _doubt(self, before: Doubt | None, seen: Content, now: float, *, defines: bool) -> Doubt | None:
        match seen:
            case Unfinished(stamp):
                begin = before.begin if before and before.stamp else now
                since = before.since if before and before.stamp == stamp else now
                return Doubt(now + min(max(RETRY, QUARTER * (now - begin)), LONGEST_RETRY), since, stamp, begin)
            case Missing() | Whole(content=b"") if defines:
                doubt = before if before and before.stamp is None else Doubt(now + GRACE, now, None, now)
                return doubt if doubt.due > now else None
        return None
