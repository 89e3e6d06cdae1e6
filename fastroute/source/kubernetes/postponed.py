"""Postponed: BackendTLSPolicies and Gateways that wait until the ConfigMaps that they name are read.

A ConfigMap is read only while an object names it. So when an object begins to name one, the content is not known yet.
Without CA certificates a policy refuses all requests, and a Gateway all clients of its HTTPS listeners. Such an object
reaches the Store together with the content; until then its last version is served. It waits no longer than PATIENCE:
after that it is served as it is, so that its status says what is wrong (unread.py). Later edits of an object that waits
do not extend the time.
"""

from collections import deque
from collections.abc import Callable
from math import inf
from typing import NamedTuple

import msgspec
import trio

from fastroute.resources.gateway import Gateway
from fastroute.resources.meta import Key, Resource
from fastroute.resources.policy import BackendTLSPolicy
from fastroute.source.kubernetes.named import Named
from fastroute.source.store import Apply, Delete

PATIENCE = 2.0  # s
Id = tuple[type[Resource], Key]


class _Waiting(msgspec.Struct):
    event: Apply
    named: frozenset[Named]  # all ConfigMaps of the object
    unread: set[Key]
    until: float  # on trio's clock


class Taken(NamedTuple):
    """`waits`: the object waits from now on. `unread`: the ConfigMaps that it names and that are not read yet."""

    waits: bool
    unread: frozenset[Key] = frozenset()


class Postponed:
    """`named_in`: the ConfigMaps that an object names and may use. `is_read`: whether it is known what a ConfigMap
    contains, that it does not exist, or why it cannot be read. Whoever finds out more calls `note_read`."""

    def __init__(
        self, named_in: Callable[[BackendTLSPolicy | Gateway], frozenset[Named]], is_read: Callable[[Key], bool]
    ) -> None:
        self._named_in, self._is_read = named_in, is_read
        self._waiting: dict[Id, _Waiting] = {}
        self._for: dict[Key, set[Id]] = {}  # the objects that wait for a ConfigMap
        self._deadlines: deque[tuple[float, Id]] = deque()  # in the order of time; some objects wait no longer
        self._begun = trio.Event()  # set when an object waits

    @property
    def names(self) -> frozenset[Named]:
        """What must be read for the objects that wait."""
        return frozenset[Named]().union(*(one.named for one in self._waiting.values()))

    def takes(self, event: Apply | Delete) -> Taken:
        """Whether it is an object that waits. In any case, an earlier version does not wait any more."""
        if isinstance(event, Delete):
            self._drop((event.kind, event.key))
            return Taken(False)
        resource = event.resource
        if not isinstance(resource, BackendTLSPolicy | Gateway):
            return Taken(False)
        id_ = (type(resource), resource.key)
        now, before = trio.current_time(), self._drop(id_)
        named = self._named_in(resource)
        unread = frozenset(one.key for one in named if not self._is_read(one.key))
        until = before.until if before else now + PATIENCE
        if not unread or until <= now:
            return Taken(False, unread)
        self._waiting[id_] = _Waiting(event, named, set(unread), until)
        for key in unread:
            self._for.setdefault(key, set()).add(id_)
        if before is None:
            self._deadlines.append((until, id_))
            self._begun.set()
        return Taken(True, unread)

    def _drop(self, id_: Id) -> _Waiting | None:
        """The object does not wait any more. Returns what waited."""
        waiting = self._waiting.pop(id_, None)
        for key in waiting.unread if waiting else ():
            self._for[key].discard(id_)
            if not self._for[key]:
                del self._for[key]
        return waiting

    def note_read(self, config_map: Key) -> list[Apply]:
        """This ConfigMap is read. Returns the objects that need not wait any more."""
        found = []
        for id_ in self._for.pop(config_map, ()):
            waiting = self._waiting[id_]
            waiting.unread.discard(config_map)
            if not waiting.unread:
                del self._waiting[id_]
                found.append(waiting.event)
        return found

    async def late(self) -> list[Apply]:
        """Waits until an object has waited too long, and returns it: `takes` lets it pass now."""
        while True:
            while self._deadlines and not self._is_awaited(*self._deadlines[0]):
                self._deadlines.popleft()
            if self._deadlines and self._deadlines[0][0] <= trio.current_time():
                return [self._waiting[self._deadlines.popleft()[1]].event]
            self._begun = trio.Event()
            with trio.move_on_at(self._deadlines[0][0] if self._deadlines else inf):
                await self._begun.wait()

    def _is_awaited(self, until: float, id_: Id) -> bool:
        waiting = self._waiting.get(id_)
        return waiting is not None and waiting.until == until
