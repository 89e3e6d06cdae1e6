"""What depends only on the Graph is found once for it: an answer about thousands of routes costs little then."""

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from view.seen import seen
from worlds import GATEWAY, grant, route, world

from fastroute.snapshot import Snapshot
from fastroute.view.choice import Choice
from fastroute.view.gateways import gateways
from fastroute.view.once import once
from fastroute.view.paging import Window
from fastroute.view.problems import problems
from fastroute.view.routes import routes
from fastroute.view.state import State
from fastroute.view.summary import status
from fastroute.view.traffic import Flow, Traffic

FEW, MANY = 100, 200
PAGE = 20
MOST_CALLS = 3  # of functions, for one more route; a generator that yields its name is one
LISTENER = Choice(gateway="infra/web", listener="proxy")
ASKED: dict[str, Callable[[State], Any]] = {
    "status": lambda state: status(state, Window()),
    "gateways": lambda state: gateways(state, Window(limit=PAGE)),
    "routes": lambda state: routes(state, Window(limit=PAGE)),
    "routes of a listener": lambda state: routes(state, Window(limit=PAGE, choice=LISTENER)),
    "routes with problems": lambda state: routes(state, Window(limit=PAGE, choice=Choice(problems=True))),
    "problems": lambda state: problems(state, Window(limit=PAGE)),
    "warnings": lambda state: problems(state, Window(limit=PAGE, choice=Choice(type="warning"))),
}


def refused(number: int) -> State:
    """Each route has a refused reference, and each grant has no use."""
    rule = "\n  - backendRefs: [{name: x, namespace: other, port: 80}]\n"
    texts = (text for one in range(number) for text in (route(f"infra/r{one:03}", rule), grant(f"n{one:03}", "nobody")))
    state = seen(world(GATEWAY, *texts))
    counted = {(rule.gateway, rule.listener_name, "", "", "", "") for rule in state.snapshot.rules.values()}
    for rule in state.snapshot.rules.values():
        own = (rule.gateway, rule.listener_name, rule.route, rule.route_kind, rule.name)
        counted |= {(*own, backend) for backend in ("", *(one.label for one in rule.backends))}
    flows = {(kind, str(key)): Flow(100, 0, ()) for kind, key in state.graph.routes}
    return state._replace(traffic=Traffic(5.0, (), flows, {}, {}, frozenset(counted)))


def calls(ask: Callable[[State], Any], state: State) -> int:
    """How many functions the second question calls."""
    ask(state)
    called = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal called
        called += event == "call"

    sys.setprofile(count)
    try:
        ask(state)
    finally:
        sys.setprofile(None)
    return called


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_a_page_costs_little_for_the_routes_that_it_does_not_have(ask: Callable[[State], Any]) -> None:
    few, many = (calls(ask, refused(number)) for number in (FEW, MANY))
    assert few <= many <= few + MOST_CALLS * (MANY - FEW)


def test_traffic_changes_what_is_said_about_a_known_graph() -> None:
    state = refused(1)
    before = problems(state, Window()).counts
    [name] = state.traffic.routes
    failed = {name: state.traffic.routes[name]._replace(failed=90)}
    state = state._replace(traffic=state.traffic._replace(routes=failed))
    after = problems(state, Window())
    assert (before.failing, after.counts.failing, status(state, Window()).failing_routes) == (1, 1, 1)
    [one] = problems(state, Window(choice=Choice(type="failing"))).items
    assert one.message == "90 % of the responses are errors; rule 0: 100 % of the requests get 500 (reference_refused)"


def test_it_is_found_again_for_another_snapshot_or_graph() -> None:
    found: list[Snapshot] = []
    get = once(lambda served: found.append(served.snapshot) or len(found))
    state, other = refused(1), refused(1)
    assert [get(one) for one in (state, state, other, state)] == [1, 1, 2, 1]
    assert get(state._replace(snapshot=replace(state.snapshot))) == 3


def test_a_graph_that_is_no_longer_served_is_freed() -> None:
    state = refused(2)
    for ask in ASKED.values():
        ask(state)
    graph = weakref.ref(state.graph)
    gc.disable()  # it may be part of no cycle: the main process seldom collects these
    try:
        del state
        assert graph() is None
    finally:
        gc.enable()
