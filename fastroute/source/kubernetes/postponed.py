"""Postponed: BackendTLSPolicies that wait until the ConfigMaps that they name are read.

A ConfigMap is read only while a policy names it. So when a policy begins to name one, its content is not known yet, and
a policy without CA certificates refuses all requests. Such a policy reaches the Store together with the content; until
then its last version is served. It waits no longer than PATIENCE: after that it is served as it is, so that its
status says what is wrong. Later edits of a policy that waits do not extend the time.
"""

from collections import deque
from collections.abc import Callable
from math import inf

import msgspec
import trio

from fastroute.resources.meta import Key
from fastroute.resources.policy import BackendTLSPolicy
from fastroute.source.kubernetes.named import Named, config_maps_of
from fastroute.source.store import Apply, Delete

PATIENCE = 2.0  # s


class _Waiting(msgspec.Struct):
    event: Apply
    named: frozenset[Named]  # all ConfigMaps of the policy
    unread: set[Key]
    until: float  # on trio's clock


class Postponed:
    """`is_read`: whether it is known of a ConfigMap what it contains, that it does not exist, or why it cannot be read.
    Whoever finds out more calls `note_read`."""

    def __init__(self, is_read: Callable[[Key], bool]) -> None:
        self._is_read = is_read
        self._waiting: dict[Key, _Waiting] = {}  # by policy
        self._for: dict[Key, set[Key]] = {}  # the policies that wait for a ConfigMap
        self._deadlines: deque[tuple[float, Key]] = deque()  # in the order of time; some policies wait no longer
        self._begun = trio.Event()  # set when a policy waits

    @property
    def names(self) -> frozenset[Named]:
        """What must be read for the policies that wait."""
        return frozenset[Named]().union(*(one.named for one in self._waiting.values()))

    def takes(self, event: Apply | Delete) -> bool:
        """Whether it is a policy that waits from now on. In any case, an earlier version does not wait any more."""
        if isinstance(event, Delete):
            if event.kind is BackendTLSPolicy:
                self._drop(event.key)
            return False
        policy = event.resource
        if not isinstance(policy, BackendTLSPolicy):
            return False
        now, before = trio.current_time(), self._drop(policy.key)
        named = config_maps_of(policy)
        unread = {one.key for one in named if not self._is_read(one.key)}
        until = before.until if before else now + PATIENCE
        if not unread or until <= now:
            return False
        self._waiting[policy.key] = _Waiting(event, named, unread, until)
        for key in unread:
            self._for.setdefault(key, set()).add(policy.key)
        if before is None:
            self._deadlines.append((until, policy.key))
            self._begun.set()
        return True

    def _drop(self, policy: Key) -> _Waiting | None:
        """The policy does not wait any more. Returns what waited."""
        waiting = self._waiting.pop(policy, None)
        for key in waiting.unread if waiting else ():
            self._for[key].discard(policy)
            if not self._for[key]:
                del self._for[key]
        return waiting

    def note_read(self, config_map: Key) -> list[Apply]:
        """This ConfigMap is read. Returns the policies that need not wait any more."""
        found = []
        for policy in self._for.pop(config_map, ()):
            waiting = self._waiting[policy]
            waiting.unread.discard(config_map)
            if not waiting.unread:
                del self._waiting[policy]
                found.append(waiting.event)
        return found

    async def late(self) -> list[Apply]:
        """Waits until a policy has waited too long, and returns it: `takes` lets it pass now."""
        while True:
            while self._deadlines and not self._is_awaited(*self._deadlines[0]):
                self._deadlines.popleft()
            if self._deadlines and self._deadlines[0][0] <= trio.current_time():
                return [self._waiting[self._deadlines.popleft()[1]].event]
            self._begun = trio.Event()
            with trio.move_on_at(self._deadlines[0][0] if self._deadlines else inf):
                await self._begun.wait()

    def _is_awaited(self, until: float, policy: Key) -> bool:
        waiting = self._waiting.get(policy)
        return waiting is not None and waiting.until == until
