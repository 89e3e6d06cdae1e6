"""Comparison of proxies: the CPU cost and the latency of a request, as ratios within one run.

Each round measures every proxy once, so that a slow period of the machine affects all of them. A ratio is computed
within a round; the table shows the median over the rounds.
"""

import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import msgspec

from bench.load import Latency, Load, Style, closed_loop, open_loop
from bench.peers import Peer, Running, Setup, all_running, backend_command, free_port, running
from bench.process import proxy_and_load_core

CONNECTIONS = 64
RATE = 2_000  # requests per second of the open loop; every proxy here can handle it
OURS = "fastroute"


class Effort(msgspec.Struct, frozen=True):
    """How long to measure. More rounds give better medians; shorter loads give more noise."""

    rounds: int = 7
    seconds: int = 3
    many: int = 5_000  # routes
    before: Path | None = None  # an earlier commit, compiled (before.py)
    without: frozenset[str] = frozenset()  # proxies that are left out

    def kept(self, peers: Iterable[Peer]) -> list[Peer]:
        return [peer for peer in peers if peer.name not in self.without]


class Measure(msgspec.Struct, frozen=True):
    """A load that is applied to every proxy; `cost` extracts the measured number."""

    name: str
    unit: str
    routes: int
    path: str
    cost: Callable[[Load], float]
    connections: int = CONNECTIONS
    style: Style = Style.KEEP_ALIVE


class Cost(msgspec.Struct, frozen=True):
    """The result of one measure for one proxy. `ours`: fastroute's cost divided by the cost of this proxy."""

    measure: str
    unit: str
    proxy: str
    cost: float
    ours: float
    rate: float  # requests per second
    failures: int
    repeats: int = 0  # loads that were repeated because they hung


class Slowness(msgspec.Struct, frozen=True):
    """The latency of one proxy at a fixed rate, in ms."""

    measure: str
    proxy: str
    p50: float
    p99: float
    failures: int


class Comparison(msgspec.Struct, frozen=True):
    costs: list[Cost]
    latencies: list[Slowness]
    many_to_one: dict[str, float]  # by proxy: cost with many routes divided by cost with one


def measures(many: int) -> list[Measure]:
    """The measures; with many routes, requests are for the route in the middle."""
    one, middle = "/route-0", f"/route-{many // 2}"
    return [
        Measure("keep-alive", "µs CPU/request", 1, f"{one}/x", _per_request),
        Measure(f"{many} routes", "µs CPU/request", many, f"{middle}/x", _per_request),
        Measure("new connection", "µs CPU/request", 1, f"{one}/x", _per_request, style=Style.FRESH),
        Measure("1 MiB answers", "s CPU/GiB", 1, f"{one}/mebibyte", _per_gib, connections=8),
        Measure("1 MiB uploads", "s CPU/GiB", 1, f"{one}/upload", _per_gib, connections=8, style=Style.UPLOAD),
    ]


def _per_request(load: Load) -> float:
    return load.cpu_us


def _per_gib(load: Load) -> float:
    return load.cpu_per_gib


def compare(peers: list[Peer], effort: Effort) -> Comparison:
    """Applies load from one core to the proxies on the other, with one route and with many."""
    core, load_core = proxy_and_load_core()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastroute-bench-")))
        backend = Setup(free_port(), 0, 0, folder / "backend")
        backend.folder.mkdir()
        stack.enter_context(running("backend", backend_command(backend), backend.port, load_core))
        started = {
            routes: stack.enter_context(all_running(peers, routes, folder, backend.port, core))
            for routes in (1, effort.many)
        }
        asked = measures(effort.many)
        loads = _all_rounds(asked, started, load_core, effort)
        latencies = _latencies(started[1], load_core, effort)
    costs = [cost for measure in asked for cost in _costs(measure, loads[measure.name])]
    many, one = loads[asked[1].name], loads[asked[0].name]
    ratios = {peer.name: _ratio(many[peer.name], one[peer.name], _per_request) for peer in peers}
    return Comparison(costs, latencies, ratios)


def _all_rounds(
    asked: list[Measure], started: dict[int, list[Running]], core: int, effort: Effort
) -> dict[str, dict[str, list[Load]]]:
    """The loads by measure and proxy, one for each round. A first round, which is not counted, fills pools and caches.
    Each round runs all measures, so that the two loads of a ratio are always measured shortly after each other."""
    loads: dict[str, dict[str, list[Load]]] = {measure.name: {} for measure in asked}
    for round_ in range(-1, effort.rounds):
        for measure in asked:
            for proxy in started[measure.routes]:
                load = _spell(measure, proxy, core, effort.seconds if round_ >= 0 else 1)
                if round_ >= 0:
                    loads[measure.name].setdefault(proxy.name, []).append(load)
    return loads


def _spell(measure: Measure, proxy: Running, core: int, seconds: int) -> Load:
    return closed_loop(proxy, measure.path, core, seconds=seconds, connections=measure.connections, style=measure.style)


def _costs(measure: Measure, loads: dict[str, list[Load]]) -> list[Cost]:
    return [
        Cost(
            measure=measure.name,
            unit=measure.unit,
            proxy=name,
            cost=median(map(measure.cost, its)),
            ours=_ratio(loads[OURS], its, measure.cost),
            rate=median(load.rate for load in its),
            failures=sum(load.failures for load in its),
        )
        for name, its in loads.items()
    ]


def _ratio(ours: list[Load], theirs: list[Load], cost: Callable[[Load], float]) -> float:
    """The median of the ratios within each round."""
    return median(cost(one) / cost(other) for one, other in zip(ours, theirs, strict=True))


def _latencies(proxies: list[Running], core: int, effort: Effort) -> list[Slowness]:
    spells: dict[str, list[Latency]] = {proxy.name: [] for proxy in proxies}
    for _ in range(effort.rounds):
        for proxy in proxies:
            spell = open_loop(proxy, "/route-0/x", core, seconds=effort.seconds, rate=RATE, connections=CONNECTIONS)
            spells[proxy.name].append(spell)
    return [
        Slowness(
            measure=f"at {RATE} requests/s",
            proxy=name,
            p50=median(spell.p50 for spell in its),
            p99=median(spell.p99 for spell in its),
            failures=sum(spell.failures for spell in its),
        )
        for name, its in spells.items()
    ]
