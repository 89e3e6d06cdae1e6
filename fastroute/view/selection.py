"""Which routes a Choice asks for."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from fastroute.graph.node import Graph, RouteId, RouteNode
from fastroute.snapshot import backend_label
from fastroute.view.choice import Choice
from fastroute.view.failing import Failing
from fastroute.view.once import Served, once
from fastroute.view.state import State
from fastroute.view.traffic import RouteName


class Listed(NamedTuple):
    """A route in a list."""

    text: str  # "kind/ns/name"
    id: RouteId
    name: RouteName


def chosen_routes(state: State, choice: Choice, failing: Failing) -> Iterable[Listed]:
    """In the order of their texts."""
    found: Iterable[Listed] = _attached(state, choice) if choice.gateway else _ordered(state)
    if choice.problems:
        troubled = _troubled(state)
        found = (one for one in found if one.id in troubled or one.name in failing)
    if choice.search:
        found = (one for one in found if choice.finds(partial(_texts, state.graph.routes[one.id])))
    return found


@once
def _ordered(served: Served) -> tuple[Listed, ...]:
    named = ((kind, key, str(key)) for kind, key in served.graph.routes)
    return tuple(sorted(Listed(f"{kind}/{name}", (kind, key), (kind, name)) for kind, key, name in named))


@once
def _lists(served: Served) -> dict[tuple[str, str], tuple[Listed, ...]]:
    """By Gateway and listener, those that were asked for and exist; the listener "" means all."""
    return {}


def _attached(state: State, choice: Choice) -> tuple[Listed, ...]:
    """The routes of a listener, or of all listeners of a Gateway."""
    lists, asked = _lists(state), (choice.gateway, choice.listener)
    if asked in lists:
        return lists[asked]
    listeners = [
        listener
        for holder in state.graph.holders
        if str(holder.gateway) == choice.gateway
        for listener in holder.listeners
        if choice.listener in ("", listener.label)
    ]
    if not listeners:
        return ()
    attached = {id_ for listener in listeners for id_ in listener.attachments}
    lists[asked] = tuple(one for one in _ordered(state) if one.id in attached)
    return lists[asked]


@once
def _troubled(served: Served) -> frozenset[RouteId]:
    return frozenset(id_ for id_ in served.graph.routes if has_problem(served.graph, id_))


def has_problem(graph: Graph, id_: RouteId) -> bool:
    """Whether one of its conditions says so."""
    return bool(graph.routes[id_].problems) or any(parent.problems for parent in graph.parents[id_])


def _texts(node: RouteNode) -> Iterator[str]:
    yield f"{node.kind}/{node.key}"
    yield from node.hostnames
    for rule in node.rules:
        for ref in rule.backend_refs:
            yield backend_label(ref.id)
