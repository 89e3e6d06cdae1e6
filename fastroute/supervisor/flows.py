"""How many UDP flows there are, from the counters of the workers."""

from collections import Counter
from collections.abc import Callable, Sequence

from fastroute.ext.reactor.counters import OTHER_SLOT, CounterMap
from fastroute.supervisor.admission import Admission

Labels = tuple[str, str, str, str]  # of udp_flows


class FlowTally:
    """udp_flows, a gauge: by gateway, listener, route and backend. A series that had flows stays, also without any."""

    def __init__(
        self, maps: Sequence[CounterMap], bound: int, end: Callable[[], int], labels: Callable[[int], Labels]
    ) -> None:
        """`end`: the slot after the last one that was assigned so far. `labels`: those of the series of a slot."""
        self._maps, self._end, self._labels = maps, end, labels
        self._admission = Admission[Labels](bound, lambda labels: (labels[2] or labels[0]).partition("/")[0])
        self._known: dict[int, Labels] = {}  # by slot: the series that had flows

    def flows(self) -> tuple[dict[Labels, int], int | None]:
        """The number of flows of each series, and of `other`; None: none was ever counted there."""
        sums: Counter[int] = Counter()
        for one in self._maps:
            for slot, count in one.flows(self._end()):
                sums[slot] += count
        for slot in sums.keys() - self._known.keys():
            self._known[slot] = self._labels(slot)
        named: Counter[Labels] = Counter()
        other = None
        for slot, labels in self._known.items():
            if slot != OTHER_SLOT and self._admission(labels):
                named[labels] += sums[slot]
            else:
                other = (other or 0) + sums[slot]
        return dict(named), other

    def rebase(self, slot: int) -> None:
        """Prepares `slot` for its assignment to another series."""
        labels = self._known.pop(slot, None)
        if labels is not None and labels not in self._known.values():
            self._admission.expel(labels)
