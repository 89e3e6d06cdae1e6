"""The counters of the workers for Prometheus: the sum over the memory of all slots, read without involving a worker.

A series exists after its first count. Which series are shown, and what counts as `other`: sums.py.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from fastroute import metrics
from fastroute.current import OTHER
from fastroute.exposition import Histograms, Table
from fastroute.ext.reactor.counters import (
    BOUNDS,
    CONNECT_SLOT,
    HANDSHAKE_SLOT,
    HTTP2_REASONS,
    INSTALL_SLOT,
    MIRROR_REASONS,
    OVERFLOW_CODE,
    TRAFFIC,
    UPSTREAM_OTHER_SLOT,
    CounterMap,
)
from fastroute.metrics import Exemplars
from fastroute.supervisor.failures import Failures
from fastroute.supervisor.flows import FlowTally, Labels
from fastroute.supervisor.slots import NAMELESS, SlotBook, owner, space
from fastroute.supervisor.sums import HistogramTally, RequestTally

NO_EXEMPLARS = Exemplars(0)
RETRY_REASONS = ("connect", "reused", "refused", "status", "timeout", "closed")  # label values of retries_total
ENDED_REASONS = ("body_too_slow", "upstream_too_slow", "buffers_full", "connections_full")  # of ended_total


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
        exemplars: Exemplars = NO_EXEMPLARS,
    ) -> None:
        self._maps, self._reasons, self._workers, self._exemplars = maps, reasons, workers, exemplars
        self.failures = Failures(series)
        book = self.book = SlotBook(
            maps[0].requests,
            maps[0].histograms,
            self._rebase_requests,
            lambda slot: self._durations.rebase(slot),
            lambda slot: self._upstreams.rebase(slot),
        )
        self._requests = RequestTally(maps, series, book.requests.end, self._owner_of)
        self._calls = RequestTally(maps, series, book.requests.end, self._owner_of, CounterMap.used_calls)
        self._traffic = RequestTally(maps, series, book.requests.end, self._owner_of, CounterMap.used_traffic)
        self._flows = FlowTally(maps, series, book.requests.end, self._flow_labels)
        self._durations = HistogramTally(
            maps, series, book.durations.range, lambda slot: owner(book.durations.owners[slot])
        )
        self._upstreams = HistogramTally(
            maps, series, book.upstreams.range, lambda slot: space(book.upstreams.owners[slot]), UPSTREAM_OTHER_SLOT
        )

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
        yield self._upstream_family()
        yield self._own_family(metrics.CONNECT, CONNECT_SLOT)
        yield self._own_family(metrics.HANDSHAKE, HANDSHAKE_SLOT)
        yield self._own_family(metrics.INSTALL, INSTALL_SLOT)
        yield from self._fixed_families()
        yield self._local_family()
        yield self.failures.family()
        yield from self._worker_families()

    def _request_family(self, what: metrics.Family, tally: RequestTally) -> Metric:
        family = _counter(what)
        named, other = tally.counts()
        owners = self.book.requests.owners
        for (slot, code), count in named.items():
            family.add((*owners.get(slot, NAMELESS), _code(code)), count)
        for code, count in other.items():
            family.add((*(OTHER,) * 6, _code(code)), count)
        return family

    def _traffic_families(self) -> Iterator[Metric]:
        named, other = self._traffic.counts()
        owners = self.book.requests.owners
        for what, codes in _TRAFFIC:
            family = _counter(what)
            for (slot, code), count in named.items():
                if code in codes:
                    family.add((*owners.get(slot, NAMELESS), *codes[code]), count)
            for code, count in other.items():
                if code in codes:
                    family.add((*(OTHER,) * 6, *codes[code]), count)
            yield family

    def _flow_family(self) -> Metric:
        family = _gauge(metrics.UDP_FLOWS)
        named, other = self._flows.flows()
        for labels, count in named.items():
            family.add(labels, count)
        if other is not None:
            family.add((OTHER,) * 4, other)
        return family

    def _duration_family(self) -> Metric:
        family = _histogram(metrics.DURATION)
        owners = self.book.durations.owners
        named, other = self._durations.sums()
        for slot, held in named.items():
            family.add(owners[slot], held, self._exemplars.get(owners[slot]))
        if any(other):
            family.add((OTHER,) * 3, other)
        return family

    def _upstream_family(self) -> Metric:
        family = _histogram(metrics.UPSTREAM_DURATION)
        owners = self.book.upstreams.owners
        named, other = self._upstreams.sums()
        for slot, held in named.items():
            family.add((owners[slot],), held)
        if any(other):
            family.add((OTHER,), other)
        return family

    def _own_family(self, what: metrics.Family, slot: int) -> Metric:
        """A histogram with its own slot."""
        family = _histogram(what)
        family.add((), self._durations.one(slot))
        return family

    def _fixed_families(self) -> Iterator[Metric]:
        each = [one.fixed() for one in self._maps]
        total: Mapping[str, int] = {name: sum(fixed[name] for fixed in each) for name in each[0]}
        for family, name in _COUNTERS:
            counter = _counter(family)
            counter.add((), total[name])
            yield counter
        for family, names in _LABELLED:
            counter = _counter(family)
            for label, name in names.items():
                if total[name]:
                    counter.add((label,), total[name])
            yield counter
        buffered = _gauge(metrics.BUFFERED)
        buffered.add((), total["buffered"])
        yield buffered
        connections = _gauge(metrics.CONNECTIONS)
        for side in ("downstream", "upstream"):
            for state in ("active", "idle"):
                connections.add((side, state), total[f"{side}_{state}"])
        yield connections
        streams = _gauge(metrics.STREAMS)
        for side in ("downstream", "upstream"):
            streams.add((side,), total[f"streams_{side}"])
        yield streams
        for family, name in ((metrics.TURN, "worst_turn"), (metrics.INSTALL_STEP, "worst_install_step")):
            worst = _gauge(family)
            for slot, fixed in enumerate(each):
                worst.add((str(slot),), fixed[name] / 1e6)
            yield worst

    def _local_family(self) -> Metric:
        family = _counter(metrics.LOCAL_RESPONSES)
        for number, counts in enumerate(zip(*(one.local_responses() for one in self._maps), strict=True)):
            if any(counts):
                family.add((self._reasons[number],), sum(counts))
        return family

    def _worker_families(self) -> Iterator[Metric]:
        cpu, memory, version = (
            _counter(metrics.WORKER_CPU),
            _gauge(metrics.WORKER_MEMORY),
            _gauge(metrics.WORKER_VERSION),
        )
        for sample in self._workers():
            cpu.add((str(sample.slot),), sample.cpu)
            memory.add((str(sample.slot),), sample.memory)
            version.add((str(sample.slot),), sample.version)
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


def _counter(family: metrics.Family) -> Table:
    return Table(family.name, family.text, "counter", family.labels)


def _gauge(family: metrics.Family) -> Table:
    return Table(family.name, family.text, "gauge", family.labels)


def _histogram(family: metrics.Family) -> Histograms:
    return Histograms(family.name, family.text, family.labels, BOUNDS)
