"""Directory: a source that reads manifests below some paths, and keeps its Store in step with the files.

A pass reads the files that changed, decodes the documents that changed in them, and gives the difference to the Store
in one step: a snapshot contains all changes of a pass or none.

When a change is accepted (content.py explains why):
- complete content: at once.
- a file that is being written: when it is closed, or when it has not changed for `HELD_OPEN` although a process holds
  it open.
- a file that was removed or became empty: after `GRACE`, because editors and git remove a file before they write it
  again. Other changes do not wait for this.
- a given path that was removed: never. Its objects are kept, and a problem reports it.
A burst of edits is one pass. Notices can be lost (network file systems have none), so everything is scanned every
`RESCAN` as well (in a thread: thousands of files take 20 ms), or every `DEAF_RESCAN` if there are no notices.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import trio

from fastroute.resources.decode import Id
from fastroute.resources.problem import ManifestProblem
from fastroute.source import content, manifest
from fastroute.source.claims import Claims
from fastroute.source.content import Content, Missing, Unfinished, Unreadable, Whole
from fastroute.source.folder import SUFFIXES, Rank, Scan, Stamp, is_manifest, require, scan
from fastroute.source.lines import Lines
from fastroute.source.manifest import Manifest
from fastroute.source.store import Store
from fastroute.source.watch import Notice, Watch

_log = logging.getLogger(__name__)

QUIET = 0.001  # s without a notice after which a burst of edits has ended
BURST = 0.015  # s after which a pass is made although the burst continues
GRACE = 0.01  # s
RETRY = 0.01  # s until a file that is being written is read again
FIRST_WAIT = 1.0  # s that the first pass waits for files that are being written
HELD_OPEN = 10.0  # s
RESCAN = 10.0  # s
DEAF_RESCAN = 0.5  # s
STDIN = "<stdin>"  # the file name for standard input
SLICE = 0.005  # s of work in a pass between two checkpoints


class Doubt(NamedTuple):
    """Why the content of a file is not yet accepted."""

    due: float  # when to read it again, on trio's clock
    since: float  # when it was first seen in this state
    stamp: Stamp | None  # the stamp of unfinished content; None: the file seems to be removed or empty


class Directory:
    """Files below `paths`, in the order given."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.store = Store()
        self._paths = tuple(paths)
        self._claims = Claims()
        self._given = frozenset(map(str, self._paths))
        self._scan = Scan()
        self._ranks: dict[str, Rank] = {}  # of every manifest, also of removed ones
        self._next_scan = 0.0  # on trio's clock
        self._manifests: dict[str, Manifest] = {}
        self._stamps: dict[str, Stamp] = {}  # of the files as last read
        self._faulty: set[str] = set()  # manifests with something to report
        self._doubts: dict[str, Doubt] = {}
        self._written: set[str] = set()  # files that a process is writing to, according to notices

    def load(self, stdin: bytes | None = None) -> None:
        """Reads everything, with `stdin` as one more file after the paths. Raises SourceError if a path is missing or
        unreadable."""
        require(self._paths)
        self._scan = scan(self._paths)
        self._ranks |= self._scan.ranks
        touched: set[Id] = set()
        unfinished = list(self._scan.files)
        deadline = time.monotonic() + FIRST_WAIT
        while unfinished:
            patient = time.monotonic() < deadline
            seen = {path: content.read(path, patient=patient) for path in unfinished}
            unfinished = [path for path in unfinished if isinstance(seen[path], Unfinished)]
            for path in seen.keys() - unfinished:
                touched |= self._take(path, seen[path])
            time.sleep(RETRY if unfinished else 0)
        if stdin is not None:
            self._ranks[STDIN] = (len(self._paths),)
            touched |= self._take(STDIN, Whole(stdin, Stamp((0, 0), len(stdin), 0)))
        self._publish(touched)

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

        Calls `changed(noticed)` after each pass that changed the Store or the reports; `noticed` is when the first
        change of the pass was noticed, on trio's clock.
        """
        with Watch() as watch:
            noticed = trio.current_time()
            notices: list[Notice | None] = [None]
            while True:
                now = trio.current_time()
                agenda = await self._agenda(watch, notices, now)
                first = min([noticed, *(self._doubts[path].since for path in agenda if path in self._doubts)])
                if await self._pass(agenda, now):
                    changed(first)
                noticed, notices = await self._wait(watch)

    # --- When to read

    async def _wait(self, watch: Watch) -> tuple[float, list[Notice | None]]:
        """Sleeps until there may be something to do. Returns the notices of a burst, and when it began."""
        with trio.move_on_at(min([self._next_scan, *(doubt.due for doubt in self._doubts.values())])):
            await watch.wait()
        noticed = trio.current_time()
        notices = more = self._told(watch)
        while more and trio.current_time() < noticed + BURST:
            with trio.move_on_after(QUIET):
                await watch.wait()
            more = self._told(watch)
            notices = notices + more
        return noticed, notices

    def _told(self, watch: Watch) -> list[Notice | None]:
        """The notices about manifests. The folders may contain other files that change often, such as logs."""
        return [notice for notice in watch.take_nowait() if notice is None or self._paths_of(notice) != set()]

    # --- What to read

    async def _agenda(self, watch: Watch, notices: Iterable[Notice | None], now: float) -> dict[str, bool]:
        """The files to read, each with whether its writer is known to have closed it."""
        agenda = {path: False for path, doubt in self._doubts.items() if doubt.due <= now}
        everything = now >= self._next_scan
        if None in notices:  # notices were lost, perhaps some about closed files
            self._written.clear()
        for notice in notices:
            paths = None if notice is None else self._paths_of(notice)
            if notice is None or paths is None:
                everything = True
            elif notice.is_written:
                self._written.update(paths)
            else:
                self._written.difference_update(paths)
                agenda |= {path: notice.whole or agenda.get(path, False) for path in paths}
        if everything:
            found = scan(self._paths) if notices else await trio.to_thread.run_sync(scan, self._paths)
            agenda = dict.fromkeys(self._differences(watch, found), False) | agenda
            self._next_scan = now + (DEAF_RESCAN if watch.is_deaf else RESCAN)
        return agenda

    def _paths_of(self, notice: Notice) -> set[str] | None:
        """The manifests that a notice concerns. None: a scan of everything is needed to find out."""
        path = os.path.join(notice.folder, notice.name)
        paths = self._scan.targets.get(path, set())
        if path in self._given:
            as_before = path not in self._scan.unreadable and os.path.isfile(path) and not os.path.islink(path)
            return {path, *paths} if as_before else None
        if notice.folder not in self._scan.folders:
            leads_here = notice.is_folder and any(f"{target}/".startswith(f"{path}/") for target in self._scan.targets)
            return None if leads_here else paths
        if notice.is_folder or not notice.name or notice.name.startswith(".."):  # "..data" of a mounted ConfigMap
            return None
        if is_manifest(notice.name):
            if path in self._scan.folders or os.path.islink(path):
                return None
            self._ranks.setdefault(path, (*self._scan.folders[notice.folder], notice.name))
            return {path, *paths}
        return None if path in self._scan.folders or os.path.isdir(path) else paths

    def _differences(self, watch: Watch, found: Scan) -> set[str]:
        """Watches the folders that were found. Returns the files that were added, removed or changed since they were
        read."""
        while watch.follow(self._places(found)):
            found = scan(self._paths)  # to find what was created between the scan and the watch
        self._scan = found
        self._ranks |= found.ranks
        gone = {path for path in self._manifests if path not in found.files}
        return gone | {path for path, stamp in found.files.items() if self._stamps.get(path) != stamp}

    def _places(self, found: Scan) -> set[str]:
        """The folders to watch: those that were read, and those of the given paths and of the targets of links."""
        return {_folder_of(path) for path in (*self._given, *found.targets)} | set(found.folders)

    # --- What to accept

    async def _pass(self, agenda: dict[str, bool], now: float) -> bool:
        """Reads the files and applies what is accepted. True if the Store or the reports changed."""
        touched: set[Id] = set()
        started = time.perf_counter()
        for path, closed in agenda.items():
            if time.perf_counter() - started > SLICE:
                await trio.lowlevel.checkpoint()
                started = time.perf_counter()
            doubt = self._doubts.get(path)
            patient = doubt is None or doubt.stamp is None or now - doubt.since < HELD_OPEN
            seen = content.read(path, closed=closed, patient=patient)
            if patient and path in self._written and isinstance(seen, Whole):
                seen = Unfinished(seen.stamp)
            if self._believe(path, seen, now):
                touched |= self._take(path, seen)
        return self._publish(touched)

    def _believe(self, path: str, seen: Content, now: float) -> bool:
        before = self._doubts.pop(path, None)
        match seen:
            case Unfinished(stamp):
                since = before.since if before and before.stamp == stamp else now
                self._doubts[path] = Doubt(now + RETRY, since, stamp)
                return False
            case Missing() | Whole(content=b"") if self._defines(path):
                doubt = before if before and before.stamp is None else Doubt(now + GRACE, now, None)
                if doubt.due > now:
                    self._doubts[path] = doubt
                    return False
        return True

    def _defines(self, path: str) -> bool:
        old = self._manifests.get(path)
        return old is not None and bool(old.definitions)

    # --- How it is applied

    def _take(self, path: str, seen: Content) -> set[Id]:
        """Replaces the manifest of a file. Returns the objects that this may change."""
        old = self._manifests.get(path)
        new: Manifest | None = None
        self._stamps.pop(path, None)
        match seen:
            case Whole(data, stamp):
                new = _read(path, data, old)
                self._stamps[path] = stamp
            case Unreadable(reason):
                new = manifest.unreadable(path, f"cannot be read: {reason}", old)
            case _ if self._is_given_and_gone(path):
                new = old
        if new is None:
            self._manifests.pop(path, None)
        else:
            self._manifests[path] = new
        (self._faulty.add if new and (new.problems or new.warnings) else self._faulty.discard)(path)
        return self._claims.update(path, old, new)

    def _is_given_and_gone(self, path: str) -> bool:
        """Whether `path`, or the given path above it, does not exist any more."""
        number = self._ranks[path][0]
        return not os.path.exists(self._paths[int(number)])

    def _publish(self, touched: set[Id]) -> bool:
        different = self.store.apply(self._claims.settle(touched, self._ranks))
        faulty = [self._manifests[path] for path in sorted(self._faulty, key=self._ranks.__getitem__)]
        leaving = {path for path, doubt in self._doubts.items() if doubt.stamp is None}
        unreadable = self._scan.unreadable.items()
        problems = [ManifestProblem(file=path, message=reason) for path, reason in unreadable if path not in leaving]
        problems += [problem for item in faulty for problem in item.problems]
        problems += self._claims.duplicates(self._manifests, leaving, self._ranks)
        warnings = [warning for item in faulty for warning in item.warnings]
        return self.store.report(problems, warnings) or different


def _folder_of(path: str) -> str:
    """The folder of `path` or, if that does not exist, its nearest existing ancestor."""
    folder = os.path.dirname(path)
    return folder if not folder or os.path.isdir(folder) else _folder_of(folder)


def _read(path: str, data: bytes, old: Manifest | None) -> Manifest:
    """Reads a manifest. A bug in fastroute that raises here does not remove anything that is served."""
    try:
        return manifest.read(path, data, old)
    except Exception:
        _log.exception("%s cannot be read because of an error in fastroute", path)
        return manifest.unreadable(path, "cannot be read because of an error in fastroute (see its log)", old)
