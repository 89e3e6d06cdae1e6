"""Turns: what is worth an Event when a status is written. Pure.

They come from the very write: from what the API server held and what it is given. So they are told by the replica that
writes, once, and a new leader who finds the same says nothing. Of what was not known before only what is wrong is
told, and that something began: a route attached, a Gateway programmed.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fastroute.graph.conditions import ACCEPTED, CONFLICTED, PROGRAMMED, RESOLVED_REFS
from fastroute.source.kubernetes.merge import Ours
from fastroute.source.statuslog import stated_conditions
from fastroute.status import OUR_TYPES

ACTIONS = {ACCEPTED: "Attach", RESOLVED_REFS: "ResolveReferences", PROGRAMMED: "Program", CONFLICTED: "Attach"}
BEGINNINGS = {  # by kind: the condition of a place that says that it began; "" is the object itself
    "HTTPRoute": (ACCEPTED, "at "),
    "GRPCRoute": (ACCEPTED, "at "),
    "Gateway": (PROGRAMMED, ""),
    "ListenerSet": (ACCEPTED, ""),
}
_BAD = {CONFLICTED: "True"}  # of other types "False" is what is wrong
_PASSING = frozenset({"Pending"})  # reasons of what will be over in a moment


class Turn(NamedTuple):
    """One condition that is not what it was."""

    is_warning: bool
    reason: str  # the condition's own
    action: str  # what we were at
    note: str  # where, and the condition's message


def turns(kind: str, held: Mapping[str, Any], merged: Mapping[str, Any], ours: Ours) -> Iterator[Turn]:
    before = dict(_ours(held, ours))
    for at, (status, reason, message) in _ours(merged, ours):
        place, type_ = at
        was = before.get(at)
        bad = status == _BAD.get(type_, "False")
        if reason in _PASSING or not _is_told(kind, at, was, (status, reason, message), bad):
            continue
        where = place.removeprefix("at ")
        yield Turn(bad, reason, ACTIONS.get(type_, "Reconcile"), f"{where}: {message}" if where else message)


def _ours(status: Mapping[str, Any], ours: Ours) -> Iterator[tuple[tuple[str, str], tuple[str, str, str]]]:
    parents = [entry for entry in status.get("parents") or () if entry.get("controllerName") == ours.controller_name]
    for at, said in stated_conditions({**status, "parents": parents}):
        if at[1] in OUR_TYPES:
            yield at, said


def _is_told(
    kind: str, at: tuple[str, str], was: tuple[str, str, str] | None, now: tuple[str, str, str], bad: bool
) -> bool:
    if was is not None and was[0] != "Unknown":
        another = bad and was[2] != now[2]  # the same reason for something else: the next reference is refused
        return was[:2] != now[:2] or another
    type_, place = BEGINNINGS.get(kind, ("", ""))
    return bad or (at[1] == type_ and (at[0].startswith(place) if place else at[0] == ""))
