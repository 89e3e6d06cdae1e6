"""Lines: at which line of which file a field of an object stands, so that what is said about it can be found.

Made for one report: each file is indexed, and each of its documents parsed a second time, at most once.
"""

from collections.abc import Mapping
from typing import NamedTuple

from fastroute.resources.decode import Entry, Id
from fastroute.resources.document import Places, nearest, places
from fastroute.resources.problem import field_path
from fastroute.source.manifest import Manifest


class _Found(NamedTuple):
    entry: Entry
    part: int  # index of its text in the manifest
    line: int  # at which that text begins


class Lines:
    """Of the objects that `manifests` define, by path of the file."""

    def __init__(self, manifests: Mapping[str, Manifest]) -> None:
        self._manifests = manifests
        self._objects: dict[str, dict[Id, _Found]] = {}
        self._places: dict[tuple[str, int], list[Places]] = {}

    def find(self, file: str, name: Id, field: str) -> int | None:
        """The line, from 1, of a field of the object; of the nearest thing around it that there is, if it is left
        out. None: it is not known where the object stands."""
        if file not in self._manifests:
            return None
        if file not in self._objects:
            self._objects[file] = _index(self._manifests[file])
        found = self._objects[file].get(name)
        if found is None:
            return None
        id_ = file, found.part
        if id_ not in self._places:
            self._places[id_] = places(self._manifests[file].parts[found.part])
        documents = self._places[id_]
        place = nearest(documents[found.entry.number], found.entry.path + field_path(field)) if documents else None
        return found.line + place[0] - 1 if place else None


def _index(manifest: Manifest) -> dict[Id, _Found]:
    """The first definition of each object, which is the one that counts."""
    objects: dict[Id, _Found] = {}
    line = 1
    for number, (part, document) in enumerate(zip(manifest.parts, manifest.documents, strict=True)):
        for entry in document.entries:
            if entry.id is not None and entry.resource is not None:
                objects.setdefault(entry.id, _Found(entry, number, line))
        line += part.count("\n")
    return objects
