"""Problems of all kinds in one list: what an operator must look at, whatever object it is about.

The status counts all but warnings: these take longer to find, so they are found once for each Graph.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from weakref import WeakKeyDictionary

from fastroute.graph.finding import Finding, find_problems
from fastroute.graph.node import Graph
from fastroute.lint import lint
from fastroute.snapshot import Failed
from fastroute.view.answers import PROBLEMS, Problem, ProblemCounts, Problems
from fastroute.view.certificates import ending, moment
from fastroute.view.failing import Failing
from fastroute.view.paging import Window, cut
from fastroute.view.referring import REFUSED
from fastroute.view.state import State

_WARNINGS: WeakKeyDictionary[Graph, tuple[Finding, ...]] = WeakKeyDictionary()


def problems(state: State, window: Window) -> Problems:
    """The key of a problem in `window` begins with the place of its type in PROBLEMS."""
    known = (*_present(state), *_conditions(state.graph), *_warnings(state.graph))
    counts = Counter(one.type for one in known)
    chosen = (
        one for one in known if window.choice.type in ("", one.type) and window.choice.finds(partial(_texts, one))
    )
    keyed = dict(_keyed(chosen))
    found = cut(keyed, window, keyed.__getitem__)
    return Problems(
        version=state.outcome.target,
        total=found.total,
        next=found.next,
        items=found.items,
        counts=ProblemCounts(**{one: counts[one] for one in PROBLEMS}),
    )


def present_counts(state: State) -> Mapping[str, int]:
    """By type, without those that conditions say, and without warnings."""
    return Counter(one.type for one in _present(state))


def _keyed(found: Iterator[Problem]) -> Iterator[tuple[str, Problem]]:
    """Two problems of a field are told apart by their order."""
    seen: Counter[str] = Counter()
    for one in found:
        key = f"{PROBLEMS.index(one.type)} {one.kind}/{one.object} {one.field or ''} {one.reason}"
        seen[key] += 1
        yield f"{key} {seen[key]:06}", one


def _texts(one: Problem) -> tuple[str, ...]:
    return f"{one.kind}/{one.object}", one.reason, one.message


def _present(state: State) -> Iterator[Problem]:
    """What no condition says."""
    yield from _failing(state)
    yield from _unbound(state)
    yield from _certificates(state)


def _conditions(graph: Graph) -> Iterator[Problem]:
    yield from (_found("refused" if one.reason == REFUSED else "condition", one) for one in find_problems(graph))


def _warnings(graph: Graph) -> Iterator[Problem]:
    if graph not in _WARNINGS:
        _WARNINGS[graph] = tuple(lint(graph.resources, graph)) if graph.resources else ()
    yield from (_found("warning", one) for one in _WARNINGS[graph])


def _found(type_: str, one: Finding) -> Problem:
    return Problem(
        type=type_,
        kind=one.kind,
        object=str(one.key),
        field=one.field,
        reason=one.reason,
        message=one.message,
        fix=one.fix,
    )


def _failing(state: State) -> Iterator[Problem]:
    for (kind, name), texts in Failing(state).routes.items():
        yield _said("failing", kind, name, "Failing", "; ".join(texts))


def _unbound(state: State) -> Iterator[Problem]:
    for id_, listener in state.snapshot.listeners.items():
        result = state.outcome.listeners.get(id_)
        if isinstance(result, Failed):
            message = f"Listener {listener.name} is not bound at {listener.place}: {result.reason}"
            yield _said("not_bound", "Gateway", listener.gateway, "NotBound", message)


def _certificates(state: State) -> Iterator[Problem]:
    for node in state.graph.certificates.values():
        if (found := ending(node, state.now)) is not None:
            limit = node.not_before if found == "not yet valid" else node.not_after
            message = (
                f"It is not valid before {moment(limit)}" if found == "not yet valid" else f"Its end: {moment(limit)}"
            )
            yield _said("certificate", "Secret", node.id, found, message)


def _said(type_: str, kind: str, name: str, reason: str, message: str) -> Problem:
    return Problem(type=type_, kind=kind, object=name, field=None, reason=reason, message=message, fix=None)
