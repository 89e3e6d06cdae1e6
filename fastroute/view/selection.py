"""Which routes a Choice asks for."""

from collections.abc import Iterable, Iterator
from functools import partial

from fastroute.graph.node import RouteId, RouteNode
from fastroute.snapshot import backend_label
from fastroute.view.choice import Choice
from fastroute.view.failing import Failing
from fastroute.view.state import State


def chosen_routes(state: State, choice: Choice) -> Iterable[RouteId]:
    found: Iterable[RouteId] = state.graph.routes
    if choice.gateway:
        found = _attached(state, choice)
    if choice.problems:
        failing = Failing(state)
        found = (id_ for id_ in found if has_problem(state, id_) or failing.of((id_[0], str(id_[1]))))
    if choice.search:
        found = (id_ for id_ in found if choice.finds(partial(_texts, state.graph.routes[id_])))
    return found


def _attached(state: State, choice: Choice) -> Iterable[RouteId]:
    """The routes of a listener, or of all listeners of a Gateway."""
    found: dict[RouteId, None] = {}
    for holder in state.graph.holders:
        if str(holder.gateway) == choice.gateway:
            for listener in holder.listeners:
                if choice.listener in ("", listener.label):
                    found.update(dict.fromkeys(listener.attachments))
    return found


def has_problem(state: State, id_: RouteId) -> bool:
    """Whether one of its conditions says so."""
    graph = state.graph
    return bool(graph.routes[id_].problems) or any(parent.problems for parent in graph.parents[id_])


def _texts(node: RouteNode) -> Iterator[str]:
    yield f"{node.kind}/{node.key}"
    yield from node.hostnames
    for rule in node.rules:
        for ref in rule.backend_refs:
            yield backend_label(ref.id)
