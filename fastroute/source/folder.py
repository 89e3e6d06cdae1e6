"""Folders: which files below the given paths are manifests, in which order, and what tells that one has changed.

Every `*.yaml`, `*.yml` and `*.json`, in sorted order of their names, folders within them where their names stand; a path
that names a file is taken whatever its name. Hidden files and folders are skipped. Links are followed, also those to folders
(a mounted ConfigMap is full of them), but never into a folder that is being read already.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from fastroute.errors import SourceError

SUFFIXES = (".yaml", ".yml", ".json")


class Stamp(msgspec.Struct, frozen=True):
    """What changes when a file's content does."""

    inode: tuple[int, int]              # device, number
    size: int                           # bytes
    modified: int                       # ns

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        return cls((status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)


class Scan(msgspec.Struct, frozen=True):
    """What is below the paths now."""

    files: dict[str, Stamp]             # by path as the user would write it, in order
    folders: frozenset[str]             # those that were read


def is_manifest(name: str) -> bool:
    return name.endswith(SUFFIXES) and not name.startswith(".")


def require(paths: Iterable[Path]) -> None:
    """Raises SourceError for a path that is missing or cannot be read."""
    for path in paths:
        try:
            if path.is_dir():
                os.scandir(path).close()
            else:
                path.open("rb").close()
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror}; give a file or folder of manifests") from None


def scan(paths: Iterable[Path]) -> Scan:
    """Reads the folders. What vanishes or cannot be read meanwhile is left out."""
    files: dict[str, Stamp] = {}
    folders: set[str] = set()
    for path in paths:
        for name, status in _below(str(path), folders, ()):
            files.setdefault(name, Stamp.of(status))
    return Scan(files, frozenset(folders))


def _below(path: str, folders: set[str], outer: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, os.stat_result]]:
    status = _status(path)
    if status is None:
        return
    if not stat.S_ISDIR(status.st_mode):
        yield path, status
        return
    inode = (status.st_dev, status.st_ino)
    if inode in outer:                  # a link back to a folder that we are in
        return
    folders.add(path)
    try:
        with os.scandir(path) as entries:
            visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in visible:
        if entry.is_dir():
            yield from _below(entry.path, folders, (*outer, inode))
        elif is_manifest(entry.name) and (found := _status(entry.path)) is not None and stat.S_ISREG(found.st_mode):
            yield entry.path, found


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None
