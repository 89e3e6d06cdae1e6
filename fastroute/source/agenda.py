"""Agenda: the files to read, in which the owners take turns, and the changes that wait for the rest of their burst.

The owner of a file is its folder with the namespace of the first object that it defined when it was last read. So a
team that rewrites thousands of files does not delay a file of another team.

Reading takes several rounds if there is much to read. The files that belong together must take effect together: what
was read waits for the other files of its owner, if their changes were noticed before, at most for HOLD. A new file may
belong to any owner. So a file waits for new files, too, but only for HOLD_FOR_NEW, because another owner may have
thousands of them. If an object is no longer in its file, it may have moved to a new one, so that its file waits for
HOLD: an object that moves must not disappear.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from fastroute.fairness import FairQueue
from fastroute.resources.decode import Id

HOLD, HOLD_FOR_NEW = 0.25, 0.02  # s

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
        self._new: OrderedDict[str, float] = OrderedDict()  # the files that were never read, with their times

    def __bool__(self) -> bool:
        return bool(self._errands)

    def since(self, owner: Owner) -> float:
        """The time of the first file of an owner."""
        since = self._queue.first(owner)
        return math.inf if since is None else since

    @property
    def since_new(self) -> float:
        """The time of the first file that was never read."""
        return next(iter(self._new.values()), math.inf)

    def add(self, errand: Errand) -> None:
        before = self._errands.get(errand.path)
        if before is None:
            owner = self._owners[errand.path] = self._owner(errand.path)
            self._queue.add(errand.path, errand.since)
            if owner[1] == NEVER_READ:
                self._new[errand.path] = errand.since
        else:
            errand = Errand(errand.path, errand.is_closed or before.is_closed, before.since)
        self._errands[errand.path] = errand

    def take(self, may: Callable[[str], bool] = lambda path: True) -> Errand | None:
        """The next file that `may` be read."""
        path = self._queue.take(may)
        if path is None:
            return None
        del self._owners[path]
        self._new.pop(path, None)
        return self._errands.pop(path)


class Done(NamedTuple):
    """A file that was read, and the objects that this may change."""

    file: Waiting
    touched: set[Id]
    removes: bool  # the file no longer defines some of them
    read: float  # when

    def until(self, own: float, new: float) -> float:
        """When it takes effect at the latest. `own`, `new`: the times of the first file of its owner that is not read
        yet, and of the first file that was never read."""
        if own <= self.file.since:
            return self.read + HOLD
        if new <= self.file.since:
            return self.read + (HOLD if self.removes else HOLD_FOR_NEW)
        return self.read


class Bursts:
    """What was read and waits for other files. `next`: when the first of it is due at the latest."""

    def __init__(self) -> None:
        self._done: dict[Owner, deque[Done]] = {}
        self.next = math.inf

    def add(self, done: Done) -> None:
        self._done.setdefault(done.file.owner, deque()).append(done)

    def due(self, now: float, since: Callable[[Owner], float], new: float) -> list[Done]:
        """Takes what need not wait any longer. `since`: the time of the first file of an owner that is not read yet;
        `new`: that of the first file that was never read. The files of an owner take effect in their order."""
        due: list[Done] = []
        self.next = math.inf
        for owner, line in list(self._done.items()):
            own = since(owner)
            while line and line[0].until(own, new) <= now:
                due.append(line.popleft())
            if line:
                self.next = min(self.next, line[0].until(own, new))
            else:
                del self._done[owner]
        return due
