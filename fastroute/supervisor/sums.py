"""The sums of the counters of all workers, by slot: which series of a family are shown, and what counts as `other`.

The memory outlives the worker, so sums only grow. The first `bound` series of a family are exposed separately. If there
are more, the namespaces have equal shares, and the counts of the others are added to `other` and stay there, so no
counter ever decreases (exposed.py). (A histogram is one series.) When a slot is assigned to another series, the count
of that moment is the zero of the new series.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import add, sub

from fastroute.ext.reactor.counters import BOUNDS, OTHER_SLOT, CounterMap, summed_histograms
from fastroute.supervisor.admission import Admission
from fastroute.supervisor.exposed import Exposed

Sums = tuple[int, ...]  # a histogram: the sum in microseconds, then the count of each bucket
Range = Callable[[], tuple[int, int]]  # the slots that were assigned so far: the first one, and the one after the last

Used = Callable[
    [CounterMap, int], Iterable[tuple[int, int, int]]
]  # (slot, code, count) of what was counted before a slot


class RequestTally:
    """http_requests_total: by (slot, status code); grpc_requests_total, by (slot, status of gRPC); or what was passed
    on unread, by (slot, code in TRAFFIC)."""

    def __init__(
        self,
        maps: Sequence[CounterMap],
        bound: int,
        end: Callable[[], int],
        owner: Callable[[int], str] = lambda slot: "",
        used: Used = CounterMap.used_requests,
    ) -> None:
        """`end`: the slot after the last one that was assigned so far. `owner`: the namespace of the series of a
        slot."""
        self._maps, self._used, self._end = maps, used, end
        admission = Admission[tuple[int, int]](bound, lambda cell: owner(cell[0]))
        self._exposed = Exposed[tuple[int, int], int](admission, add, sub)
        self._baseline: Counter[tuple[int, int]] = Counter()
        self._left: Counter[int] = Counter()  # by code: what ended series have counted as `other`

    def counts(self) -> tuple[dict[tuple[int, int], int], Counter[int]]:
        """The count of each series by (slot, code), and the counts of `other` by code."""
        other = Counter(self._left)
        sums = dict[tuple[int, int], int]()
        for (slot, code), count in self._sums().items():
            if slot == OTHER_SLOT:
                other[code] += count
            else:
                sums[slot, code] = count
        named, parts = self._exposed.divide(sums)
        for (_, code), count in parts:
            other[code] += count
        return named, other

    def rebase(self, slot: int) -> None:
        """Prepares `slot` for its assignment to another series."""
        for cell, count in self._sums().items():
            if cell[0] == slot:
                self._baseline[cell] += count
                if left := self._exposed.end(cell, count):
                    self._left[cell[1]] += left

    def _sums(self) -> Counter[tuple[int, int]]:
        sums: Counter[tuple[int, int]] = Counter()
        for one in self._maps:
            for slot, code, count in self._used(one, self._end()):
                sums[slot, code] += count
        sums.subtract(self._baseline)
        return +sums


class HistogramTally:
    """http_request_duration_seconds or upstream_request_duration_seconds: by slot."""

    def __init__(
        self,
        maps: Sequence[CounterMap],
        bound: int,
        slots: Range,
        owner: Callable[[int], str] = lambda slot: "",
        other: int = OTHER_SLOT,
    ) -> None:
        """`other`: the slot of what has no slot of its own."""
        self._maps, self._slots, self._other = maps, slots, other
        self._exposed = Exposed[int, Sums](Admission[int](bound, owner), _added, _subtracted)
        self._baseline: dict[int, Sums] = {}
        self._left: Sums = _NOTHING

    def sums(self) -> tuple[dict[int, Sums], Sums]:
        """The histogram of each slot with measurements, and that of `other`."""
        named, parts = self._exposed.divide(self._all())
        other = _added(self._left, self.one(self._other))
        for _, held in parts:
            other = _added(other, held)
        return named, other

    def _all(self) -> dict[int, Sums]:
        sums = summed_histograms(self._maps, *self._slots())
        if not self._baseline:
            return sums
        for slot, baseline in self._baseline.items():
            sums[slot] = _subtracted(sums[slot], baseline)
        return {slot: held for slot, held in sums.items() if any(held)}

    def one(self, slot: int) -> Sums:
        """The sums of one slot over all workers."""
        held = _NOTHING
        for one in self._maps:
            held = _added(held, one.histogram(slot))
        return _subtracted(held, self._baseline.get(slot, _NOTHING))

    def rebase(self, slot: int) -> None:
        """Prepares `slot` for its assignment to another series."""
        held = self.one(slot)
        if left := self._exposed.end(slot, held):
            self._left = _added(self._left, left)
        if any(held):
            self._baseline[slot] = _added(self._baseline.get(slot, _NOTHING), held)


_NOTHING: Sums = (0,) * (len(BOUNDS) + 2)


def _added(one: Sums, other: Sums) -> Sums:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _subtracted(one: Sums, other: Sums) -> Sums:
    return tuple(a - b for a, b in zip(one, other, strict=True))
