"""The cost of the control plane with 5,000 routes: each stage from scratch, and one edited route through all stages.

`pytest bench/micro/test_control.py --benchmark-only`, on an otherwise idle core. tests/compiler/test_cost.py limits
what an incremental change may recompute; this measures the time.
"""

from itertools import count

import pytest
from crowd import crowd, endpoints, route
from pytest_benchmark.fixture import BenchmarkFixture

from fastroute.compiler.compile import Compiled, compile_snapshot
from fastroute.graph.build import build_graph
from fastroute.graph.node import Graph
from fastroute.publication import Downward, difference, publication
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings
from fastroute.snapshot import Bound, Outcome
from fastroute.source.store import Apply, Store
from fastroute.status import build_statuses
from fastroute.wire import Decoder, encode

ROUTES = 5_000
SETTINGS = GraphSettings()


@pytest.fixture(scope="module")
def store() -> Store:
    return crowd(ROUTES)


@pytest.fixture(scope="module")
def resources(store: Store) -> Resources:
    return store.snapshot()


@pytest.fixture(scope="module")
def graph(resources: Resources) -> Graph:
    return build_graph(resources, SETTINGS)


@pytest.fixture(scope="module")
def compiled(graph: Graph) -> Compiled:
    return compile_snapshot(graph)


def test_build_graph(benchmark: BenchmarkFixture, resources: Resources) -> None:
    assert len(benchmark(build_graph, resources, SETTINGS).routes) == ROUTES


def test_compile_snapshot(benchmark: BenchmarkFixture, graph: Graph) -> None:
    assert len(benchmark(compile_snapshot, graph).snapshot.rules) == ROUTES


def test_build_statuses(benchmark: BenchmarkFixture, graph: Graph, compiled: Compiled) -> None:
    outcome = Outcome(version=1, target=1, listeners={id: Bound() for id in compiled.snapshot.listeners})
    assert len(benchmark(build_statuses, graph, outcome).patches) == ROUTES + 1


def test_encode_the_whole(benchmark: BenchmarkFixture, compiled: Compiled) -> None:
    def encoded() -> bytes:
        return b"".join(map(encode, publication(1, 0, difference(None, compiled.snapshot))))

    assert len(benchmark(encoded)) > ROUTES * 100


def test_decode_the_whole(benchmark: BenchmarkFixture, compiled: Compiled) -> None:
    """What a worker does for each message, in slices."""
    data = b"".join(map(encode, publication(1, 0, difference(None, compiled.snapshot))))

    def decoded() -> int:
        decoder = Decoder[Downward](Downward)
        decoder.feed(data)
        return sum(1 for _ in decoder)

    assert benchmark(decoded) > ROUTES


@pytest.mark.parametrize("change", ["route", "endpoints"])
def test_one_change_through_all_stages(benchmark: BenchmarkFixture, store: Store, change: str) -> None:
    numbers = count()
    graph = build_graph(store.snapshot(), SETTINGS)
    compiled = compile_snapshot(graph)
    outcome = Outcome(version=1, target=1, listeners={id: Bound() for id in compiled.snapshot.listeners})
    statuses = build_statuses(graph, outcome)

    def follow() -> bytes:
        nonlocal graph, compiled, statuses
        number = next(numbers)
        changed = route(number % ROUTES, f"/{number}/") if change == "route" else endpoints(3, 7, 1 + number % 50)
        store.apply([Apply(changed)])
        graph = build_graph(store.snapshot(), SETTINGS, graph)
        before, compiled = compiled.snapshot, compile_snapshot(graph, previous=compiled)
        data = b"".join(map(encode, publication(2, 1, difference(before, compiled.snapshot))))
        statuses = build_statuses(graph, outcome, statuses)
        return data

    assert benchmark(follow)
