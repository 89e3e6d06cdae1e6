"""Folders: which files below the given paths are manifests, in which order, and what tells that one has changed.

Every `*.yaml`, `*.yml` and `*.json`, path by path as given, within a path in order of names, a folder's content where
its name stands. A path that names a file is taken whatever its name. Hidden files and folders are skipped. Links are
followed, also those to folders (a mounted ConfigMap is full of them), but never into a folder that is being read
already.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from fastroute.errors import SourceError

SUFFIXES = (".yaml", ".yml", ".json")

Rank = tuple[int | str, ...]  # of a file among all: (number of its path, name, name, ...)


class Stamp(msgspec.Struct, frozen=True):
    """What changes when a file's content does."""

    inode: tuple[int, int]  # device, number
    size: int  # bytes
    modified: int  # ns

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        return cls((status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)


class Scan(msgspec.Struct, frozen=True):
    """What is below the paths."""

    files: dict[str, Stamp] = {}  # by path, as the user would write it
    ranks: dict[str, Rank] = {}  # of the files, and of links to what is not there yet
    folders: dict[str, Rank] = {}  # that were read
    targets: dict[str, set[str]] = {}  # those that are links, by what they lead to
    unreadable: dict[str, str] = {}  # why, by folder or given path


def is_manifest(name: str) -> bool:
    return name.endswith(SUFFIXES) and not name.startswith(".")


def require(paths: Iterable[Path]) -> None:
    """Raises SourceError for a path that is missing or cannot be read."""
    for path in paths:
        try:
            if path.is_dir():
                os.scandir(path).close()
            elif path.is_file():
                path.open("rb").close()
            elif path.exists():  # a pipe can be read once only, and we read again and again
                raise SourceError(f"cannot read {path}: neither a file nor a folder; write it to a file first")
            else:
                path.stat()
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror}; give a file or folder of manifests") from None


def scan(paths: Iterable[Path]) -> Scan:
    """Reads the folders. What vanishes meanwhile is left out."""
    found = Scan()
    for number, path in enumerate(paths):
        status = _status(str(path))
        if status is None:
            found.unreadable[str(path)] = "is gone; what it held is still used"
        elif stat.S_ISDIR(status.st_mode):
            _read(found, str(path), (number,), (_inode(status),))
        else:
            _add(found, str(path), (number,), status, is_link=path.is_symlink())
    return found


def _read(found: Scan, folder: str, rank: Rank, inside: tuple[tuple[int, int], ...]) -> None:
    """`inside`: the folder and those around it, as inodes."""
    found.folders.setdefault(folder, rank)
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        return
    except OSError as error:
        found.unreadable[folder] = f"cannot be read: {os.strerror(error.errno or 0)}; what is in it is not known"
        return
    for entry in visible:
        status = _status(entry.path)
        if status is not None and stat.S_ISDIR(status.st_mode):
            inode = _inode(status)
            if inode not in inside:
                _read(found, entry.path, (*rank, entry.name), (*inside, inode))
        elif is_manifest(entry.name):
            _add(found, entry.path, (*rank, entry.name), status, is_link=entry.is_symlink())


def _add(found: Scan, path: str, rank: Rank, status: os.stat_result | None, *, is_link: bool) -> None:
    if path in found.ranks:  # below two of the given paths
        return
    for target in _targets(path) if is_link else ():
        found.targets.setdefault(target, set()).add(path)
    if status is not None and stat.S_ISREG(status.st_mode):
        found.files[path] = Stamp.of(status)
    if is_link or path in found.files:
        found.ranks[path] = rank


def _targets(link: str) -> set[str]:
    """What a link leads to, and the links in between."""
    found: set[str] = set()
    try:
        while (target := os.path.join(os.path.dirname(link), os.readlink(link))) not in found:
            link = os.path.join(os.path.realpath(os.path.dirname(target)), os.path.basename(target))
            found.add(link)
    except OSError:  # no link any more: the end
        return found
    return found


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None
