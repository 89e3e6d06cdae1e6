"""Which series counts in which slot of the workers' counters.

Only the main process assigns slots, so every worker counts a series in the same slot, and its replacement continues
there. A listener has a slot for answers before a rule was chosen. A rule has one for each backend, and one for answers
before a backend was chosen. The same rule or listener on two addresses is one series. A series that is no longer used
keeps its slot, and continues if it is used again. Only when no slot is free, the slot that was unused for the longest
time is assigned to another series. After REST seconds no exchange counts for the old series any more, and the new
series starts from the count of that moment. Slots cannot be taken away while they are used; so a namespace gets at most
SHARE times as many as are free, and something always remains for the others.
"""

import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

from fastroute.ext.reactor.counters import FIRST_HISTOGRAM, FIRST_REQUESTS, OTHER_SLOT
from fastroute.publication import RuleSlots
from fastroute.snapshot import Listener, Rule

REST = 600.0  # seconds that a slot stays unused before it may be assigned to another series
SHARE = 3  # three quarters of the slots for the first namespace, three quarters of the rest for the next one


class RequestSeries(NamedTuple):
    """The labels of http_requests_total, without `code`."""

    gateway: str
    listener: str
    route: str  # "" (like the next two) for answers before a rule was chosen
    route_kind: str
    rule: str
    backend: str  # "" for answers before a backend was chosen


NAMELESS = RequestSeries("", "", "", "", "", "")  # answers for which no listener is known


class DurationSeries(NamedTuple):
    """The labels of http_request_duration_seconds."""

    gateway: str
    route: str
    route_kind: str


def owner(series: "RequestSeries | DurationSeries") -> str:
    """The namespace of its route, or else of its Gateway."""
    return space(series.route or series.gateway)


def space(name: str) -> str:
    """The namespace in "ns/name"."""
    return name.partition("/")[0]


Series = TypeVar("Series", bound=Hashable)


class Shelf(Generic[Series]):
    """The slots of one family, from `first` up to `end`.

    `reused(slot)` is called before a slot is assigned to another series. `owner`: the namespace of a series.
    """

    def __init__(
        self,
        first: int,
        end: int,
        reused: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        owner: Callable[[Series], str] = lambda series: "",
    ) -> None:
        self._first, self._next, self._end = first, first, end
        self._reused, self._clock, self._owner = reused, clock, owner
        self._slots: dict[Series, int] = {}
        self._owners: dict[int, Series] = {}
        self._users: Counter[Series] = Counter()
        self._used: Counter[str] = Counter()  # slots by namespace
        self._resting: dict[Series, float] = {}  # time since when each is unused, oldest first

    def end(self) -> int:
        """The slot after the last one that was assigned so far."""
        return self._next

    def range(self) -> tuple[int, int]:
        """The first slot, and `end`."""
        return self._first, self._next

    @property
    def owners(self) -> Mapping[int, Series]:
        """The series of each slot, including unused ones."""
        return self._owners

    def take(self, series: Series) -> int:
        """The slot of `series`, with its use count increased; OTHER_SLOT, uncounted, if no slot is free."""
        slot = self._slots.get(series)
        if slot is None:
            slot = self._free_slot(self._owner(series))
            if slot is None:
                return OTHER_SLOT
            self._slots[series], self._owners[slot] = slot, series
        self._used[self._owner(series)] += not self._users[series]
        self._users[series] += 1
        self._resting.pop(series, None)
        return slot

    def give_back(self, series: Series) -> None:
        """Decreases the use count of a series that has a slot."""
        self._users[series] -= 1
        if not self._users[series]:
            del self._users[series]
            self._used[self._owner(series)] -= 1
            self._resting[series] = self._clock()

    def _free_slot(self, space: str) -> int | None:
        if self._used[space] >= SHARE * (self._end - self._next + len(self._resting)):
            return None
        if self._next < self._end:
            self._next += 1
            return self._next - 1
        oldest = next(iter(self._resting), None)
        if oldest is None or self._clock() - self._resting[oldest] < REST:
            return None
        del self._resting[oldest]
        slot = self._slots.pop(oldest)
        self._reused(slot)
        return slot


class _Holding(NamedTuple):
    """The slots of one rule."""

    slots: RuleSlots
    requests: tuple[RequestSeries, ...]  # the series that have a slot
    duration: DurationSeries | None
    upstreams: tuple[str, ...]


class SlotBook:
    """The slots of every published rule and listener."""

    def __init__(
        self,
        request_slots: int,
        histograms: int,
        requests_reused: Callable[[int], None],
        histogram_reused: Callable[[int], None],
        upstream_reused: Callable[[int], None],
    ) -> None:
        self.requests = Shelf[RequestSeries](FIRST_REQUESTS, request_slots, requests_reused, owner=owner)
        middle = histograms // 2
        self.durations = Shelf[DurationSeries](FIRST_HISTOGRAM, middle, histogram_reused, owner=owner)
        self.upstreams = Shelf[str](middle, histograms, upstream_reused, owner=space)  # by backend
        self._holdings: dict[str, _Holding] = {}
        self._listeners: dict[str, tuple[RequestSeries, int]] = {}  # with their slots

    def assign(self, rule: Rule) -> RuleSlots:
        """The slots of `rule`, which replaces an earlier rule with its id."""
        before = self._holdings.get(rule.id)
        held = self._holdings[rule.id] = self._hold(rule)
        if before is not None:
            self._give_back(before)
        return held.slots

    def release(self, id: str) -> None:
        """Releases the slots of a rule that is no longer published."""
        if (held := self._holdings.pop(id, None)) is not None:
            self._give_back(held)

    def slots(self, rule: Rule) -> RuleSlots:
        """The current slots of `rule`."""
        return self._holdings[rule.id].slots

    def assign_listener(self, listener: Listener) -> int:
        """The slot of `listener`, which replaces an earlier listener with its id."""
        series = RequestSeries(listener.gateway, listener.name, "", "", "", "")
        slot = self.requests.take(series)
        self.release_listener(listener.id)
        self._listeners[listener.id] = series, slot
        return slot

    def release_listener(self, id: str) -> None:
        """Releases the slot of a listener that is no longer published."""
        series, slot = self._listeners.pop(id, (NAMELESS, OTHER_SLOT))
        if slot != OTHER_SLOT:
            self.requests.give_back(series)

    def listener_slot(self, listener: Listener) -> int:
        """The current slot of `listener`."""
        return self._listeners[listener.id][1]

    def _hold(self, rule: Rule) -> _Holding:
        of_rule = (rule.gateway, rule.listener_name, rule.route, rule.route_kind, rule.name)
        wanted = [RequestSeries(*of_rule, backend) for backend in ("", *(ref.label for ref in rule.backends))]
        local, *targets = [self.requests.take(series) for series in wanted]
        duration = DurationSeries(rule.gateway, rule.route, rule.route_kind)
        slot = self.durations.take(duration)
        upstreams = [self.upstreams.take(ref.label) if ref.status is None else OTHER_SLOT for ref in rule.backends]
        return _Holding(
            RuleSlots(targets=tuple(targets), local=local, duration=slot, upstreams=tuple(upstreams)),
            tuple(series for series, taken in zip(wanted, (local, *targets), strict=True) if taken != OTHER_SLOT),
            duration if slot != OTHER_SLOT else None,
            tuple(ref.label for ref, taken in zip(rule.backends, upstreams, strict=True) if taken != OTHER_SLOT),
        )

    def _give_back(self, held: _Holding) -> None:
        for series in held.requests:
            self.requests.give_back(series)
        if held.duration is not None:
            self.durations.give_back(held.duration)
        for backend in held.upstreams:
            self.upstreams.give_back(backend)
