"""Walk: finds the manifests below the given paths.

Each folder is read once for each given path, whatever links lead to it: by its own path, or by the first link in order
if its own path is hidden (a mounted ConfigMap has such links). A link to a folder outside of all given paths is not
followed: it could lead to the whole file system.

At most FILES and FOLDERS are read. The top-level folders of the given paths take turns, entry by entry, so that one of
them with too many files loses only its own files. Within a folder, entries are read in the order of their names, and
folders with less depth come first. What is not read is reported, for each top-level folder at most REFUSED times.
"""

import heapq
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from fastroute.descriptors import explained
from fastroute.resources.document import Pause, no_pause
from fastroute.source.folder import Rank, Scan, Stamp, is_manifest

FILES = 100_000  # manifests, and links with the name of a manifest
FOLDERS = 10_000  # folders, and links to folders
DEPTH = 32  # of a folder below its given path
REFUSED = 10  # paths that are reported, for each top-level folder
RUN = 1_000  # entries of a folder that are sorted at a time
_NAME = attrgetter("name")


class RankedPath(NamedTuple):
    rank: Rank
    path: str


def scan(paths: Iterable[Path], pause: Pause = no_pause) -> Scan:
    """Reads the folders. Files that disappear meanwhile are left out."""
    return _Walk(pause).below([str(path) for path in paths])


class _Part:
    """A top-level folder, or a given path without its folders: what is still to be read, and what is not read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.waiting: deque[Iterator[None]] = deque()  # the folders that are being read
        self.refused: dict[str, str] = {}  # the reason, by path
        self.lost: list[str] = []  # limits that were reached

    def step(self) -> bool:
        """Reads one more entry. False: there is none."""
        if self.waiting and next(self.waiting[0], self) is self:
            self.waiting.popleft()
        return bool(self.waiting)

    def lose(self, limit: str) -> None:
        if limit not in self.lost:
            self.lost.append(limit)

    def report(self, found: Scan) -> None:
        refused = [path for path in self.refused if path not in found.folders]  # perhaps it is a given path, too
        for path in refused[:REFUSED]:
            found.unreadable[path] = self.refused[path]
        reasons = [f"there are more than {limit} below the given paths" for limit in self.lost]
        if (more := len(refused) - REFUSED) > 0:
            reasons.append(f"{more:,} more folders and links in it are refused")
        if reasons:
            found.unreadable.setdefault(self.path, f"is not read completely: {'; '.join(reasons)}")
        found.left_out.update(refused, (self.path,) if self.lost else ())


class _Walk:
    def __init__(self, pause: Pause) -> None:
        self._pause = pause
        self._found = Scan()
        self._roots: list[str] = []  # the real paths of the given folders
        self._seen: set[tuple[int | str, int, int]] = set()  # the folders: number of the given path, device, inode
        self._parts: dict[Rank, _Part] = {}
        self._busy: deque[_Part] = deque()
        self._links: list[RankedPath] = []  # to folders
        self._files = self._folders = 0

    def below(self, paths: list[str]) -> Scan:
        for number, path in enumerate(paths):
            status = _status(path)
            if status is None:
                self._found.unreadable[path] = "does not exist any more; its objects are still used"
            elif stat.S_ISDIR(status.st_mode):
                self._roots.append(os.path.join(os.path.realpath(path), ""))
                self._enter(RankedPath((number,), path), status)
            else:
                self._add(RankedPath((number,), path), status, None, is_link=os.path.islink(path))
        self._read_in_rounds()
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                self._follow(link)
            self._read_in_rounds()
        self._found.left_out.difference_update(self._found.folders)
        for part in self._parts.values():
            part.report(self._found)
        folders = {os.path.dirname(path) for path in (*paths, *self._found.targets)}
        self._found.watched.update(self._found.folders, map(_existing, folders))
        return self._found

    def _read_in_rounds(self) -> None:
        while self._busy:
            self._pause()
            part = self._busy.popleft()
            if part.step():
                self._busy.append(part)

    def _part(self, folder: RankedPath) -> _Part:
        rank = folder.rank[:2]
        if rank not in self._parts:
            self._parts[rank] = _Part(folder.path)
        return self._parts[rank]

    def _enter(self, folder: RankedPath, status: os.stat_result) -> None:
        inode = folder.rank[0], status.st_dev, status.st_ino
        if inode in self._seen:
            self._found.left_out.add(folder.path)
            return
        self._seen.add(inode)
        self._found.folders[folder.path] = min(folder.rank, self._found.folders.get(folder.path, folder.rank))
        part = self._part(folder)
        if not part.waiting:
            self._busy.append(part)
        part.waiting.append(self._read(folder))

    def _follow(self, link: RankedPath) -> None:
        status = _status(link.path)
        real = os.path.join(os.path.realpath(link.path), "")
        if status is None or not stat.S_ISDIR(status.st_mode):
            return
        if real.startswith(tuple(self._roots)):
            self._enter(link, status)
        else:
            reason = "is a link to a folder outside of the given paths, so it is not read; give that folder as well"
            self._parts[link.rank[:-1][:2]].refused[link.path] = reason

    def _read(self, folder: RankedPath) -> Iterator[None]:
        """Yields after each entry; but the top-level folders must be known before they take turns."""
        try:
            entries = self._entries(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            self._found.unreadable[folder.path] = f"cannot be read: {explained(error)}; its content is not known"
            return
        is_given = len(folder.rank) == 1
        if is_given:
            entries.sort(key=_is_folder, reverse=True)
        for entry in entries:
            self._look(entry, folder)
            if not is_given or not _is_folder(entry):
                yield

    def _entries(self, folder: RankedPath) -> list[os.DirEntry[str]]:
        """Its manifests and folders, also links to them, by name."""
        most = FILES + FOLDERS
        with os.scandir(folder.path) as entries:
            found = self._first(self._relevant(entries), most)
        if len(found) == most:
            self._part(folder).lose(f"{FILES:,} files")
        return found

    def _first(self, entries: Iterator[os.DirEntry[str]], most: int) -> list[os.DirEntry[str]]:
        """The first entries by name, in order. (heapq.nsmallest sorts 100,000 entries in 100 ms without a pause.)"""
        runs: list[list[os.DirEntry[str]]] = []
        count = 0
        while run := sorted(islice(entries, RUN), key=_NAME):
            runs.append(run)
            count += len(run)
            if count >= 2 * most:
                runs = [self._merged(runs, most)]
                count = most
        return self._merged(runs, most)

    def _merged(self, runs: list[list[os.DirEntry[str]]], most: int) -> list[os.DirEntry[str]]:
        found: list[os.DirEntry[str]] = []
        for entry in islice(heapq.merge(*runs, key=_NAME), most):
            self._pause()
            found.append(entry)
        return found

    def _relevant(self, entries: Iterable[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
        for entry in entries:
            self._pause()
            if not entry.name.startswith(".") and (is_manifest(entry.name) or _is_folder(entry)):
                yield entry

    def _look(self, entry: os.DirEntry[str], folder: RankedPath) -> None:
        ranked = RankedPath((*folder.rank, entry.name), entry.path)
        part = self._part(folder)
        status = _status(entry.path)
        if status is None or not stat.S_ISDIR(status.st_mode):
            if is_manifest(entry.name):
                self._add(ranked, status, part, is_link=entry.is_symlink())
        elif len(ranked.rank) > DEPTH + 1:
            part.refused[entry.path] = f"is not read: it is more than {DEPTH} folders below its given path"
        elif self._folders >= FOLDERS:
            part.lose(f"{FOLDERS:,} folders")
        else:
            self._folders += 1
            if entry.is_symlink():
                self._links.append(ranked)
            else:
                self._enter(ranked, status)

    def _add(self, ranked: RankedPath, status: os.stat_result | None, part: _Part | None, *, is_link: bool) -> None:
        """`part`: None for a given file, which is read in any case."""
        found, path = self._found, ranked.path
        is_file = status is not None and stat.S_ISREG(status.st_mode)
        if path in found.ranks:  # below another given path
            found.ranks[path] = min(found.ranks[path], ranked.rank)
            return
        if not (is_link or is_file):
            return
        if part is not None and self._files >= FILES:
            part.lose(f"{FILES:,} files")
            return
        self._files += 1
        for target in _targets(path) if is_link else ():
            found.targets.setdefault(target, set()).add(path)
        if status is not None and is_file:
            found.files[path] = Stamp.of(status)
        found.ranks[path] = ranked.rank


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Also for a link to a folder."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _targets(link: str) -> set[str]:
    """The target of a link, and the links in between."""
    found: set[str] = set()
    try:
        while (target := os.path.join(os.path.dirname(link), os.readlink(link))) not in found:
            link = os.path.join(os.path.realpath(os.path.dirname(target)), os.path.basename(target))
            found.add(link)
    except OSError:  # not a link: the end of the chain
        return found
    return found


def _existing(folder: str) -> str:
    """`folder` or, if that does not exist, its nearest existing ancestor."""
    return folder if not folder or os.path.isdir(folder) else _existing(os.path.dirname(folder))


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None
