"""Directory: a source that reads manifests below some paths, and keeps its Store in step with the files.

A round reads files that changed, decodes the documents that changed in them, and gives the difference to the Store. The
owners of the files take turns (agenda.py), and a round ends after ROUND: so bulk changes of one team do not delay those
of another. A file of more than LARGE bytes, or that takes longer than AT_ONCE, is read apart, in slices (slices.py),
one at a time for each owner. (The size does not tell how long it takes: many small documents, or faults, take long.)

When a change is accepted (content.py explains why):
- complete content: at once.
- a file that is being written: when it is closed, or when it has not changed for `HELD_OPEN` although a process holds
  it open.
- a file that was removed or became empty: after `GRACE` (doubts.py), because editors and git remove a file before they
  write it again. Other changes do not wait for this.
- a given path that was removed: never. Its objects are kept, and a problem reports it.
A burst of edits of an owner takes effect at once, unless reading it takes long. Notices can be lost (network file
systems have none), so everything is scanned every `RESCAN` as well (in a thread: thousands of files take 20 ms), or
every `DEAF_RESCAN` if there are no notices.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, NoReturn

import trio

from fastroute.resources.decode import Id
from fastroute.resources.document import Pause, no_pause
from fastroute.resources.problem import ManifestProblem
from fastroute.source import content, manifest, walk
from fastroute.source.agenda import NEVER_READ, Agenda, Bursts, Done, Errand, Owner, Waiting
from fastroute.source.claims import Claims, Difference, differing
from fastroute.source.content import Content, Missing, Unfinished, Unreadable, Whole
from fastroute.source.doubts import RETRY, Doubts
from fastroute.source.folder import SUFFIXES, Rank, Scan, Stamp, require
from fastroute.source.lines import Lines
from fastroute.source.manifest import Manifest
from fastroute.source.reports import TWICE, UNREADABLE, Reports
from fastroute.source.scans import FOUND, Scans, concerned, free
from fastroute.source.slices import Limit, Slices, TooLongError, step_aside
from fastroute.source.store import Store
from fastroute.source.watch import Notice, Watch

_log = logging.getLogger(__name__)

QUIET = 0.001  # s without a notice after which a burst of edits has ended
BURST = 0.015  # s after which a round is made although the burst continues
ROUND = 0.002  # s of work, after which other tasks run
LARGE = 16 * 1024  # bytes of a file that is read apart: about 30 routes, 7 ms
AT_ONCE = ROUND  # after which a smaller file is read apart, too
APART = 4  # files that are read apart at the same time
LOT = 100  # objects that are given to the Store at a time
FIRST_WAIT = 1.0  # s that `load` waits for files that are being written
HELD_OPEN = 10.0  # s
STDIN = "<stdin>"  # the file name for standard input


class Told(NamedTuple):
    """A notice and the manifests that it concerns; None: a scan of everything is needed to find out."""

    notice: Notice | None
    paths: set[str] | None


LOST = Told(None, None)  # changes may have been missed


class Reading(NamedTuple):
    """A file that was read."""

    manifest: Manifest | None  # None: there is none any more
    difference: Difference


class Directory:
    """Files below `paths`, in the order given."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._claims = Claims()
        self._given = frozenset(map(str, self._paths))
        self._scan = Scan()
        self._scans = Scans(self._paths)
        self._manifests: dict[str, Manifest] = {}
        self._ranks: dict[str, Rank] = {}  # of these
        self.store = Store(Reports(self._ranks))
        self._stamps: dict[str, Stamp] = {}  # of the files as last read
        self._doubts = Doubts()
        self._unreported: set[str] = set()  # manifests whose problems may have changed
        self._is_reported = False  # likewise did not: what is not readable or defined twice
        self._written: set[str] = set()  # files that a process is writing to, according to notices
        self._agenda = Agenda(self._owner)
        self._large = Agenda(self._owner)  # to be read apart
        self._apart: dict[str, Waiting] = {}  # being read apart
        self._bursts = Bursts()
        self._slices = Slices()
        self._slow: set[str] = set()  # files that once took longer than AT_ONCE
        self._scanning = self._scan_again = False  # in a thread
        self._nap = trio.CancelScope()  # of the loop while it waits
        self._is_muted: Callable[[str], bool] = lambda folder: False
        self._changed: Callable[[float], None] = lambda noticed: None

    def load(self, stdin: bytes | None = None) -> None:
        """Reads everything, with `stdin` as one more file after the paths. Raises SourceError if a path is missing or
        unreadable."""
        require(self._paths)
        self._scan = self._scans.whole()
        touched: set[Id] = set()
        unfinished = list(self._scan.files)
        deadline = time.monotonic() + FIRST_WAIT
        while unfinished:
            patient = time.monotonic() < deadline
            seen = {path: content.read(path, patient=patient) for path in unfinished}
            unfinished = [path for path in unfinished if isinstance(seen[path], Unfinished)]
            for path in seen.keys() - unfinished:
                touched |= self._take(path, seen[path]).touched
            time.sleep(RETRY if unfinished else 0)
        if stdin is not None:
            given = Whole(stdin, Stamp((0, 0), len(stdin), 0))
            touched |= self._take(STDIN, given).touched
        self.store.apply(self._claims.settle(touched, self._ranks))
        self._report()

    def lines(self) -> Lines:
        """The lines of the fields of the objects, as last read."""
        return Lines(self._manifests)

    def fruitless(self) -> Iterator[ManifestProblem]:
        """A problem for each given path, and standard input, without an object of a kind that fastroute reads."""
        for path in (*map(str, self._paths), *(name for name in self._manifests if name == STDIN)):
            below = [file for name, file in self._manifests.items() if name == path or name.startswith(f"{path}/")]
            if not any(document.entries for file in below for document in file.documents):
                files = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
                message = (
                    "contains no object of a kind that fastroute reads" if below else f"contains no file of {files}"
                )
                yield ManifestProblem(file=path, message=message, reason="NothingRead")

    async def watch(self, changed: Callable[[float], None]) -> NoReturn:
        """Watches the files, after `load`, until cancelled.

        Calls `changed(noticed)` after each round that changed the Store or the reports; `noticed` is when the first
        change of the round was noticed, on trio's clock.
        """
        self._changed = changed
        with Watch() as watch:
            self._is_muted = watch.is_muted
            async with trio.open_nursery() as nursery:
                noticed = trio.current_time()
                notices = [LOST]
                while True:
                    await self._plan(watch, notices, noticed, nursery)
                    await self._round(nursery)
                    noticed, notices = await self._wait(watch)
        raise AssertionError("unreachable")

    # --- When to read

    async def _wait(self, watch: Watch) -> tuple[float, list[Told]]:
        """Sleeps until there may be something to do. Returns the notices of a burst, and when it began."""
        if self._agenda:
            await step_aside()
            return trio.current_time(), self._told(watch)
        due = min(self._scans.next, self._bursts.next, self._doubts.next)
        with trio.CancelScope(deadline=due) as self._nap:
            await watch.wait()
        noticed = trio.current_time()
        notices = more = self._told(watch)
        while more and trio.current_time() < noticed + BURST:
            with trio.move_on_after(QUIET):
                await watch.wait()
            more = self._told(watch)
            notices = notices + more
        return noticed, notices

    def _told(self, watch: Watch) -> list[Told]:
        """A portion of the notices about manifests. The folders may contain other files that change often, such as
        logs."""
        is_full = len(self._manifests) >= walk.FILES
        told = (
            Told(notice, concerned(notice, self._scan, self._given, is_full=is_full) if notice else None)
            for notice in watch.take_nowait()
        )
        return [one for one in told if one.paths is None or one.paths]

    # --- What to read

    async def _plan(self, watch: Watch, told: Iterable[Told], noticed: float, nursery: trio.Nursery) -> None:
        """Adds the files to read to the agenda."""
        now = trio.current_time()
        for path, since in self._doubts.due(now):
            self._agenda.add(Errand(path, False, since))
        if LOST in told:  # perhaps notices about closed files
            self._written.clear()
        for notice, paths in told:
            if notice is None or paths is None:
                self._scans.ask()
            elif notice.is_written:
                self._written.update(paths)
            else:
                self._written.difference_update(paths)
                for path in paths:
                    self._agenda.add(Errand(path, notice.whole, noticed))
        if now >= self._scans.next:
            await self._look_everywhere(watch, noticed, nursery, in_thread=not told)

    async def _look_everywhere(self, watch: Watch, noticed: float, nursery: trio.Nursery, *, in_thread: bool) -> None:
        """Finds the files that were added, removed or changed since they were read, and the folders to watch."""
        self._scans.begin()
        if self._scanning:
            self._scan_again = True
            return
        for _ in range(2):
            found = None if in_thread else self._scans.short()
            if found is None:
                self._scanning, self._scan_again = True, False
                nursery.start_soon(self._scan_apart, watch, noticed)
                return
            if await self._take_scan(watch, found, noticed):
                return

    async def _scan_apart(self, watch: Watch, noticed: float) -> None:
        if not await self._take_scan(watch, await self._scans.apart(), noticed):
            await self._take_scan(watch, await self._scans.apart(), noticed)
        self._scanning = False
        if self._scan_again:
            self._scans.ask()
        self._nap.cancel()

    async def _take_scan(self, watch: Watch, found: Scan, noticed: float) -> bool:
        """False: a folder was not watched before, so another scan must find what was created in it meanwhile."""
        before, self._scan = self._scan, found
        self._is_reported = False
        is_new = await watch.follow(found.watched)
        for number, path in enumerate((*self._manifests, *found.files), 1):
            if self._stamps.get(path) != found.files.get(path) or path not in self._stamps:
                self._agenda.add(Errand(path, False, noticed))
            if path in self._manifests:
                self._ranks[path] = found.ranks.get(path, self._ranks[path])
            if number % FOUND == 0:
                await step_aside()
        self._scans.end(trio.current_time(), is_new=is_new, is_deaf=watch.is_deaf)
        await free(before)
        return not is_new

    # --- What to accept

    async def _round(self, nursery: trio.Nursery) -> None:
        """Reads the next files and applies what is accepted."""
        started = time.perf_counter()
        while (errand := self._agenda.take()) is not None:
            if errand.path in self._apart:
                self._large.add(errand)
            elif (seen := self._seen(errand)) is not None:
                if (read := self._read_at_once(errand.path, seen)) is not None:
                    self._accept(errand.path)
                    file = Waiting(self._owner(errand.path), errand.since)
                    self._put(errand.path, seen, read)
                    self._done(file, read.difference)
                else:
                    self._large.add(errand)
            if time.perf_counter() - started >= ROUND:
                break
        self._read_large(nursery)
        await self._publish()

    def _read_at_once(self, path: str, seen: Content) -> Reading | None:
        """None: it takes too long."""
        if isinstance(seen, Whole) and (len(seen.content) > LARGE or path in self._slow):
            return None
        try:
            return self._read(path, seen, Limit(AT_ONCE).pause)
        except TooLongError:
            self._slow.add(path)
            return None

    def _seen(self, errand: Errand) -> Content | None:
        """The content of a file, if it is accepted."""
        path, now = errand.path, trio.current_time()
        patient = self._doubts.held_open(path, now) < HELD_OPEN
        omitted = self._scan.omits(path)
        seen = Missing() if omitted else content.read(path, closed=errand.is_closed, patient=patient)
        if patient and isinstance(seen, Whole) and self._may_be_written(errand, seen):
            seen = Unfinished(seen.stamp)
        was_leaving = path in self._doubts.leaving
        is_believed = self._doubts.believe(path, seen, now, defines=self._defines(path))
        self._is_reported &= was_leaving == (path in self._doubts.leaving) or not self._is_concerned(path)
        return seen if is_believed else None

    def _accept(self, path: str) -> None:
        self._is_reported &= path not in self._doubts.leaving or not self._is_concerned(path)
        self._doubts.forget(path)

    def _is_concerned(self, path: str) -> bool:
        """Whether a report that is not about one manifest depends on this file."""
        return path in self._scan.unreadable or self._claims.is_contesting(path)

    def _may_be_written(self, errand: Errand, seen: Whole) -> bool:
        """Whether a notice reports a write, or would be missing because the folder is muted."""
        is_muted = self._is_muted(os.path.dirname(errand.path))
        return errand.path in self._written or (is_muted and not errand.is_closed and not seen.is_leased)

    def _read_large(self, nursery: trio.Nursery) -> None:
        """Begins to read large files, one of each owner at a time."""
        while len(self._apart) < APART:
            errand = self._large.take(self._may_be_read_apart)
            if errand is None:
                return
            if (seen := self._seen(errand)) is not None:
                self._accept(errand.path)
                self._apart[errand.path] = Waiting(self._owner(errand.path), errand.since)
                nursery.start_soon(self._read_apart, errand.path, seen, nursery)

    def _done(self, file: Waiting, difference: Difference) -> None:
        self._bursts.add(Done(file, *difference, trio.current_time()))

    def _may_be_read_apart(self, path: str) -> bool:
        return path not in self._apart and all(self._owner(path) != file.owner for file in self._apart.values())

    async def _read_apart(self, path: str, seen: Content, nursery: trio.Nursery) -> None:
        difference = await self._slices.run(partial(self._take, path, seen))
        self._done(self._apart.pop(path), difference)
        self._read_large(nursery)
        await self._publish()
        self._nap.cancel()  # a burst may be due

    def _defines(self, path: str) -> bool:
        old = self._manifests.get(path)
        return old is not None and bool(old.definitions)

    # --- How it is applied

    def _take(self, path: str, seen: Content, pause: Pause = no_pause) -> Difference:
        """Reads a manifest and replaces the last one. Other files can be read and applied between two slices of it."""
        read = self._read(path, seen, pause)
        self._put(path, seen, read, pause)
        return read.difference

    def _read(self, path: str, seen: Content, pause: Pause = no_pause) -> Reading:
        old = new = self._manifests.get(path)
        match seen:
            case Whole(data, _):
                new = _read(path, data, old, pause)
            case Unreadable(reason):
                new = manifest.unreadable(path, f"cannot be read: {reason}", old)
            case _ if not self._is_given_and_gone(path):
                new = None
        return Reading(new, differing(old, new, pause))

    def _put(self, path: str, seen: Content, read: Reading, pause: Pause = no_pause) -> None:
        """Replaces the manifest of a file."""
        new = read.manifest
        self._stamps.pop(path, None)
        if isinstance(seen, Whole):
            self._stamps[path] = seen.stamp
        if new is not None:  # what Claims contains always has a manifest
            self._manifests[path], self._ranks[path] = new, self._rank(path)
        self._is_reported &= path not in self._scan.unreadable
        self._unreported.add(path)
        self._claims.update(path, new, read.difference.touched, pause)
        if new is None:
            self._manifests.pop(path, None)
            self._ranks.pop(path, None)
            self._slow.discard(path)
        self._is_reported &= not self._claims.is_stale

    def _is_given_and_gone(self, path: str) -> bool:
        """Whether `path`, or the given path above it, does not exist any more."""
        number = int(self._rank(path)[0])
        return number < len(self._paths) and not os.path.exists(self._paths[number])

    def _rank(self, path: str) -> Rank:
        """The position of a file: of a new one, before a scan finds it, that of its folder tells."""
        known = self._scan.ranks.get(path) or self._ranks.get(path)
        folder = self._scan.folders.get(os.path.dirname(path), (len(self._paths),))
        return known or (*folder, os.path.basename(path))

    def _owner(self, path: str) -> Owner:
        """Whose file it is (agenda.py)."""
        known = self._manifests.get(path)
        first = next(iter(known.definitions), None) if known else None
        if first is None:
            return os.path.dirname(path), NEVER_READ
        kind, key = first
        return os.path.dirname(path), key.name if kind == "Namespace" else key.namespace or kind

    async def _publish(self) -> None:
        """Gives the changed objects of complete bursts to the Store: few at once, many in lots."""
        different, first = False, trio.current_time()
        for done in self._bursts.due(first, self._since, self._since_new()):
            first = min(first, done.file.since)
            different |= await self._apply(done.touched, done.file.since)
        if self._report() or different:
            self._changed(first)

    def _since(self, owner: Owner) -> float:
        """When the change of the first file of an owner that is not read yet was noticed."""
        apart = (file.since for file in self._apart.values() if file.owner == owner)
        return min((self._agenda.since(owner), self._large.since(owner), *apart))

    def _since_new(self) -> float:
        """Likewise, of the files that were never read."""
        apart = (file.since for file in self._apart.values() if file.owner[1] == NEVER_READ)
        return min((self._agenda.since_new, self._large.since_new, *apart))

    async def _apply(self, touched: set[Id], noticed: float) -> bool:
        """True if the Store changed."""
        different = False
        events = self._claims.settle(touched, self._ranks)
        while lot := list(islice(events, LOT)):
            different |= self.store.apply(lot, noticed)
            if len(lot) == LOT:
                await step_aside()
        return different

    def _report(self) -> bool:
        """Reports the problems and warnings of the files that were read since. True if they changed."""
        different = False
        while self._unreported:
            path = self._unreported.pop()
            read = self._manifests.get(path)
            different |= self.store.reports.replace(path, read.problems if read else (), read.warnings if read else ())
        if self._is_reported:
            return different
        self._is_reported = True
        leaving = frozenset(self._doubts.leaving)
        unreadable = self._scan.unreadable.items()
        problems = [
            ManifestProblem(file=path, message=reason)
            for path, reason in unreadable
            if path not in leaving and path not in self._stamps  # it was read after the scan
        ]
        different |= self.store.reports.replace(UNREADABLE, problems)
        twice = self._claims.duplicates(self._manifests, leaving, self._ranks)
        return self.store.reports.replace(TWICE, twice) or different


def _read(path: str, data: bytes, old: Manifest | None, pause: Pause) -> Manifest:
    """Reads a manifest. A bug in fastroute that raises here does not remove anything that is served."""
    try:
        return manifest.read(path, data, old, pause)
    except TooLongError:
        raise
    except Exception:
        _log.exception("%s cannot be read because of an error in fastroute", path)
        return manifest.unreadable(path, "cannot be read because of an error in fastroute (see its log)", old)
