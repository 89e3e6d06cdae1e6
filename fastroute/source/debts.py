"""Debts: the namespaces whose changes took long, and therefore have to wait.

Some changes cannot be divided: with a Gateway, thousands of routes may change, and a route may have a hundred regular
expressions. Such a change takes some hundred milliseconds, and no other change is served in this time. It is served at
once. But the next changes in the same lane of this namespace wait FACTOR times as long as it took, so that at most one
in ten changes of other namespaces is delayed by one of them. Whether a change is expensive is decided by its CPU time.
How long it took is wall time, because the others waited so long: if other programs use the CPUs, it is several times
the CPU time. If several lanes of a namespace are expensive, each waits
for the sum. If an expensive pass had changes of several payers, the next change of each payer is built alone, to find
out which one is expensive.

A change of a ListenerSet also costs time for the listeners that other namespaces have at the same Gateway
(graph/burden.py). That time is theirs: it is added to what their changes need, and the changed namespace does not wait
for it, except for what exceeds FREE. (Else the changes of a small namespace could occupy all the time.)

A namespace whose changes need more than 1/FACTOR of the time, EXPENSIVE in advance, is busy: its changes do not wait,
but they are divided into portions, however few arrive together.
"""

from collections.abc import Collection, Mapping
from enum import Enum
from typing import NamedTuple

EXPENSIVE = 0.025  # s
FACTOR = 12.0
FREE = 2 * EXPENSIVE  # s for the listeners of others, in one change: others wait for it once
LONGEST = 15.0  # s; a change of 5,000 routes took 1 s of CPU time on a busy machine


class Lane(Enum):
    """Changes of a namespace that wait for each other: expensive routes do not delay its endpoints."""

    WIDE = "objects on which many others may depend"
    ROUTES = "routes"
    ENDPOINTS = "endpoints"


class Payer(NamedTuple):
    space: str
    lane: Lane


class Charge(NamedTuple):
    """What some changes cost together. `seconds`: of CPU time. `took`: the same in wall time."""

    seconds: float
    took: float

    def without(self, seconds: float) -> "Charge":
        """The rest without so much CPU time."""
        rest = self.seconds - seconds
        return Charge(rest, self.took * rest / self.seconds if self.seconds else self.took)


class _Spent(NamedTuple):
    """The time that the changes of a namespace needed, less what it may use since."""

    seconds: float
    at: float

    def left(self, now: float) -> float:
        return max(0.0, self.seconds - (now - self.at) / FACTOR)


_NOTHING = _Spent(0.0, 0.0)


class Debts:
    """Times are in seconds of any clock."""

    def __init__(self) -> None:
        self._expensive: set[Payer] = set()  # those whose last change was expensive
        self._until: dict[str, float] = {}  # when the expensive lanes of a namespace may change next
        self._suspects: dict[Payer, float] = {}  # one of several in an expensive change, and how long that took
        self._spent: dict[str, _Spent] = {}  # by namespace

    def charge(self, shares: Mapping[Payer, float], cost: Charge, now: float, others: Mapping[str, float]) -> None:
        """The changes of these payers cost so much together. `shares`: the sizes of their changes. `others`: what the
        listeners of other namespaces added to that, in the same unit."""
        if not shares:
            return
        payers, parts = shares.keys(), dict(others)
        own = sum(shares.values())
        whole = own + sum(parts.values())
        for payer, share in shares.items():
            parts[payer.space] = parts.get(payer.space, 0.0) + share
        for space, part in parts.items():
            spent = self._spent.pop(space, _NOTHING).left(now) + cost.seconds * part / whole
            self._spent[space] = _Spent(spent, now)
        while self._spent and not next(iter(self._spent.values())).left(now):
            del self._spent[next(iter(self._spent))]  # the one that was charged the longest time ago
        self._judge(payers, cost.without(min(cost.seconds * (1 - own / whole), FREE)), now)

    def _judge(self, payers: Collection[Payer], cost: Charge, now: float) -> None:
        """Notes which payers must wait after their changes cost so much."""
        if cost.seconds < EXPENSIVE:
            self._expensive.difference_update(payers)
            for payer in payers:
                self._suspects.pop(payer, None)
        elif len(payers) > 1:
            self._suspects.update(dict.fromkeys(payers, cost.took))
        else:
            for payer in payers:
                self._expensive.add(payer)
                took = cost.took + self._suspects.pop(payer, 0.0)
                since = max(self._until.get(payer.space, now), now)
                self._until[payer.space] = min(since + FACTOR * took, now + LONGEST)

    def is_busy(self, space: str, now: float) -> bool:
        return self._spent.get(space, _NOTHING).left(now) > EXPENSIVE

    def may(self, payer: Payer, others: Collection[Payer], now: float) -> bool:
        """Whether a change of `payer` may be built together with changes of `others`."""
        if now < self.until(payer):
            return False
        return all(other == payer for other in others) or not any(map(self._is_alone, (payer, *others)))

    def until(self, payer: Payer) -> float:
        """When it may change next."""
        return self._until.get(payer.space, 0.0) if payer in self._expensive else 0.0

    def _is_alone(self, payer: Payer) -> bool:
        return payer in self._expensive or payer in self._suspects
