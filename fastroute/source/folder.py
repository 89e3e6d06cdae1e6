"""Folders: which files below the given paths are manifests, their order, and how a changed file is recognized.

Manifests are all `*.yaml`, `*.yml` and `*.json` files. Their order is that of the given paths; within a path files and
folders are sorted by name, and the files of a folder come at the position of the folder. A given path that names a file
is read whatever its name is. Hidden files and folders are skipped. Links are followed, also links to folders (a mounted
ConfigMap consists of them), but never into a folder that is already being read.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from fastroute.descriptors import explained
from fastroute.errors import SourceError

SUFFIXES = (".yaml", ".yml", ".json")

Rank = tuple[int | str, ...]  # the position of a file: (number of its path, name, name, ...)


class Stamp(msgspec.Struct, frozen=True):
    """Changes when the content of the file changes."""

    inode: tuple[int, int]  # device, number
    size: int  # bytes
    modified: int  # ns

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        return cls((status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)


class Scan(msgspec.Struct, frozen=True):
    """The result of a scan of the paths."""

    files: dict[str, Stamp] = {}  # by path, as the user would write it
    ranks: dict[str, Rank] = {}  # of the files, and of links whose target does not exist yet
    folders: dict[str, Rank] = {}  # the folders that were read
    targets: dict[str, set[str]] = {}  # the links, by their targets
    unreadable: dict[str, str] = {}  # the reason, by folder or given path


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
            elif path.exists():  # a pipe can be read only once, but files are read repeatedly
                raise SourceError(f"cannot read {path}: neither a file nor a folder; write its content to a file first")
            else:
                path.stat()
        except OSError as error:
            raise SourceError(f"cannot read {path}: {explained(error)}; give a file or folder of manifests") from None


def scan(paths: Iterable[Path]) -> Scan:
    """Reads the folders. Files that disappear meanwhile are left out."""
    found = Scan()
    for number, path in enumerate(paths):
        status = _status(str(path))
        if status is None:
            found.unreadable[str(path)] = "does not exist any more; its objects are still used"
        elif stat.S_ISDIR(status.st_mode):
            _read(found, str(path), (number,), (_inode(status),))
        else:
            _add(found, str(path), (number,), status, is_link=path.is_symlink())
    return found


def _read(found: Scan, folder: str, rank: Rank, inside: tuple[tuple[int, int], ...]) -> None:
    """`inside`: the inodes of the folder and its ancestors."""
    found.folders.setdefault(folder, rank)
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        return
    except OSError as error:
        found.unreadable[folder] = f"cannot be read: {explained(error)}; its content is not known"
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
    if path in found.ranks:  # already found below another given path
        return
    for target in _targets(path) if is_link else ():
        found.targets.setdefault(target, set()).add(path)
    if status is not None and stat.S_ISREG(status.st_mode):
        found.files[path] = Stamp.of(status)
    if is_link or path in found.files:
        found.ranks[path] = rank


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


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None
