"""Claims: which definition of an object is used if several manifests have one; and Namespaces without a manifest.

The first definition in the order of the files is used; the others are problems that name both files. A Namespace that
contains an object is assumed to exist, even if no manifest defines it.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping

from fastroute.resources.core import Namespace
from fastroute.resources.decode import TYPES, Id
from fastroute.resources.defaults import NAME_LABEL
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

    def update(self, path: str, old: Manifest | None, new: Manifest | None) -> set[Id]:
        """A file changed, was added (no `old`) or removed (no `new`). Returns the objects that `settle` must check."""
        before = old.definitions if old else {}
        after = new.definitions if new else {}
        touched = {name for name in before if name not in after}
        touched |= {
            name for name, items in after.items() if (old_items := before.get(name)) is not items and old_items != items
        }
        for name in touched:
            places = self._definitions.setdefault(name, {})
            if name in after:
                places[path] = after[name]
            else:
                places.pop(path, None)
            if not places:
                del self._definitions[name]
            several = sum(map(len, places.values())) > 1
            (self._contested.add if several else self._contested.discard)(name)
        return touched

    def settle(self, touched: Iterable[Id], order: Mapping[str, Rank]) -> Iterator[WatchEvent]:
        """The changes for the Store, after every file of this pass was updated."""
        homes = set()
        for name in touched:
            kind, key = name
            old, new = self._used.get(name), self._first(name, order)
            if new is old:
                continue
            if new is None:
                del self._used[name]
                yield Delete(TYPES[kind], key)
            else:
                self._used[name] = new
                yield Apply(new)
            if (old is None) != (new is None):
                self._inhabitants[key.namespace] += 1 if old is None else -1
            homes |= {key.namespace, key.name if kind == "Namespace" else ""}
        yield from self._namespaces(homes - {""})

    def duplicates(
        self, manifests: Mapping[str, Manifest], leaving: Container[str], order: Mapping[str, Rank]
    ) -> Iterator[ManifestProblem]:
        """One problem for each repeated definition. Manifests in `leaving` are ignored."""
        for name in sorted(self._contested):
            kind, key = name
            paths = sorted((path for path in self._definitions[name] if path not in leaving), key=order.__getitem__)
            places = [(path, line) for path in paths for line in manifests[path].lines(name)]
            for path, line in places[1:]:
                yield ManifestProblem(
                    file=path,
                    line=line,
                    kind=kind,
                    namespace=key.namespace,
                    name=key.name,
                    message=f"is also defined at {places[0][0]}:{places[0][1]}, which comes first and is used",
                )

    def _first(self, name: Id, order: Mapping[str, Rank]) -> Resource | None:
        places = self._definitions.get(name, {})
        for path in sorted(places, key=order.__getitem__) if len(places) > 1 else places:
            for resource in places[path]:
                if resource is not None:
                    return resource
        return None

    def _namespaces(self, names: Iterable[str]) -> Iterator[WatchEvent]:
        for name in sorted(names):
            key = Key("", name)
            if ("Namespace", key) in self._used:
                self._implied.pop(name, None)  # the Apply event before replaced it
            elif self._inhabitants[name] > 0:
                if name not in self._implied:
                    self._implied[name] = Namespace(
                        metadata=Metadata(name=name, labels={NAME_LABEL: name}), api_version="v1"
                    )
                    yield Apply(self._implied[name])
            elif self._implied.pop(name, None) is not None:
                yield Delete(Namespace, key)
