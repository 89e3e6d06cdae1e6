"""Folders: which files below the given paths are manifests, their order, and how a changed file is recognized.

Manifests are all `*.yaml`, `*.yml` and `*.json` files. Their order is that of the given paths; within a path files and
folders are sorted by name, and the files of a folder come at the position of the folder. A given path that names a file
is read whatever its name is. Hidden files and folders are skipped. walk.py finds the files, and decides which links to
folders it follows.
"""

import os
from collections.abc import Iterable, Iterator
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
    watched: set[str] = set()  # the folders in which changes matter: also those of given paths and of targets of links
    unreadable: dict[str, str] = {}  # the reason, by path
    left_out: set[str] = set()  # folders, and links to folders, that are not read, or not completely

    def omits(self, path: str) -> bool:
        """Whether a manifest is not read although it exists."""
        return bool(self.left_out) and path not in self.files and any(map(self.left_out.__contains__, _above(path)))


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


def _above(path: str) -> Iterator[str]:
    while path and (folder := os.path.dirname(path)) != path:
        yield folder
        path = folder
