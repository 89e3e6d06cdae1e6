"""Lines: maps a field of an object to its file and line, for problem reports.

An instance serves one report: it indexes each file, and parses each document a second time, at most once.
"""

from collections.abc import Mapping
from typing import NamedTuple

from fastroute.resources.decode import Entry, Id
from fastroute.resources.document import Positions, nearest, positions
from fastroute.resources.problem import field_path
from fastroute.source.manifest import Manifest


class _Found(NamedTuple):
    entry: Entry
    part: int  # the index of its text in the manifest
    line: int  # the line at which that text begins


class Lines:
    """The lines of the objects that `manifests` define; keys are file paths."""

    def __init__(self, manifests: Mapping[str, Manifest]) -> None:
        self._manifests = manifests
        self._objects: dict[str, dict[Id, _Found]] = {}
        self._positions: dict[tuple[str, int], list[Positions]] = {}

    def find(self, file: str, name: Id, field: str) -> int | None:
        """The line, from 1, of a field of the object, or of the nearest enclosing field if it is not set. None: the
        line of the object is not known."""
        if file not in self._manifests:
            return None
        if file not in self._objects:
            self._objects[file] = _index(self._manifests[file])
        found = self._objects[file].get(name)
        if found is None:
            return None
        id_ = file, found.part
        if id_ not in self._positions:
            self._positions[id_] = positions(self._manifests[file].parts[found.part])
        documents = self._positions[id_]
        position = nearest(documents[found.entry.number], found.entry.path + field_path(field)) if documents else None
        return found.line + position[0] - 1 if position else None


def _index(manifest: Manifest) -> dict[Id, _Found]:
    """The first definition of each object: the one that is used."""
    objects: dict[Id, _Found] = {}
    line = 1
    for number, (part, document) in enumerate(zip(manifest.parts, manifest.documents, strict=True)):
        for entry in document.entries:
            if entry.id is not None and entry.resource is not None:
                objects.setdefault(entry.id, _Found(entry, number, line))
        line += part.count("\n")
    return objects
