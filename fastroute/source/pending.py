"""Pending: the objects that changed since the last snapshot, and in which order the next ones contain them.

The namespaces take turns (deficit round robin): in each round every namespace may spend QUANTUM more, and its objects
follow while it can pay their size. So thousands of changes in one namespace delay a change in another one by at most
one portion. (A Namespace belongs to the namespace that it is.) But if all changes together have at most WHOLE units,
they are one portion: few changes that arrive together take effect together. This does not apply to a namespace that is
busy (debts.py): it would delay others by such a portion again and again.

Within a namespace, changes that arrived in the meantime follow after those that were pending; of these, what others
depend on comes first (DEPENDENCIES), and deletions come last, except for ReferenceGrants: a permission that was revoked
must not be used any longer than necessary. An object that changes again keeps its place, and its newest version counts.

The size is an estimate. It does not tell how many objects depend on another one: thousands of routes may be attached to
a Gateway. So the time that a portion took is charged to the namespace whose changes it contained, and if it took long,
further ones of this namespace have to wait (debts.py).
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from math import inf
from typing import Any, NamedTuple

from fastroute.resources.core import ClusterTrustBundle, ConfigMap, EndpointSlice, Namespace, Secret, Service
from fastroute.resources.endpoints import Endpoints
from fastroute.resources.gateway import Gateway, GatewayClass, ListenerSet, Route
from fastroute.resources.http_rule import HTTPRule
from fastroute.resources.meta import Key, Resource
from fastroute.resources.policy import BackendTLSPolicy, ReferenceGrant
from fastroute.resources.route_kinds import BY_TYPE, hostnames_of
from fastroute.source.debts import Charge, Debts, Lane, Payer

WHOLE = 100  # units of size
LARGEST = WHOLE + 1  # of an object
QUANTUM = 8
PARTS = ("matches", "backend_refs", "filters")  # of the rules of a route
PER_UNIT = 4  # such parts
ENDPOINTS_PER_UNIT = 50
SECRET = 10  # units: its certificate is parsed and its key is checked
CONFIG_MAP = 10  # units, if it has CA certificates, which are parsed
LISTENERS_PER_UNIT = 30  # unchanged listeners of a Gateway and its ListenerSets
EXPRESSION = 4  # units: it is compiled and its automaton is built
DEPENDENCIES: dict[Any, int] = {
    kind: number
    for number, kind in enumerate(
        (
            ReferenceGrant,
            Namespace,
            GatewayClass,
            ConfigMap,
            ClusterTrustBundle,
            BackendTLSPolicy,
            Secret,
            EndpointSlice,
            Service,
            Gateway,
            ListenerSet,
        )
    )
}  # kinds before those that depend on them; all others depend on these
LANES: dict[type[Resource], Lane] = {EndpointSlice: Lane.ENDPOINTS, Endpoints: Lane.ENDPOINTS}


class Changed(NamedTuple):
    """An object that changed."""

    kind: type[Resource]
    key: Key

    @property
    def space(self) -> str:
        return self.key.name if self.kind is Namespace else self.key.namespace

    @property
    def lane(self) -> Lane:
        return LANES.get(self.kind) or (Lane.WIDE if self.kind in DEPENDENCIES else Lane.ROUTES)

    @property
    def payer(self) -> Payer:
        return Payer(self.space, self.lane)


Find = Callable[[Changed], Resource | None]
Rank = tuple[bool, int]  # lower ones first


def _rank(changed: Changed, now: Resource | None) -> Rank:
    position = DEPENDENCIES.get(changed.kind, len(DEPENDENCIES))
    is_last = now is None and changed.kind is not ReferenceGrant
    return is_last, -position if is_last else position


Lines = dict[Lane, dict[Rank, deque[Changed]]]  # without empty ones


class _Space:
    """The changed objects of a namespace in order. `since`: when each changed first.

    They are put in order one by one. To sort 20,000 at once takes 25 ms.
    """

    def __init__(self, find: Find) -> None:
        self.since: dict[Changed, float] = {}
        self.deficit = 0  # what it has saved
        self.lanes: Counter[Lane] = Counter()  # the number of changes in each
        self._find = find
        self._round: Lines = {}
        self._next: Lines = {}  # for the next round

    def add(self, changed: Changed, since: float) -> None:
        if changed not in self.since:
            self.since[changed] = since
            self.lanes[changed.lane] += 1
            _put(self._next, changed, _rank(changed, self._find(changed)))

    def first(self, lanes: Collection[Lane]) -> Changed | None:
        """The next change in one of these lanes."""
        while (lane := self._next_lane(lanes)) is not None:
            rank = min(self._round[lane])
            changed = self._round[lane][rank][0]
            is_deletion, _ = now = _rank(changed, self._find(changed))
            if rank == now or not is_deletion:
                return changed
            _pop(self._round, lane)
            _put(self._round, changed, now)
        return None

    def take_first(self, changed: Changed) -> float:
        """Removes what `first` returned; returns when it changed."""
        _pop(self._round, changed.lane)
        self.lanes[changed.lane] -= 1
        return self.since.pop(changed)

    def _next_lane(self, lanes: Collection[Lane]) -> Lane | None:
        """The lane with the first change of this round or, if none of these lanes has any, of the next one."""
        if self._round.keys().isdisjoint(lanes):
            self._round.update((lane, self._next.pop(lane)) for lane in lanes if lane in self._next)
        return min(self._round.keys() & lanes, key=lambda lane: min(self._round[lane]), default=None)


def _put(lines: Lines, changed: Changed, rank: Rank) -> None:
    lines.setdefault(changed.lane, {}).setdefault(rank, deque()).append(changed)


def _pop(lines: Lines, lane: Lane) -> None:
    """Removes the first change of a lane."""
    ranks = lines[lane]
    rank = min(ranks)
    ranks[rank].popleft()
    if not ranks[rank]:
        del ranks[rank]
    if not ranks:
        del lines[lane]


class Pending:
    """`find` returns the newest version of an object, None if it was deleted."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._spaces: OrderedDict[str, _Space] = OrderedDict()  # the next one first
        self._debts = Debts()

    def __bool__(self) -> bool:
        return bool(self._spaces)

    def add(self, changed: Changed, since: float) -> None:
        if changed.space not in self._spaces:
            self._spaces[changed.space] = _Space(self._find)
        self._spaces[changed.space].add(changed, since)

    def charge(
        self, taken: Iterable[Changed], cost: Charge, now: float, listeners: Mapping[str, int] | None = None
    ) -> None:
        """`cost`: of what `take` returned. `listeners`: by namespace, those that had to be examined again, also of
        namespaces without changes."""
        shares: dict[Payer, float] = {}
        for changed in taken:
            shares[changed.payer] = shares.get(changed.payer, 0.0) + size(self._find(changed))
        payers = {payer.space: payer for payer in shares}
        others: dict[str, float] = {}
        for space, count in (listeners or {}).items():
            if space in payers:
                shares[payers[space]] += count / LISTENERS_PER_UNIT
            else:
                others[space] = count / LISTENERS_PER_UNIT
        self._debts.charge(shares, cost, now, others)

    def next_time(self, now: float) -> float:
        """When `take` will return something."""
        return min(map(self._debts.until, self._payers()), default=inf)

    def take_all(self) -> dict[Changed, float]:
        """All changes, with the times when they came."""
        taken = {changed: since for space in self._spaces.values() for changed, since in space.since.items()}
        self._spaces.clear()
        return taken

    def take(self, most: int, now: float) -> dict[Changed, float]:
        """The next changes, not many more than `most` units; with the times when they came.

        If some namespaces have no more changes after a round, it is the last one: their changes need not wait for more
        changes of the others to be built.
        """
        if self._is_small(now):
            return self.take_all()
        taken: dict[Changed, float] = {}
        payers: set[Payer] = set()
        while most > 0:
            left, are_blocked = len(self._spaces), True
            for name in list(self._spaces):
                lanes = self._open_lanes(name, payers, now)
                if not lanes:
                    continue
                are_blocked = False
                self._spaces[name].deficit += QUANTUM
                most -= self._take_from(name, lanes, taken, payers)
                if most <= 0:
                    break
            if are_blocked or (taken and len(self._spaces) < left):
                break
        return taken

    def _payers(self) -> Iterator[Payer]:
        for name, space in self._spaces.items():
            yield from (Payer(name, lane) for lane, count in space.lanes.items() if count)

    def _open_lanes(self, name: str, payers: Collection[Payer], now: float) -> list[Lane]:
        """The lanes of a namespace whose changes may be built together with those of `payers`."""
        lanes: list[Lane] = []
        for lane, count in self._spaces[name].lanes.items():
            together = [*payers, *(Payer(name, open_) for open_ in lanes)]
            if count and self._debts.may(Payer(name, lane), together, now):
                lanes.append(lane)
        return lanes

    def _is_small(self, now: float) -> bool:
        """Whether all changes can be one portion."""
        if sum(len(space.since) for space in self._spaces.values()) > WHOLE:
            return False
        payers = list(self._payers())
        if any(self._debts.is_busy(payer.space, now) for payer in payers):
            return False
        if not all(self._debts.may(payer, payers, now) for payer in payers):
            return False
        return sum(size(self._find(changed)) for space in self._spaces.values() for changed in space.since) <= WHOLE

    def _take_from(self, name: str, lanes: Collection[Lane], taken: dict[Changed, float], payers: set[Payer]) -> int:
        """Takes what the namespace can pay; returns how much that is."""
        space = self._spaces[name]
        paid = 0
        while (changed := space.first(lanes)) is not None:
            cost = size(self._find(changed))
            if cost > space.deficit:
                break
            space.deficit -= cost
            paid += cost
            taken[changed] = space.take_first(changed)
            payers.add(changed.payer)
        if space.since:
            self._spaces.move_to_end(name)
        else:
            del self._spaces[name]
        return paid


def size(resource: Resource | None) -> int:
    """An estimate of the work to build and publish an object, in units of a route with one rule; None: a deletion."""
    if isinstance(resource, Route):
        return min(_size_of_route(resource), LARGEST)
    if isinstance(resource, Gateway | ListenerSet):
        return 1 + len(resource.spec.listeners)
    if isinstance(resource, EndpointSlice):
        ports = max(1, len(resource.ports or ()))
        return min(1 + ports * len(resource.endpoints or ()) // ENDPOINTS_PER_UNIT, LARGEST)
    if isinstance(resource, ConfigMap | ClusterTrustBundle):
        return CONFIG_MAP if resource.data else 1
    return SECRET if isinstance(resource, Secret) else 1


def _size_of_route(route: Route) -> int:
    kind = BY_TYPE[type(route)]
    rules: tuple[Any, ...] = getattr(route.spec, "rules", ())
    parts = sum(len(getattr(rule, part, ())) for rule in rules for part in PARTS)
    if kind.l4_rules(route):  # a table of names has each of them
        parts += len(hostnames_of(kind.name, route))
    parents = max(1, len(route.spec.parent_refs))  # its rules are built once for each listener
    return parents * (1 + parts // PER_UNIT) + EXPRESSION * _expressions(kind.http_rules(route))


def _expressions(rules: Iterable[HTTPRule]) -> int:
    """The number of their regular expressions."""
    matches = [match for rule in rules for match in rule.matches]
    types = (test.type for match in matches for test in (*match.headers, *match.query_params))
    return sum(type_ == "RegularExpression" for type_ in (*types, *(match.path.type for match in matches)))
