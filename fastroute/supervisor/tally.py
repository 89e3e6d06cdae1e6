"""The counters of the workers for Prometheus: the sum over the memory of all slots, read without involving a worker.

The memory outlives the worker, so sums only grow. A series exists after its first count. The first `bound` series of a
family are exposed separately. If there are more, the namespaces have equal shares, and the counts of the others are
added to `other` and stay there, so no counter ever decreases. (A histogram is one series.) When a slot is assigned to
another series, the count of that moment is the zero of the new series.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fastroute import metrics
from fastroute.ext.reactor.counters import (
    BOUNDS,
    CONNECT_SLOT,
    HANDSHAKE_SLOT,
    HTTP2_REASONS,
    INSTALL_SLOT,
    MIRROR_REASONS,
    OTHER_SLOT,
    OVERFLOW_CODE,
    TRAFFIC,
    CounterMap,
)
from fastroute.metrics import OTHER
from fastroute.supervisor.admission import Admission
from fastroute.supervisor.flows import FlowTally, Labels
from fastroute.supervisor.slots import NAMELESS, SlotBook, owner

Sums = tuple[int, ...]  # a histogram: the sum in microseconds, then the count of each bucket

RETRY_REASONS = ("connect", "reused", "refused", "status", "timeout", "closed")  # label values of retries_total
ENDED_REASONS = ("body_too_slow", "upstream_too_slow", "buffers_full", "connections_full")  # of ended_total


Used = Callable[[CounterMap], Iterable[tuple[int, int, int]]]  # (slot, code, count) of what was counted


class RequestTally:
    """http_requests_total: by (slot, status code); grpc_requests_total, by (slot, status of gRPC); or what was passed
    on unread, by (slot, code in TRAFFIC)."""

    def __init__(
        self,
        maps: Sequence[CounterMap],
        bound: int,
        owner: Callable[[int], str] = lambda slot: "",
        used: Used = CounterMap.used_requests,
    ) -> None:
        """`owner`: the namespace of the series of a slot."""
        self._maps, self._used = maps, used
        self._admission = Admission[tuple[int, int]](bound, lambda cell: owner(cell[0]))
        self._baseline: Counter[tuple[int, int]] = Counter()
        self._left: Counter[int] = Counter()  # by code: counts of ended series that were not exposed

    def counts(self) -> tuple[dict[tuple[int, int], int], Counter[int]]:
        """The count of each series by (slot, code), and the counts of `other` by code."""
        named: dict[tuple[int, int], int] = {}
        other = Counter(self._left)
        sums = self._sums()
        for cell in sums:
            if cell[0] != OTHER_SLOT:
                self._admission(cell)
        for cell, count in sums.items():
            slot, code = cell
            if slot != OTHER_SLOT and self._admission(cell):
                named[cell] = count
            else:
                other[code] += count
        return named, other

    def rebase(self, slot: int) -> None:
        """Prepares `slot` for its assignment to another series."""
        for cell, count in self._sums().items():
            if cell[0] == slot:
                self._baseline[cell] += count
                if not self._admission.expel(cell):
                    self._left[cell[1]] += count

    def _sums(self) -> Counter[tuple[int, int]]:
        sums: Counter[tuple[int, int]] = Counter()
        for one in self._maps:
            for slot, code, count in self._used(one):
                sums[slot, code] += count
        sums.subtract(self._baseline)
        return +sums


class HistogramTally:
    """http_request_duration_seconds: by slot."""

    def __init__(self, maps: Sequence[CounterMap], bound: int, owner: Callable[[int], str] = lambda slot: "") -> None:
        self._maps = maps
        self._admission = Admission[int](bound, owner)
        self._baseline: dict[int, Sums] = {}
        self._left: Sums = _NOTHING

    def sums(self) -> tuple[dict[int, Sums], Sums]:
        """The histogram of each slot with measurements, and that of `other`."""
        named: dict[int, Sums] = {}
        other = self._left
        all_ = self._all()
        for slot in all_:
            if slot != OTHER_SLOT:
                self._admission(slot)
        for slot, held in all_.items():
            if slot != OTHER_SLOT and self._admission(slot):
                named[slot] = held
            else:
                other = _added(other, held)
        return named, other

    def _all(self) -> dict[int, Sums]:
        sums: dict[int, Sums] = {}
        for one in self._maps:
            for slot, held in one.used_histograms():
                if slot not in (CONNECT_SLOT, HANDSHAKE_SLOT, INSTALL_SLOT):
                    sums[slot] = _added(sums.get(slot, _NOTHING), held)
        for slot, baseline in self._baseline.items():
            sums[slot] = tuple(a - b for a, b in zip(sums[slot], baseline, strict=True))
        return {slot: held for slot, held in sums.items() if any(held)}

    def one(self, slot: int) -> Sums:
        """The sums of one slot over all workers."""
        held = _NOTHING
        for one in self._maps:
            held = _added(held, one.histogram(slot))
        return tuple(a - b for a, b in zip(held, self._baseline.get(slot, _NOTHING), strict=True))

    def rebase(self, slot: int) -> None:
        """Prepares `slot` for its assignment to another series."""
        held = self.one(slot)
        if not self._admission.expel(slot):
            self._left = _added(self._left, held)
        if any(held):
            self._baseline[slot] = _added(self._baseline.get(slot, _NOTHING), held)


_NOTHING: Sums = (0,) * (len(BOUNDS) + 2)


def _added(one: Sums, other: Sums) -> Sums:
    return tuple(a + b for a, b in zip(one, other, strict=True))


class WorkerSample(NamedTuple):
    """The state of one worker process."""

    slot: int
    version: int
    cpu: float  # seconds
    memory: int  # bytes


class Tally(Collector):
    """All counters of the workers, as a prometheus-client collector. `maps`: one per worker slot. `reasons`: names by
    number.

    `workers` returns the states of the processes, at each scrape.
    """

    def __init__(
        self,
        maps: Sequence[CounterMap],
        reasons: Sequence[str],
        workers: Callable[[], Iterable[WorkerSample]],
        series: int,
    ) -> None:
        self._maps, self._reasons, self._workers = maps, reasons, workers
        self._requests = RequestTally(maps, series, self._owner_of)
        self._calls = RequestTally(maps, series, self._owner_of, CounterMap.used_calls)
        self._traffic = RequestTally(maps, series, self._owner_of, CounterMap.used_traffic)
        self._flows = FlowTally(maps, series, self._flow_labels)
        self._durations = HistogramTally(maps, series, lambda slot: owner(self.book.durations.owners[slot]))
        self.book = SlotBook(maps[0].requests, maps[0].histograms, self._rebase_requests, self._durations.rebase)

    def _owner_of(self, slot: int) -> str:
        """The namespace of a series of requests."""
        return owner(self.book.requests.owners.get(slot, NAMELESS))

    def _flow_labels(self, slot: int) -> Labels:
        series = self.book.requests.owners.get(slot, NAMELESS)
        return series.gateway, series.listener, series.route, series.backend

    def _rebase_requests(self, slot: int) -> None:
        self._requests.rebase(slot)
        self._calls.rebase(slot)
        self._traffic.rebase(slot)
        self._flows.rebase(slot)

    def collect(self) -> Iterator[Metric]:
        yield self._request_family(metrics.REQUESTS, self._requests)
        yield self._request_family(metrics.CALLS, self._calls)
        yield from self._traffic_families()
        yield self._flow_family()
        yield self._duration_family()
        yield self._own_family(metrics.CONNECT, CONNECT_SLOT)
        yield self._own_family(metrics.HANDSHAKE, HANDSHAKE_SLOT)
        yield self._own_family(metrics.INSTALL, INSTALL_SLOT)
        yield from self._fixed_families()
        yield self._local_family()
        yield from self._worker_families()

    def _request_family(self, what: metrics.Family, tally: RequestTally) -> Metric:
        family = _counter(what)
        named, other = tally.counts()
        owners = self.book.requests.owners
        for (slot, code), count in named.items():
            family.add_metric((*owners.get(slot, NAMELESS), _code(code)), count)
        for code, count in other.items():
            family.add_metric((*(OTHER,) * 6, _code(code)), count)
        return family

    def _traffic_families(self) -> Iterator[Metric]:
        named, other = self._traffic.counts()
        owners = self.book.requests.owners
        for what, codes in _TRAFFIC:
            family = _counter(what)
            for (slot, code), count in named.items():
                if code in codes:
                    family.add_metric((*owners.get(slot, NAMELESS), *codes[code]), count)
            for code, count in other.items():
                if code in codes:
                    family.add_metric((*(OTHER,) * 6, *codes[code]), count)
            yield family

    def _flow_family(self) -> Metric:
        family = _gauge(metrics.UDP_FLOWS)
        named, other = self._flows.flows()
        for labels, count in named.items():
            family.add_metric(labels, count)
        if other is not None:
            family.add_metric((OTHER,) * 4, other)
        return family

    def _duration_family(self) -> Metric:
        family = _histogram(metrics.DURATION)
        owners = self.book.durations.owners
        named, other = self._durations.sums()
        for slot, held in named.items():
            family.add_metric(owners[slot], *_buckets(held))
        if any(other):
            family.add_metric((OTHER,) * 3, *_buckets(other))
        return family

    def _own_family(self, what: metrics.Family, slot: int) -> Metric:
        """A histogram with its own slot."""
        family = _histogram(what)
        family.add_metric((), *_buckets(self._durations.one(slot)))
        return family

    def _fixed_families(self) -> Iterator[Metric]:
        each = [one.fixed() for one in self._maps]
        total: Mapping[str, int] = {name: sum(fixed[name] for fixed in each) for name in each[0]}
        for family, name in _COUNTERS:
            counter = _counter(family)
            counter.add_metric((), total[name])
            yield counter
        for family, names in _LABELLED:
            counter = _counter(family)
            for label, name in names.items():
                if total[name]:
                    counter.add_metric((label,), total[name])
            yield counter
        buffered = _gauge(metrics.BUFFERED)
        buffered.add_metric((), total["buffered"])
        yield buffered
        connections = _gauge(metrics.CONNECTIONS)
        for side in ("downstream", "upstream"):
            for state in ("active", "idle"):
                connections.add_metric((side, state), total[f"{side}_{state}"])
        yield connections
        streams = _gauge(metrics.STREAMS)
        for side in ("downstream", "upstream"):
            streams.add_metric((side,), total[f"streams_{side}"])
        yield streams
        for family, name in ((metrics.TURN, "worst_turn"), (metrics.INSTALL_STEP, "worst_install_step")):
            worst = _gauge(family)
            for slot, fixed in enumerate(each):
                worst.add_metric((str(slot),), fixed[name] / 1e6)
            yield worst

    def _local_family(self) -> Metric:
        family = _counter(metrics.LOCAL_RESPONSES)
        for number, counts in enumerate(zip(*(one.local_responses() for one in self._maps), strict=True)):
            if any(counts):
                family.add_metric((self._reasons[number],), sum(counts))
        return family

    def _worker_families(self) -> Iterator[Metric]:
        cpu, memory, version = (
            _counter(metrics.WORKER_CPU),
            _gauge(metrics.WORKER_MEMORY),
            _gauge(metrics.WORKER_VERSION),
        )
        for sample in self._workers():
            cpu.add_metric((str(sample.slot),), sample.cpu)
            memory.add_metric((str(sample.slot),), sample.memory)
            version.add_metric((str(sample.slot),), sample.version)
        yield from (cpu, memory, version)


_COUNTERS = (
    (metrics.MIRRORED, "mirrored"),
    (metrics.UNFUNDED, "retries_unfunded"),
    (metrics.ACCEPTED, "connections_accepted"),
    (metrics.RECEIVED, "bytes_received"),
    (metrics.SENT, "bytes_sent"),
    (metrics.LOG_DROPPED, "log_dropped"),
    (metrics.TRACES_DROPPED, "traces_dropped"),
)

# The families of what was passed on unread: the further labels by code.
_TRAFFIC: tuple[tuple[metrics.Family, dict[int, tuple[str, ...]]], ...] = (
    (metrics.TCP_CONNECTIONS, {TRAFFIC["connections"]: ()}),
    (metrics.TCP_BYTES, {TRAFFIC[direction]: (direction,) for direction in ("received", "sent")}),
)

_LABELLED = (
    (metrics.RETRIES, {reason: f"retries_{reason}" for reason in RETRY_REASONS}),
    (metrics.ENDED, {name: f"ended_{name}" for name in ENDED_REASONS}),
    (metrics.REFUSED, {"per_client": "refused_client"}),
    (metrics.UDP_DATAGRAMS, {"received": "udp_received", "sent": "udp_sent"}),
    (metrics.MIRROR_FAILURES, {reason: f"mirror_{reason}" for reason in MIRROR_REASONS}),
    (metrics.HTTP2_FAILURES, {reason: f"http2_{reason}" for reason in HTTP2_REASONS}),
    (metrics.HANDSHAKES, {"full": "tls_full", "resumed": "tls_resumed"}),
    (
        metrics.HANDSHAKE_FAILURES,
        {
            "no_client_hello": "tls_no_client_hello",
            "no_listener": "tls_no_listener",
            "no_certificate": "tls_no_certificate",
            "not_agreed": "tls_not_agreed",
            "client_closed": "tls_closed",
            "timeout": "tls_timeout",
            "crowded": "tls_crowded",
            "unread": "tls_unread",
            "client_certificate": "tls_client_certificate",
        },
    ),
)


def _code(code: int) -> str:
    return OTHER if code == OVERFLOW_CODE else str(code)


def _buckets(held: Sums) -> tuple[list[tuple[str, float]], float]:
    """Cumulative buckets and the sum, as prometheus-client takes them."""
    total, *counts = held
    buckets: list[tuple[str, float]] = []
    below = 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
        below += count
        buckets.append((bound, below))
    return buckets, total / 1e6


def _counter(family: metrics.Family) -> CounterMetricFamily:
    return CounterMetricFamily(family.name, family.text, labels=family.labels)


def _gauge(family: metrics.Family) -> GaugeMetricFamily:
    return GaugeMetricFamily(family.name, family.text, labels=family.labels)


def _histogram(family: metrics.Family) -> HistogramMetricFamily:
    return HistogramMetricFamily(family.name, family.text, labels=family.labels)
