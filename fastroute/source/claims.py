"""Claims: which definition of an object is used if several manifests have one; and Namespaces without a manifest.

The first definition in the order of the files is used; the others are problems that name both files. A Namespace that
contains an object is assumed to exist, even if no manifest defines it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fastroute.resources.core import Namespace
from fastroute.resources.decode import TYPES, Id
from fastroute.resources.defaults import NAME_LABEL
from fastroute.resources.document import Pause, no_pause
from fastroute.resources.meta import Key, Metadata, Resource
from fastroute.resources.problem import ManifestProblem
from fastroute.source.folder import Rank
from fastroute.source.manifest import Manifest
from fastroute.source.store import Apply, Delete, WatchEvent


class Claims:
    """The definitions of each object by file, and the one that is used."""

    def __init__(self) -> None:
        self._definitions: dict[Id, dict[str, tuple[Resource | None, ...]]] = {}
        self._used: dict[Id, Resource] = {}
        self._inhabitants: Counter[str] = Counter()  # the number of used objects by namespace
        self._implied: dict[str, Namespace] = {}
        self._contested: set[Id] = set()
        self._contesting: set[str] = set()  # the files that define these
        self._leaving: frozenset[str] = frozenset()
        self._duplicates: Sequence[ManifestProblem] = ()  # the last result of `duplicates`
        self.is_stale = False  # `duplicates` must be computed again

    def update(self, path: str, new: Manifest | None, touched: set[Id], pause: Pause = no_pause) -> None:
        """A file changed, was added, or removed (no `new`). `touched`: what differs; `settle` must check it."""
        after = new.definitions if new else {}
        for name in touched:
            pause()
            definitions = self._definitions.setdefault(name, {})
            if name in after:
                definitions[path] = after[name]
            else:
                definitions.pop(path, None)
            if not definitions:
                del self._definitions[name]
            several = sum(map(len, definitions.values())) > 1
            self.is_stale |= several or name in self._contested
            (self._contested.add if several else self._contested.discard)(name)
        self.is_stale |= path in self._contesting

    def is_contesting(self, path: str) -> bool:
        """Whether the last result of `duplicates` depends on this file."""
        return path in self._contesting

    def defines(self, name: Id) -> bool:
        return name in self._definitions

    def settle(self, touched: Iterable[Id], order: Mapping[str, Rank]) -> Iterator[WatchEvent]:
        """The changes for the Store, after every file of this round was updated: first the definitions, then the
        removals; an implied Namespace before its objects."""
        gone = []
        for name in touched:
            old, new = self._used.get(name), self._first(name, order)
            if new is old:
                continue
            if new is None:
                gone.append(name)
                continue
            self._used[name] = new
            yield from self._namespaces(name, 1 if old is None else 0)
            yield Apply(new)
        for name in gone:
            if self._used.pop(name, None) is not None:
                yield Delete(TYPES[name[0]], name[1])
                yield from self._namespaces(name, -1)

    def duplicates(
        self, manifests: Mapping[str, Manifest], leaving: frozenset[str], order: Mapping[str, Rank]
    ) -> Sequence[ManifestProblem]:
        """One problem for each repeated definition. Manifests in `leaving` are ignored."""
        if self.is_stale or leaving != self._leaving:
            self.is_stale, self._leaving = False, leaving
            self._contesting = {path for name in self._contested for path in self._definitions[name]}
            lines = {path: manifests[path].lines() for path in self._contesting - leaving}
            self._duplicates = [
                problem for name in sorted(self._contested) for problem in self._repeated(name, lines, order)
            ]
        return self._duplicates

    def _repeated(
        self, name: Id, lines: Mapping[str, Mapping[Id, Sequence[int]]], order: Mapping[str, Rank]
    ) -> Iterator[ManifestProblem]:
        """`lines`: by file and object."""
        kind, key = name
        paths = sorted((path for path in self._definitions[name] if path in lines), key=order.__getitem__)
        definitions = [(path, line) for path in paths for line in lines[path].get(name, ())]
        for path, line in definitions[1:]:
            yield ManifestProblem(
                file=path,
                line=line,
                kind=kind,
                namespace=key.namespace,
                name=key.name,
                message=f"is also defined at {definitions[0][0]}:{definitions[0][1]}, which comes first and is used",
            )

    def _first(self, name: Id, order: Mapping[str, Rank]) -> Resource | None:
        definitions = self._definitions.get(name, {})
        for path in sorted(definitions, key=order.__getitem__) if len(definitions) > 1 else definitions:
            for resource in definitions[path]:
                if resource is not None:
                    return resource
        return None

    def _namespaces(self, name: Id, more: int) -> Iterator[WatchEvent]:
        """The changes of implied Namespaces. `more`: whether the object `name` is new (1) or was removed (-1)."""
        kind, key = name
        self._inhabitants[key.namespace] += more
        if more and key.namespace:
            yield from self._namespace(key.namespace)
        if kind == "Namespace":
            yield from self._namespace(key.name)

    def _namespace(self, name: str) -> Iterator[WatchEvent]:
        key = Key("", name)
        if ("Namespace", key) in self._used:
            self._implied.pop(name, None)  # the Apply event of the definition replaces it
        elif self._inhabitants[name] > 0:
            if name not in self._implied:
                self._implied[name] = Namespace(
                    metadata=Metadata(name=name, labels={NAME_LABEL: name}), api_version="v1"
                )
                yield Apply(self._implied[name])
        elif self._implied.pop(name, None) is not None:
            yield Delete(Namespace, key)


class Difference(NamedTuple):
    """Between two versions of a file."""

    touched: set[Id]  # the objects whose definitions differ
    removes: bool  # some of them are no longer defined


def differing(old: Manifest | None, new: Manifest | None, pause: Pause = no_pause) -> Difference:
    before = old.definitions if old else {}
    after = new.definitions if new else {}
    touched: set[Id] = set()
    for name in before:
        pause()
        if name not in after:
            touched.add(name)
    removes = bool(touched)
    for name, items in after.items():
        pause()
        if (old_items := before.get(name)) is not items and old_items != items:
            touched.add(name)
    return Difference(touched, removes)
