"""Room: the limits of the lists in a status, and which of our entries are left out to keep them. Pure.

The API server rejects a status with a list that is too long as a whole (422 "Too many"), so the rest of it would become
outdated. Entries of other controllers are never removed to make room: our entries are left out, optional ones first. An
exception is our entry in a route's parents: no other controller should write to it, so conditions of others are left
out there.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fastroute.graph.conditions import ACCEPTED, CONFLICTED, INSECURE_FRONTEND, OVERLAPPING, PROGRAMMED, RESOLVED_REFS
from fastroute.graph.entries import entries
from fastroute.status.condition import OUR_TYPES, SUPPORTED_VERSION

Entry = dict[str, Any]

MOST = {  # maxItems of the CRDs
    "conditions": 8,
    "parents": 32,
    "ancestors": 16,
    "listeners": 64,
    "addresses": 16,
    "supportedFeatures": 64,
}
# The first goes first.
GIVING_WAY = (OVERLAPPING, INSECURE_FRONTEND, SUPPORTED_VERSION, CONFLICTED, RESOLVED_REFS, PROGRAMMED, ACCEPTED)
REFERENCE = {"parents": "parentRef", "ancestors": "ancestorRef"}  # by the list that contains it


def fitting_conditions(merged: list[Entry], *, ours_first: bool = False) -> list[Entry]:
    """At most as many as a list takes. `ours_first`: conditions of others are left out instead, the last one first."""
    excess = len(merged) - MOST["conditions"]
    if excess <= 0:
        return merged
    present = [one["type"] for one in merged]
    if ours_first:
        out = [type_ for type_ in reversed(present) if type_ not in OUR_TYPES]
    else:
        out = [type_ for type_ in GIVING_WAY if type_ in present]
    gone = frozenset(out[:excess])
    return [one for one in merged if one["type"] not in gone]


def left_out(held: Mapping[str, Any], wanted: Mapping[str, Any], written: Mapping[str, Any], by: str) -> list[str]:
    """What is missing in `written` because there was no room, in words: from `wanted`, and from what others had in our
    entries in `held`. `by`: our controllerName."""
    found = [f"condition {type_}" for type_ in _lost(wanted, written)]
    there = {entry["name"]: entry for entry in entries(written, "listeners", "name")}
    for entry in entries(wanted, "listeners", "name"):
        lost = _lost(entry, there.get(entry["name"], {}))
        found += [f"condition {type_} of listener {entry['name']}" for type_ in lost]
    for name in REFERENCE:
        found += _lost_parents(name, held, wanted, written, by)
    return found


def _lost(wanted: Mapping[str, Any], written: Mapping[str, Any]) -> list[str]:
    there = _types(written)
    return [type_ for type_ in _types(wanted) if type_ in OUR_TYPES and type_ not in there]


def _lost_parents(
    name: str, held: Mapping[str, Any], wanted: Mapping[str, Any], written: Mapping[str, Any], by: str
) -> Iterator[str]:
    before, there = _parents(name, held, by), _parents(name, written, by)
    for identity, entry in _parents(name, wanted, by).items():
        part = f"{name.removesuffix('s')} {_named(entry[REFERENCE[name]])}"
        if identity not in there:
            yield f"the entry of {part}"
            continue
        kept = _types(there[identity])
        for type_ in dict.fromkeys((*_types(before.get(identity, {})), *_types(entry))):
            if type_ not in kept and (type_ not in OUR_TYPES or type_ in _types(entry)):
                yield f"condition {type_} of {part}"


def _parents(name: str, status: Mapping[str, Any], by: str) -> dict[tuple[tuple[str, Any], ...], Entry]:
    found = (entry for entry in entries(status, name, "controllerName") if entry["controllerName"] == by)
    return {identity(entry.get(REFERENCE[name]) or {}): entry for entry in found}


def identity(ref: Any) -> tuple[tuple[str, Any], ...]:
    """A reference to a parent without the fields that are null; the schema fills in group and kind."""
    return tuple(sorted((name, value) for name, value in ref.items() if value is not None))


def _named(ref: Mapping[str, Any]) -> str:
    where = f"{ref['namespace']}/{ref['name']}" if ref.get("namespace") else str(ref.get("name"))
    return f"{where}/{ref['sectionName']}" if ref.get("sectionName") else where


def _types(holder: Mapping[str, Any]) -> list[str]:
    return [one["type"] for one in entries(holder, "conditions", "type")]
