"""Directory: manifests below some paths as a source. It owns the Store and keeps it as the files are.

A pass reads the files that changed, decodes in them the documents that changed, and gives the Store the difference at once:
whoever takes a snapshot sees all of a pass or nothing of it.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from fastroute.resources.problem import ManifestProblem
from fastroute.source.claims import Claims
from fastroute.source.folder import Scan, Stamp, require, scan
from fastroute.source.manifest import Id, Manifest, read, unreadable
from fastroute.source.store import Store


class Directory:
    """Files below `paths`, in the order given."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.store = Store()
        self._paths = tuple(paths)
        self._claims = Claims()
        self._stamps: dict[str, Stamp] = {}
        self._manifests: dict[str, Manifest] = {}
        self._order: dict[str, int] = {}

    def load(self) -> None:
        """Reads everything. Raises SourceError if a path is missing or unreadable."""
        require(self._paths)
        found = scan(self._paths)
        self._take(found, found.files)

    def _take(self, found: Scan, changed: Iterable[str]) -> bool:
        gone = [path for path in self._manifests if path not in found.files]
        self._order = {path: rank for rank, path in enumerate(found.files)}
        touched: set[Id] = set()
        for path in (*gone, *changed):
            old = self._manifests.get(path)
            new = _manifest(path, old) if path in found.files else None
            touched |= self._claims.update(path, old, new)
            if new is None:
                self._manifests.pop(path, None)
            else:
                self._manifests[path] = new
        self._stamps = dict(found.files)
        return self._publish(touched)

    def _publish(self, touched: set[Id]) -> bool:
        changed = self.store.apply(self._claims.settle(touched, self._order))
        manifests = [self._manifests[path] for path in self._order if path in self._manifests]
        problems = [problem for manifest in manifests for problem in manifest.problems]
        warnings = [warning for manifest in manifests for warning in manifest.warnings]
        return self.store.report((*problems, *self._claims.duplicates(self._order)), warnings) or changed


def _manifest(path: str, previous: Manifest | None) -> Manifest:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        problem = ManifestProblem(file=path, message=f"cannot be read: {os.strerror(error.errno or 0)}")
        return unreadable(path, problem, previous)
    return read(path, content, previous)
