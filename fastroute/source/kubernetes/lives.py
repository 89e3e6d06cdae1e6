"""Lives: the collections that are watched now, and what they hold together."""

from collections.abc import Iterator
from typing import NamedTuple

import trio

from fastroute.apiserver.kinds import BY_KIND
from fastroute.apiserver.objects import Held
from fastroute.resources.meta import Key, Resource
from fastroute.resources.problem import ManifestProblem
from fastroute.source.kubernetes.collection import Collection
from fastroute.source.kubernetes.scope import Doors, Scope
from fastroute.source.kubernetes.watch import Watch


class Life(NamedTuple):
    """A collection that is watched, and how to end the watch."""

    collection: Collection
    scope: trio.CancelScope
    watch: Watch
    namespace: str  # "": all, or that of an object that is followed by its name

    @property
    def type(self) -> type[Resource]:
        return self.collection.row.type


class Lives(dict[str, Life]):
    """By the name of the watch: "HTTPRoute", "HTTPRoute in team-a", "Secret team-a/web"."""

    def __init__(self, scope: Scope, doors: Doors) -> None:
        super().__init__()
        self._scope, self._doors = scope, doors

    @property
    def versions(self) -> dict[str, str]:
        """The version in which each kind is watched, by kind."""
        return {life.collection.row.kind: life.collection.version for life in self.values()}

    def held(self, kind: str, key: Key) -> Held | None:
        """The state of an object as the API server last sent it. None: there is no such object, or its namespace is
        not served yet: its status must stay."""
        life = self.get(self._scope.name(kind, key.namespace))
        return None if life is None or self._doors.is_closed(life.namespace) else life.collection.held.get(key)

    def all_held(self, kind: str) -> dict[Key, Held]:
        """The state of every object of a kind."""
        open_ = (life for life in self.of_kind(kind) if not self._doors.is_closed(life.namespace))
        found = [life.collection.held for life in open_]
        return found[0] if len(found) == 1 else {key: held for one in found for key, held in one.items()}

    def of_kind(self, kind: str) -> Iterator[Life]:
        """The watches of a kind, without those by name."""
        names = (part.name for part in self._scope.parts(BY_KIND[kind]))
        return (self[name] for name in names if name in self)

    def has_read(self, namespace: str) -> bool:
        """Whether everything that is needed of a namespace was listed."""
        needed = [one.collection for one in self.values() if one.namespace == namespace and one.collection.row.needed]
        return bool(needed) and all(one.is_listed for one in needed)

    def refuse(self, name: str, now: float) -> None:
        """Something that is needed may not be read. Its namespace is closed until everything that is needed of it was
        listed anew: without a new list of policies, new routes and Services would be served without them."""
        if (life := self.get(name)) is None:
            return
        if self._doors.is_open(life.namespace):
            here = [one for one in self.values() if one.namespace == life.namespace]
            self._doors.close(life.namespace, ((one.type, key) for one in here for key in one.collection.held))
            stale = [one for one in here if one.collection.row.needed]
        else:
            stale = [life] if self._doors.is_closed(life.namespace) else []
        for one in stale:
            one.collection.is_listed = False
            one.watch.renew()
        self._doors.refuse(life.namespace, now)

    def with_status(self, namespace: str) -> list[tuple[str, Key]]:
        """The kind and key of each object of a closed namespace that is served and has a status."""
        served = self._doors.served(namespace)
        return [
            (one.collection.row.kind, key)
            for one in self.values()
            if one.namespace == namespace and one.collection.row.has_status
            for key in one.collection.held
            if (one.type, key) in served
        ]

    def has(self, name: str, collection: Collection) -> bool:
        """Whether this collection is watched now under this name."""
        life = self.get(name)
        return life is not None and life.collection is collection

    def hold(self, kind: type[Resource], key: Key) -> bool:
        """Whether any of them holds an object."""
        return any(life.collection.row.type is kind and key in life.collection.held for life in self.values())

    def problems(self) -> Iterator[ManifestProblem]:
        return (problem for life in self.values() for problem in life.collection.problems.values())


def key_of(kind: str, name: str) -> Key | None:
    """The object of a watch by name, if it is of this kind, from the name of the watch: "Secret team-a/web"."""
    watched, _, key = name.partition(" ")
    return Key(*key.split("/", 1)) if watched == kind and "/" in key else None
