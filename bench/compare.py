"""Proxies side by side: what a request costs each of them, and how long it takes, as ratios within one run.

Every measure goes round the proxies again and again, so that a slow spell of the machine hits all of them; ratios are taken
within a round, and the median over rounds is what stands in the table.
"""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import msgspec

from bench.load import Latency, Load, closed_loop, open_loop
from bench.peers import Place, Running, all_running, backend_command, free_port, running
from bench.process import cores

ROUNDS = 7
SECONDS = 3
CONNECTIONS = 64
RATE = 2_000  # requests a second of the open loop; every proxy here can do that


class Measure(msgspec.Struct, frozen=True):
    """One row of load: what is asked of every proxy, and which number of it counts."""

    name: str
    unit: str
    path: str
    cost: Callable[[Load], float]
    connections: int = CONNECTIONS
    fresh: bool = False


def _us(load: Load) -> float:
    return load.cpu_us


def _per_gib(load: Load) -> float:
    return load.cpu_per_gib


def measures(routes: int) -> tuple[Measure, ...]:
    """What is asked of proxies with that many routes; the path asked for is the middle one's."""
    path = f"/route-{routes // 2}"
    keep_alive = Measure(f"keep-alive, {routes} routes", "µs CPU/request", f"{path}/x", _us)
    if routes > 1:
        return (keep_alive,)
    fresh = Measure("new connection per request", "µs CPU/request", f"{path}/x", _us, fresh=True)
    return keep_alive, fresh, Measure("1 MiB answers", "s CPU/GiB", f"{path}/mebibyte", _per_gib, connections=8)


class Row(msgspec.Struct, frozen=True):
    """One measure of one proxy: the median, and the median ratio to the one it is compared with."""

    measure: str
    unit: str
    proxy: str
    value: float
    ratio: dict[str, float]  # fastroute's number divided by that proxy's is `fastroute`'s row, by proxy
    failures: int


def compare(names: list[str], many: int = 5_000, rounds: int = ROUNDS, seconds: int = SECONDS) -> list[Row]:
    """Everything about load: 1 route, then `many`; then one fixed rate."""
    core, load_core = proxy_and_load_core()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="fastroute-bench-") as name:
        folder = Path(name)
        backend = _backend_place(folder)
        with running("backend", backend_command(backend), backend.port, load_core):
            few = [each for each in names]
            loads: dict[str, dict[str, list[Load]]] = {}
            with all_running(few, 1, folder, backend.port, core) as one, all_running(
                names, many, folder, backend.port, core
            ) as thousands:
                for measure, proxies in [(m, one) for m in measures(1)] + [(m, thousands) for m in measures(many)]:
                    loads[measure.name] = _rounds(measure, proxies, load_core, rounds, seconds)
                    rows += _rows(measure, loads[measure.name])
                rows += _routes_rows(loads, many)
                rows += _latency_rows(one, load_core, rounds, seconds)
    return rows
