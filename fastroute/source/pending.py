"""Pending: the objects that changed since the last snapshot, and in which order the next ones contain them.

The namespaces take turns (deficit round robin): in each round every namespace may spend QUANTUM more, and its objects
follow while it can pay their size. So thousands of changes in one namespace delay a change in another one by at most
one portion. (A Namespace belongs to the namespace that it is.)

Within a namespace, changes that arrived in the meantime follow after those that were pending; of these, what others
depend on comes first (DEPENDENCIES), and deletions come last, except for ReferenceGrants: a permission that was revoked
must not be used any longer than necessary. An object that changes again keeps its place, and its newest version counts.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from fastroute.resources.core import EndpointSlice, Namespace, Secret, Service
from fastroute.resources.gateway import Gateway, GatewayClass, GRPCRoute, HTTPRoute, ListenerSet
from fastroute.resources.meta import Key, Resource
from fastroute.resources.policy import BackendTLSPolicy, ReferenceGrant

QUANTUM = 8  # units of size
PER_UNIT = 4  # matches, backendRefs and filters of a route
ENDPOINTS_PER_UNIT = 50
SECRET = 10  # units: its certificate is parsed and its key is checked
DEPENDENCIES: dict[Any, int] = {
    kind: number
    for number, kind in enumerate(
        (
            ReferenceGrant,
            Namespace,
            GatewayClass,
            BackendTLSPolicy,
            Secret,
            EndpointSlice,
            Service,
            Gateway,
            ListenerSet,
        )
    )
}  # kinds before those that depend on them; all others depend on these


class Changed(NamedTuple):
    """An object that changed."""

    kind: type[Resource]
    key: Key

    @property
    def space(self) -> str:
        return self.key.name if self.kind is Namespace else self.key.namespace


class _Space:
    """The changed objects of a namespace. `since`: when each changed first."""

    def __init__(self) -> None:
        self.since: dict[Changed, float] = {}
        self.deficit = 0  # what it has saved
        self._round: deque[Changed] = deque()
        self._next: list[Changed] = []

    def add(self, changed: Changed, since: float) -> None:
        if changed not in self.since:
            self.since[changed] = since
            self._next.append(changed)

    def first(self, find: Callable[[Changed], Resource | None]) -> Changed:
        if not self._round:
            self._round.extend(sorted(self._next, key=lambda changed: _rank(changed, find(changed))))
            self._next = []
        return self._round[0]

    def take(self) -> float:
        """Removes the first one; returns when it changed."""
        return self.since.pop(self._round.popleft())


def _rank(changed: Changed, now: Resource | None) -> tuple[bool, int]:
    place = DEPENDENCIES.get(changed.kind, len(DEPENDENCIES))
    is_last = now is None and changed.kind is not ReferenceGrant
    return is_last, -place if is_last else place


class Pending:
    """`find` returns the newest version of an object, None if it was deleted."""

    def __init__(self, find: Callable[[Changed], Resource | None]) -> None:
        self._find = find
        self._spaces: OrderedDict[str, _Space] = OrderedDict()  # the next one first

    def __bool__(self) -> bool:
        return bool(self._spaces)

    def add(self, changed: Changed, since: float) -> None:
        self._spaces.setdefault(changed.space, _Space()).add(changed, since)

    def take_all(self) -> list[Changed]:
        taken = [changed for space in self._spaces.values() for changed in space.since]
        self._spaces.clear()
        return taken

    def take(self, most: int) -> dict[Changed, float]:
        """The next changes: at least one, and not many more than `most` units. With the times when they came."""
        taken: dict[Changed, float] = {}
        while self._spaces and most > 0:
            name, space = next(iter(self._spaces.items()))
            space.deficit += QUANTUM
            while space.since:
                changed = space.first(self._find)
                cost = size(self._find(changed))
                if cost > space.deficit:
                    break
                space.deficit -= cost
                most -= cost
                taken[changed] = space.take()
            if space.since:
                self._spaces.move_to_end(name)
            else:
                del self._spaces[name]
        return taken


def size(resource: Resource | None) -> int:
    """An estimate of the work to build and publish an object, in units of a route with one rule; None: a deletion."""
    if isinstance(resource, HTTPRoute | GRPCRoute):
        parts = sum(len(rule.matches) + len(rule.backend_refs) + len(rule.filters) for rule in resource.spec.rules)
        return 1 + parts // PER_UNIT
    if isinstance(resource, Gateway | ListenerSet):
        return 1 + len(resource.spec.listeners)
    if isinstance(resource, EndpointSlice):
        return 1 + len(resource.endpoints or ()) // ENDPOINTS_PER_UNIT
    return SECRET if isinstance(resource, Secret) else 1
