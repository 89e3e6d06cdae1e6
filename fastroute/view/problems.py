"""Problems of all kinds in one list: what an operator must look at, whatever object it is about.

The status counts all but warnings: these take longer to find.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from fastroute.graph.finding import Finding
from fastroute.snapshot import Failed
from fastroute.view.answers import PROBLEMS, Problem, ProblemCounts, Problems
from fastroute.view.certificates import ending, moment
from fastroute.view.failing import Failing, first_texts, refused_parts
from fastroute.view.findings import said, warnings
from fastroute.view.once import Served, once
from fastroute.view.paging import Window, cut
from fastroute.view.referring import REFUSED
from fastroute.view.state import State
from fastroute.view.traffic import RouteName

Keyed = Mapping[str, Problem]


def problems(state: State, window: Window) -> Problems:
    """The key of a problem in `window` begins with the place of its type in PROBLEMS."""
    choice, known = window.choice, _known(state)
    keyed = {key: one for type_ in PROBLEMS if choice.type in ("", type_) for key, one in known[type_].items()}
    if choice.search:
        keyed = {key: one for key, one in keyed.items() if choice.finds(partial(_texts, one))}
    found = cut(keyed, window, keyed.__getitem__)
    return Problems(
        version=state.outcome.target,
        total=found.total,
        next=found.next,
        items=found.items,
        counts=ProblemCounts(**{one: len(known[one]) for one in PROBLEMS}),
    )


def present_counts(state: State) -> Mapping[str, int]:
    """By type, without those that conditions say, and without warnings."""
    counts: Counter[str] = Counter(one.type for one in (*_unbound(state), *_certificates(state)))
    counts["failing"] = len(Failing(state))
    return counts


def _known(state: State) -> Mapping[str, Keyed]:
    """By type. A route that fails because of its rules, and because of its responses, is one problem."""
    failing = Failing(state)
    present = {
        "failing": (_failing(name, failing.of(name)) for name in failing.answered),
        "not_bound": _unbound(state),
        "certificate": _certificates(state),
    }
    lasting = _lasting(state)
    return {one: {**lasting.get(one, {}), **_keyed(present.get(one, ()))} for one in PROBLEMS}


@once
def _lasting(served: Served) -> Mapping[str, Keyed]:
    """By type: what the traffic and the time do not change."""
    conditions = [_found("refused" if one.reason == REFUSED else "condition", one) for one in said(served).problems]
    failing = (_failing(name, first_texts(texts)) for name, texts in refused_parts(served).items())
    return {
        "failing": _keyed(failing),
        "refused": _keyed(one for one in conditions if one.type == "refused"),
        "condition": _keyed(one for one in conditions if one.type == "condition"),
        "warning": _keyed(_found("warning", one) for one in warnings(served)),
    }


def _keyed(found: Iterable[Problem]) -> Keyed:
    """Two problems of a field are told apart by their order."""
    keyed: dict[str, Problem] = {}
    seen: Counter[str] = Counter()
    for one in found:
        key = f"{PROBLEMS.index(one.type)} {one.kind}/{one.object} {one.field or ''} {one.reason}"
        seen[key] += 1
        keyed[f"{key} {seen[key]:06}"] = one
    return keyed


def _texts(one: Problem) -> tuple[str, ...]:
    return f"{one.kind}/{one.object}", one.reason, one.message


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


def _failing(name: RouteName, texts: Iterable[str]) -> Problem:
    return _said("failing", *name, "Failing", "; ".join(texts))


def _unbound(state: State) -> Iterator[Problem]:
    for id_, listener in state.snapshot.listeners.items():
        result = state.outcome.listeners.get(id_)
        if isinstance(result, Failed):
            message = f"Listener {listener.name} is not bound at {listener.place}: {result.reason}"
            in_set = listener.name.rpartition("/")[0]  # "namespace/set" of "namespace/set/listener"
            kind, name = ("ListenerSet", in_set) if in_set else ("Gateway", listener.gateway)
            yield _said("not_bound", kind, name, "NotBound", message)


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
