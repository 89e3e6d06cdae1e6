"""Transitions: the changes of a status that are worth an Event. Pure.

They are computed for each write from the old and the new status. So only the replica that writes reports them, once,
and a new leader that finds the same status reports nothing. If a condition did not exist before, only failures and
beginnings are reported: a route was attached, a Gateway was programmed.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fastroute.graph.conditions import ACCEPTED, CONFLICTED, PROGRAMMED, RESOLVED_REFS
from fastroute.resources.route_kinds import ROUTES
from fastroute.status import OUR_TYPES
from fastroute.status.stated import stated_conditions
from fastroute.writing.merge import Ours
from fastroute.writing.room import REFERENCE

ACTIONS = {ACCEPTED: "Attach", RESOLVED_REFS: "ResolveReferences", PROGRAMMED: "Program", CONFLICTED: "Attach"}
BEGINNINGS = {  # by kind: the condition, and the prefix of its part, that reports a beginning; "" is the object itself
    **dict.fromkeys((*ROUTES, "BackendTLSPolicy", "XTelemetryPolicy"), (ACCEPTED, "at ")),
    "Gateway": (PROGRAMMED, ""),
    "ListenerSet": (ACCEPTED, ""),
}
_BAD = {CONFLICTED: "True"}  # for all other types "False" is a failure
_PASSING = frozenset({"Pending"})  # reasons of temporary states


class Transition(NamedTuple):
    """A condition that changed."""

    is_warning: bool
    reason: str  # of the condition
    action: str  # what fastroute was doing
    note: str  # the part and the message of the condition


def transitions(kind: str, held: Mapping[str, Any], merged: Mapping[str, Any], ours: Ours) -> Iterator[Transition]:
    before = dict(_ours(held, ours))
    for at, (status, reason, message) in _ours(merged, ours):
        part, type_ = at
        was = before.get(at)
        bad = status == _BAD.get(type_, "False")
        if reason in _PASSING or not _is_told(kind, at, was, (status, reason, message), bad):
            continue
        where = part.removeprefix("at ")
        yield Transition(bad, reason, ACTIONS.get(type_, "Reconcile"), f"{where}: {message}" if where else message)


def _ours(status: Mapping[str, Any], ours: Ours) -> Iterator[tuple[tuple[str, str], tuple[str, str, str]]]:
    own = {
        name: [entry for entry in status.get(name) or () if entry.get("controllerName") == ours.controller_name]
        for name in REFERENCE
    }
    for at, said in stated_conditions({**status, **own}):
        if at[1] in OUR_TYPES:
            yield at, said


def _is_told(
    kind: str, at: tuple[str, str], was: tuple[str, str, str] | None, now: tuple[str, str, str], bad: bool
) -> bool:
    if was is not None and was[0] != "Unknown":
        another = bad and was[2] != now[2]  # the same reason with another cause: the next reference is refused
        return was[:2] != now[:2] or another
    type_, part = BEGINNINGS.get(kind, ("", ""))
    return bad or (at[1] == type_ and (at[0].startswith(part) if part else at[0] == ""))
