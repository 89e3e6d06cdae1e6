"""A change costs what it touches: work counted, and time bounded, over 3,000 routes.

The bound is a part of what the whole costs on the same machine at the same time, in processor time of the best of
several rounds, so that only a change of the order of growth fails here: a change takes a fiftieth and may take a tenth.
What it takes in milliseconds is measured in bench/micro/test_control.py.
"""

import time
from typing import NamedTuple

import pytest
from crowd import crowd, endpoints, route

from fastroute.compiler.compile import NOTHING, Compiled, compile_snapshot
from fastroute.graph.build import build_graph
from fastroute.graph.node import Graph
from fastroute.publication import EndpointUpdate, SetEndpoints, UpsertRule, difference, encode, publication
from fastroute.resources.meta import Resource
from fastroute.settings import GraphSettings
from fastroute.snapshot import Bound, Outcome
from fastroute.source.store import Apply, Store
from fastroute.status import Statuses, build_statuses

ROUTES, ROUNDS, PART = 3_000, 5, 0.1
SETTINGS = GraphSettings()


class Made(NamedTuple):
    graph: Graph | None = None
    compiled: Compiled = NOTHING
    statuses: Statuses | None = None


def follow(store: Store, last: Made) -> tuple[Made, list[object], int]:
    """Everything main does after a change, with the messages it sends and their bytes."""
    graph = build_graph(store.snapshot(), SETTINGS, last.graph)
    compiled = compile_snapshot(graph, previous=last.compiled)
    messages = list(publication(2, 1, difference(last.compiled.snapshot, compiled.snapshot)))
    size = sum(len(encode(message)) for message in messages)
    outcome = Outcome(version=2, target=2, listeners={id: Bound() for id in compiled.snapshot.listeners})
    return Made(graph, compiled, build_statuses(graph, outcome, last.statuses)), messages, size


@pytest.fixture(scope="module")
def store() -> Store:
    return crowd(ROUTES)


class Whole(NamedTuple):
    """Everything built from nothing, and the seconds of processor time that took."""

    made: Made
    seconds: float


@pytest.fixture(scope="module")
def whole(store: Store) -> Whole:
    began = time.process_time()
    made = follow(store, Made())[0]
    return Whole(made, time.process_time() - began)


@pytest.mark.parametrize(
    ("changes", "rules", "kinds"),
    [
        ([route(1234, f"/new/{round}/") for round in range(ROUNDS)], 1, [UpsertRule]),
        ([route(ROUTES + round) for round in range(ROUNDS)], 1, [UpsertRule]),
        ([endpoints(3, 7, 4 + round) for round in range(ROUNDS)], 0, [EndpointUpdate]),
        ([endpoints(49, 19, 1003 + round) for round in range(ROUNDS)], 0, [EndpointUpdate]),
    ],
    ids=["a route edited", "a route added", "a Pod more", "a thousand Pods more"],
)
def test_one_change_costs_one_change(
    store: Store, whole: Whole, changes: list[Resource], rules: int, kinds: list[type]
) -> None:
    last, times = follow(store, whole.made)[0], []
    for change in changes:
        store.apply([Apply(change)])
        began = time.process_time()
        last, messages, size = follow(store, last)
        times.append(time.process_time() - began)
        sent = [message for message in messages if isinstance(message, UpsertRule | SetEndpoints | EndpointUpdate)]
        assert list(map(type, sent)) == kinds
        assert last.compiled.rules_made == rules
        assert size < 64 * 1024
    assert min(times) < whole.seconds * PART


def test_nothing_changed_costs_nothing(store: Store) -> None:
    first, _, _ = follow(store, Made())
    again, _, _ = follow(store, first)
    assert again.compiled.rules_made == 0
    assert again.compiled.snapshot.rules is first.compiled.snapshot.rules
    assert difference(first.compiled.snapshot, again.compiled.snapshot) == ()
    assert again.statuses is not None
    assert first.statuses is not None
    kept = [again.statuses.patches[id] is patch for id, patch in first.statuses.patches.items()]
    assert all(kept)
