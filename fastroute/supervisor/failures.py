"""Failures of endpoints, as the workers report them once a second: by backend for the metrics, and by endpoint for the
admin API.

Pods come and go, so the metrics have no series of endpoints, and only the MOST endpoints that failed last are kept: of
the namespace with the most, fewer. What is known of a backend is forgotten when it is no longer served.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from operator import add, sub
from threading import Lock

from prometheus_client.core import Metric

from fastroute import metrics
from fastroute.current import OTHER
from fastroute.exposition import Table
from fastroute.ext.reactor.failures import kinds
from fastroute.graph.backend_id import without_certificate
from fastroute.publication import FailedEndpoint
from fastroute.snapshot import Endpoint, backend_label
from fastroute.supervisor.admission import Admission
from fastroute.supervisor.exposed import Exposed
from fastroute.supervisor.latest import Latest
from fastroute.view.state import FailedTries

MOST = 2_000  # endpoints that are kept
PART = 10  # seconds of a part of the last minute
PARTS = 6
FORGET = 60.0  # seconds between two looks for backends that are not served any more
REASONS = frozenset(kinds[1:])

Key = tuple[str, Endpoint]  # the id of a backend in the graph, and its endpoint
Cell = tuple[str, str]  # a series: the label of a backend, and the reason


class Count:
    """The failures of one endpoint."""

    def __init__(self, now: float) -> None:
        self.last = now
        self.reasons: Counter[str] = Counter()
        self._parts, self._part = [0] * PARTS, int(now // PART)

    def add(self, reasons: Mapping[str, int], now: float) -> None:
        self.recent(now)
        self.last = now
        self.reasons.update(reasons)
        self._parts[self._part % PARTS] += sum(reasons.values())

    def recent(self, now: float) -> int:
        """Failures in the last minute, including the part that has begun."""
        part = int(now // PART)
        for passed in range(self._part + 1, min(part, self._part + PARTS) + 1):
            self._parts[passed % PARTS] = 0
        self._part = max(self._part, part)
        return sum(self._parts)


class Served:
    """The backends that are served, whatever certificates are shown to them."""

    def __init__(self, ids: Collection[str]) -> None:
        """`ids`: of a Snapshot."""
        self._ids = ids

    def __contains__(self, id_: str) -> bool:
        return id_ in self._ids or without_certificate(id_) in self.nodes

    @cached_property
    def nodes(self) -> frozenset[str]:
        """Their ids in the graph. Visits all of them once."""
        return frozenset(map(without_certificate, self._ids))

    @cached_property
    def labels(self) -> frozenset[str]:
        return frozenset(map(backend_label, self.nodes))


class Failures:
    """Any thread may call its methods."""

    def __init__(self, series: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._served = Served(())
        self._clock, self._lock = clock, Lock()
        self._endpoints = Latest[Key, Count](MOST, lambda key: _namespace(key[0]))
        self._backends: dict[str, Counter[str]] = {}  # by label, then by reason
        self._forget_at = 0.0
        admission = Admission[Cell](series, lambda cell: _namespace(cell[0]))
        self._exposed = Exposed[Cell, int](admission, add, sub)
        self._left: Counter[str] = Counter()  # by reason: what is in `other` without a backend

    def serve(self, ids: Collection[str]) -> None:
        """Sets the ids of the backends that are served from now on."""
        with self._lock:
            self._served = Served(ids)

    def note(self, report: Iterable[FailedEndpoint]) -> None:
        now = self._clock()
        with self._lock:
            for one in report:
                reasons = {reason: count for reason, count in one.reasons.items() if reason in REASONS}
                if not one.backend:
                    self._left.update(reasons)
                elif reasons and one.backend in self._served:
                    self._add(one, reasons, now)
            if now >= self._forget_at:
                self._forget(now)

    def _add(self, one: FailedEndpoint, reasons: Mapping[str, int], now: float) -> None:
        self._backends.setdefault(backend_label(one.backend), Counter()).update(reasons)
        if one.endpoint is None:
            return
        key = without_certificate(one.backend), one.endpoint
        count = self._endpoints.pop(key) or Count(now)
        count.add(reasons, now)
        self._endpoints.put(key, count)

    def seen(self) -> Mapping[Key, FailedTries]:
        """What is known of the endpoints."""
        now, offset = self._clock(), time.time() - self._clock()
        with self._lock:
            return {
                key: FailedTries(one.reasons.total(), one.recent(now), one.last + offset, dict(one.reasons))
                for key, one in self._endpoints.items()
            }

    def family(self) -> Metric:
        """The counts by backend and reason."""
        family = metrics.ENDPOINT_FAILURES
        table = Table(family.name, family.text, "counter", family.labels)
        with self._lock:
            self._forget(self._clock())
            named, other = self._sums()
        for cell, count in named.items():
            table.add(cell, count)
        for reason, count in other.items():
            table.add((OTHER, reason), count)
        return table

    def _sums(self) -> tuple[Mapping[Cell, int], Mapping[str, int]]:
        """The count of each series, and by reason what is counted as `other`."""
        sums = {(label, reason): count for label, counts in self._backends.items() for reason, count in counts.items()}
        named, parts = self._exposed.divide(sums)
        other = Counter(self._left)
        for (_, reason), count in parts:
            other[reason] += count
        return named, other

    def _forget(self, now: float) -> None:
        """Drops the backends that are not served. The series of such a backend ends; what it has counted in `other`
        stays there."""
        self._forget_at = now + FORGET
        if not self._backends:
            return
        for label in self._backends.keys() - self._served.labels:
            self._drop(label)
        for key in [key for key, _ in self._endpoints.items() if key[0] not in self._served.nodes]:
            self._endpoints.pop(key)

    def _drop(self, label: str) -> None:
        for reason, count in self._backends.pop(label).items():
            if left := self._exposed.end((label, reason), count):
                self._left[reason] += left


def _namespace(backend: str) -> str:
    """Of an id, or a label."""
    return backend.partition("/")[0]
