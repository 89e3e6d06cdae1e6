"""Rows of a table of costs: each round measures every row with every proxy, one shortly after the other.

A ratio is that of one round, so that a slow period of the machine affects both of its numbers. Tables show the median.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from statistics import median

import msgspec

from bench.compare import OURS, Cost, Effort
from bench.load import Latency, Load
from bench.peers import Peer, Running, Setup, free_port, running
from bench.process import proxy_and_load_core


class Spell(msgspec.Struct, frozen=True):
    """What one load found: the cost in the unit of its row, the requests in a second, the failed requests, and how
    often it was repeated because it hung."""

    cost: float
    rate: float
    failures: int
    repeats: int = 0


class Row(msgspec.Struct, frozen=True):
    """`measure` applies load to a proxy for this many seconds."""

    name: str
    unit: str
    measure: Callable[[Running, int], Spell]


def per_request(load: Load) -> Spell:
    return Spell(load.cpu_us, load.rate, load.failures, load.repeats)


def per_gib(load: Load) -> Spell:
    return Spell(load.cpu_per_gib, load.rate, load.failures, load.repeats)


def p99(latency: Latency, seconds: float) -> Spell:
    return Spell(latency.p99, latency.answered / seconds, latency.failures)


@contextmanager
def side_by_side(
    peers: Sequence[Peer], backend: Callable[[Setup], list[str]], *, http2: bool = False
) -> Iterator[list[Running]]:
    """Runs the backend on the core of the load, and the proxies before it on the other. `http2`: the backend speaks it.
    Proxies that are not installed are reported and left out."""
    core, load_core = proxy_and_load_core()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastroute-bench-")))
        behind = Setup(free_port(), 0, 0, root / "backend", http2)
        behind.folder.mkdir()
        stack.enter_context(running("backend", backend(behind), behind.port, load_core))
        started = []
        for peer in peers:
            if peer.program():
                setup = Setup(free_port(), behind.port, 1, root / peer.name, http2)
                setup.folder.mkdir()
                started.append(stack.enter_context(running(peer.name, peer.command(setup), setup.port, core)))
            else:
                _report_missing(peer.name)
        yield started


@cache
def _report_missing(name: str) -> None:
    """Once for each proxy."""
    print(f"bench: {name} is not installed: its rows are left out", file=sys.stderr)


def in_rounds(rows: Sequence[Row], proxies: list[Running], effort: Effort) -> list[Cost]:
    """A first round, which is not counted, fills pools and caches."""
    spells: dict[tuple[str, str], list[Spell]] = {(row.name, proxy.name): [] for row in rows for proxy in proxies}
    for row in rows:
        for proxy in proxies:
            row.measure(proxy, 1)
    for _ in range(effort.rounds):
        for row in rows:
            for proxy in proxies:
                spells[row.name, proxy.name].append(row.measure(proxy, effort.seconds))
    return [_cost(row, proxy.name, spells) for row in rows for proxy in proxies]


def _cost(row: Row, proxy: str, spells: dict[tuple[str, str], list[Spell]]) -> Cost:
    ours, its = spells[row.name, OURS], spells[row.name, proxy]
    return Cost(
        measure=row.name,
        unit=row.unit,
        proxy=proxy,
        cost=median(spell.cost for spell in its),
        ours=median(one.cost / other.cost for one, other in zip(ours, its, strict=True)),
        rate=median(spell.rate for spell in its),
        failures=sum(spell.failures for spell in its),
        repeats=sum(spell.repeats for spell in its),
    )
