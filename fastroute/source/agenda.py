"""Agenda: the files to read, in which the owners take turns, and the changes that wait for the rest of their burst.

The owner of a file is its folder with the namespace of the first object that it defined when it was last read. So a
team that rewrites thousands of files does not delay a file of another team.

Reading takes several rounds if there is much to read. The files that belong together, for example because an object
moves from one to another, must take effect together: what was read waits for the other files of its owner, and for new
files, if their changes were noticed before; at most for HOLD.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from fastroute.fairness import FairQueue
from fastroute.resources.decode import Id

HOLD = 0.25  # s

NEVER_READ = ""

Owner = tuple[str, str]  # a folder and a namespace, or NEVER_READ


class Errand(NamedTuple):
    """A file to read."""

    path: str
    is_closed: bool  # its writer is known to have closed it
    since: float  # when the change was noticed


class Waiting(NamedTuple):
    """A file that is not read yet: whose it is, and when its change was noticed."""

    owner: Owner
    since: float


class Agenda:
    """`owner` tells whose file a path is."""

    def __init__(self, owner: Callable[[str], Owner]) -> None:
        self._owner = owner
        self._queue = FairQueue[str, Owner](lambda path: self._owners[path])
        self._owners: dict[str, Owner] = {}  # when each was added: reading a file may change its owner
        self._errands: dict[str, Errand] = {}

    def __bool__(self) -> bool:
        return bool(self._errands)

    @property
    def waiting(self) -> Iterator[Waiting]:
        """The file of each owner that waits for longest."""
        return (Waiting(*first) for first in self._queue.firsts())

    def add(self, errand: Errand) -> None:
        before = self._errands.get(errand.path)
        if before is None:
            self._owners[errand.path] = self._owner(errand.path)
            self._queue.add(errand.path, errand.since)
        else:
            errand = Errand(errand.path, errand.is_closed or before.is_closed, before.since)
        self._errands[errand.path] = errand

    def take(self, may: Callable[[str], bool] = lambda path: True) -> Errand | None:
        """The next file that `may` be read."""
        path = self._queue.take(may)
        if path is None:
            return None
        del self._owners[path]
        return self._errands.pop(path)


class Done(NamedTuple):
    """A file that was read, and the objects that this may change."""

    file: Waiting
    touched: set[Id]
    read: float  # when


class Bursts:
    """What was read and waits for other files."""

    def __init__(self) -> None:
        self._done: list[Done] = []

    @property
    def next(self) -> float:
        """When the first of them is due at the latest."""
        return min((done.read for done in self._done), default=math.inf) + HOLD

    def add(self, done: Done) -> None:
        self._done.append(done)

    def due(self, now: float, files: Iterable[Waiting]) -> list[Done]:
        """Takes what need not wait any longer for these files."""
        if not self._done:
            return []
        first: dict[Owner, float] = {}
        for owner, since in files:
            first[owner] = min(since, first.get(owner, since))
        new = min((since for owner, since in first.items() if owner[1] == NEVER_READ), default=math.inf)
        due: list[Done] = []
        rest: list[Done] = []
        for done in self._done:
            owner, since = done.file
            waits = min(new, first.get(owner, math.inf)) <= since and now < done.read + HOLD
            (rest if waits else due).append(done)
        self._done = rest
        return due
