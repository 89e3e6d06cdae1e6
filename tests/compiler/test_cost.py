"""A change costs as much as the objects that it affects: work is counted and time is limited, with 3,000 routes.

The limit is a fraction of the cost of building everything, measured on the same machine at the same time, as processor
time of the best of several rounds. Only a change of the order of growth makes these tests fail: a change takes about
1/50, and the limit is 1/10. The cost in milliseconds is measured in bench/micro/test_control.py.
"""

import time
from collections import Counter
from typing import Any, NamedTuple

import pytest
from crowd import crowd, endpoints, route
from graph.world import gateway, listener, make
from graph.world import route as a_route

from fastroute.compiler import compile
from fastroute.compiler.compile import NOTHING, Compiled, compile_snapshot
from fastroute.graph import family
from fastroute.graph.build import build_graph, forgotten
from fastroute.graph.node import Graph
from fastroute.publication import EndpointUpdate, SetEndpoints, UpsertRule, difference, publication
from fastroute.resources.core import Namespace
from fastroute.resources.gateway import GatewayClass, ListenerSet
from fastroute.resources.meta import Resource
from fastroute.settings import Addressing, GraphSettings
from fastroute.snapshot import Bound, Outcome
from fastroute.source.store import Apply, Store
from fastroute.status import Statuses, build_statuses
from fastroute.status import build as status_build
from fastroute.wire import encode

ROUTES, ROUNDS, PART = 3_000, 5, 0.1
SETTINGS = GraphSettings()


class Made(NamedTuple):
    graph: Graph | None = None
    compiled: Compiled = NOTHING
    statuses: Statuses | None = None


def follow(store: Store, last: Made, settings: GraphSettings = SETTINGS) -> tuple[Made, list[object], int]:
    """All work of the main process after a change, with the number of messages and their size in bytes."""
    graph = build_graph(store.snapshot(), settings, last.graph)
    compiled = compile_snapshot(graph, previous=last.compiled)
    messages = list(publication(2, 1, difference(last.compiled.snapshot, compiled.snapshot)))
    size = sum(len(encode(message)) for message in messages)
    outcome = Outcome(version=2, target=2, listeners={id: Bound() for id in compiled.snapshot.listeners})
    return Made(graph, compiled, build_statuses(graph, outcome, last.statuses)), messages, size


@pytest.fixture(scope="module")
def store() -> Store:
    return crowd(ROUTES)


class Whole(NamedTuple):
    """The result of building everything without a previous state, and its processor time in seconds."""

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
        ([endpoints(47, 7, 4 + round) for round in range(ROUNDS)], 0, [EndpointUpdate]),
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


# --- Gateways

GATEWAYS, SPACES = 400, 20
POOL = GraphSettings(class_name=None, addressing=Addressing(pool="127.1.0.0/16"))


def numbered_gateway(number: int, hostname: str = "") -> Resource:
    allowed = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}
    one = listener("proxy", hostname=hostname) if hostname else listener("proxy")
    return gateway(f"g{number}", space(number), one, spec={"allowedListeners": allowed}, meta={"uid": f"u{number}"})


def numbered_set(number: int, port: int = 81) -> Resource:
    spec = {"parentRef": {"name": f"g{number}"}, "listeners": [listener("more", port)]}
    return make(ListenerSet, space(number), f"s{number}", spec)


def numbered_route(number: int) -> Resource:
    return a_route(f"r{number}", space(number), parents=[{"name": f"g{number}"}])


def labelled(number: int, team: str) -> Resource:
    return make(Namespace, "", space(number), meta={"labels": {"team": team}})


def space(number: int) -> str:
    return f"n{number % SPACES}"


@pytest.fixture(scope="module")
def many_gateways() -> tuple[Store, list[Made]]:
    """Gateways with one address, one ListenerSet and one route each; and the results of all passes so far."""
    store = Store()
    objects = [make(GatewayClass, "", "fastroute", {"controllerName": POOL.controller_name})]
    objects += [labelled(number, "a") for number in range(SPACES)]
    for number in range(GATEWAYS):
        objects += [numbered_gateway(number), numbered_set(number), numbered_route(number)]
    store.apply(map(Apply, objects))
    return store, [follow(store, Made(), POOL)[0]]


@pytest.mark.parametrize(
    ("changes", "gateways"),
    [
        ([numbered_gateway(GATEWAYS), numbered_route(GATEWAYS)], 1),
        ([numbered_gateway(7, "a.example.com")], 1),
        ([numbered_set(8, 82)], 1),
        ([numbered_route(GATEWAYS - 1)], 1),
        ([labelled(3, "b")], GATEWAYS // SPACES),
        ([make(Namespace, "", "unknown", meta={"labels": {"team": "b"}})], 0),
    ],
    ids=["a Gateway more", "a Gateway edited", "a ListenerSet edited", "a route", "a label", "another label"],
)
def test_a_change_costs_the_gateways_that_it_concerns(
    many_gateways: tuple[Store, list[Made]], changes: list[Resource], gateways: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts the families, listeners and statuses that are built."""
    store, passes = many_gateways
    made: Counter[str] = Counter()
    for module, name in ((family, "build_family"), (status_build, "holder_status"), (compile, "_listener")):
        real = getattr(module, name)

        def counting(*given: Any, real: Any = real, name: str = name, **more: Any) -> Any:
            made[name] += 1
            return real(*given, **more)

        monkeypatch.setattr(module, name, counting)
    store.apply(map(Apply, changes))
    now = follow(store, passes[-1], POOL)[0]
    passes.append(now)
    assert made["build_family"] <= gateways
    assert made["holder_status"] <= 2 * gateways, "the status of each Gateway and of its ListenerSet"
    assert made["_listener"] <= 4 * gateways, "each listener before and after the change"
    assert now.graph is not None
    assert now.statuses is not None
    whole = build_graph(store.snapshot(), POOL, forgotten(now.graph))  # addresses depend on the history
    assert now.graph.gateways == whole.gateways
    assert now.graph.listener_sets == whole.listener_sets
    assert now.statuses.patches == build_statuses(whole, now.statuses.outcome).patches
    assert now.compiled.snapshot == compile_snapshot(whole).snapshot


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
