"""Traffic: what the workers counted between two readings of their counters, by route and by backend of a rule."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

# Labels of a series of requests: gateway, listener, route, route_kind, rule, backend. Those of a histogram: gateway,
# route, route_kind.
RequestLabels = tuple[str, str, str, str, str, str]
DurationLabels = tuple[str, str, str]
RouteName = tuple[str, str]  # kind, "ns/name"
RuleName = tuple[str, str, str]  # and the name of the rule
QUANTILES = (0.5, 0.9, 0.99)
# Statuses of gRPC that are errors of the server: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE,
# DATA_LOSS (as in the semantic conventions of OpenTelemetry).
FAILED_CALLS = frozenset({2, 4, 12, 13, 14, 15})
SERVER_ERRORS = range(500, 600)


class Reading(NamedTuple):
    """The counters at one time. Slots are numbers of series."""

    time: float
    requests: Mapping[tuple[int, int], int]  # by slot and status code
    calls: Mapping[tuple[int, int], int]  # by slot and status of gRPC
    connections: Mapping[int, int]  # by slot: connections of L4 routes
    durations: Mapping[int, tuple[int, ...]]  # by slot: microseconds, then the count of each bucket


class Flow(NamedTuple):
    """The traffic of one route."""

    total: int  # requests, and connections of L4 routes
    failed: int  # at most `total`
    buckets: tuple[int, ...]  # the count of each bucket of durations; empty: nothing was measured


class Traffic(NamedTuple):
    seconds: float  # between the readings
    bounds: Sequence[float]  # of the buckets, in seconds; the last bucket has none
    routes: Mapping[RouteName, Flow]
    shares: Mapping[RuleName, Mapping[str, int]]  # requests or connections by backend
    listeners: Mapping[tuple[str, str], int]  # by gateway and listener, also of what no rule took
    counted: frozenset[RequestLabels] | None = None  # the series with a slot of their own; None: all
    failures: Mapping[RuleName, Mapping[str, int]] = {}  # of `shares`; a call of gRPC may count twice


NO_TRAFFIC = Traffic(0.0, (), {}, {}, {})


def traffic_between(
    old: Reading,
    new: Reading,
    requests: Mapping[int, RequestLabels],
    durations: Mapping[int, DurationLabels],
    bounds: Sequence[float],
) -> Traffic:
    """`requests` and `durations`: the labels of each slot."""
    counts: Counter[RouteName] = Counter()
    failed: Counter[RouteName] = Counter()
    listeners: Counter[tuple[str, str]] = Counter()
    shares: defaultdict[RuleName, Counter[str]] = defaultdict(Counter)
    failures: defaultdict[RuleName, Counter[str]] = defaultdict(Counter)
    for slot, code, count in _counted(old, new):
        if (labels := requests.get(slot)) is None:
            continue
        gateway, listener, route, kind, rule, backend = labels
        listeners[gateway, listener] += count
        if route:
            counts[kind, route] += count
            if code in SERVER_ERRORS:
                failed[kind, route] += count
                failures[kind, route, rule][backend] += count
            shares[kind, route, rule][backend] += count if backend else 0
    for (slot, code), count in _grown(old.calls, new.calls):
        if (labels := requests.get(slot)) is not None and code in FAILED_CALLS:
            _, _, route, kind, rule, backend = labels
            failed[kind, route] += count
            failures[kind, route, rule][backend] += count
    buckets = _buckets(old, new, durations)
    routes = {name: Flow(count, min(failed[name], count), buckets.get(name, ())) for name, count in counts.items()}
    counted = frozenset(requests.values())
    return Traffic(new.time - old.time, bounds, routes, shares, listeners, counted, failures)


def _counted(old: Reading, new: Reading) -> Iterable[tuple[int, int, int]]:
    """Slot, status code and count of what was counted between the readings; the code of connections is 0."""
    for (slot, code), count in _grown(old.requests, new.requests):
        yield slot, code, count
    for slot, count in new.connections.items():
        if (more := count - old.connections.get(slot, 0)) > 0:
            yield slot, 0, more


def _grown(
    old: Mapping[tuple[int, int], int], new: Mapping[tuple[int, int], int]
) -> Iterable[tuple[tuple[int, int], int]]:
    """Counters only grow. One that decreased was written by a worker that is broken, and does not count."""
    for cell, count in new.items():
        if (more := count - old.get(cell, 0)) > 0:
            yield cell, more


def _buckets(old: Reading, new: Reading, labels: Mapping[int, DurationLabels]) -> Mapping[RouteName, tuple[int, ...]]:
    found: dict[RouteName, tuple[int, ...]] = {}
    for slot, sums in new.durations.items():
        before = old.durations.get(slot)
        more = sums[1:] if before is None else tuple(max(0, a - b) for a, b in zip(sums[1:], before[1:], strict=True))
        if slot in labels and any(more):
            _, route, kind = labels[slot]
            held = found.get((kind, route))
            found[kind, route] = more if held is None else tuple(a + b for a, b in zip(held, more, strict=True))
    return found


def quantile(part: float, buckets: Sequence[int], bounds: Sequence[float]) -> float | None:
    """In seconds, as Prometheus estimates it: the values in a bucket are taken as evenly distributed, and those above
    the last bound as equal to that bound. None if there are no values.

    >>> quantile(0.5, (0, 10, 0, 0), (0.1, 0.2, 0.4)), quantile(0.99, (0, 0, 0, 1), (0.1, 0.2, 0.4))
    (0.15000000000000002, 0.4)
    """
    wanted = part * sum(buckets)
    if not wanted:
        return None
    below, lower = 0, 0.0
    for count, bound in zip(buckets, bounds, strict=False):
        if below + count >= wanted:
            return lower + (bound - lower) * (wanted - below) / count
        below, lower = below + count, bound
    return bounds[-1]
