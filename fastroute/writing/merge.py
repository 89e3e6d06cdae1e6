"""merge(): computes the new status of an object from its present status and our part of it. Pure.

A status belongs to several controllers. Our part is: conditions of the types in OUR_TYPES, the listeners of a Gateway
except others' conditions in them, the parents with our controllerName, and the fields in OWNED. All else is kept as it
was read, in its place. A condition whose status changes gets a new `lastTransitionTime`, every other keeps its own; so
a status that is already right comes out equal and is not written. If a list is too long, our entries are left out
(room.py).
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from fastroute.graph.entries import entries
from fastroute.resources.meta import Key
from fastroute.status import OUR_TYPES
from fastroute.writing.room import MOST, REFERENCE, fitting_conditions, identity

Status = Mapping[str, Any]
Entry = dict[str, Any]

OWNED = {  # fields that only fastroute writes: what the wanted status does not contain is removed
    "GatewayClass": frozenset({"supportedFeatures"}),
    "Gateway": frozenset({"addresses", "attachedListenerSets"}),
}


class Ours(msgspec.Struct, frozen=True):
    """Which entries belong to this fastroute. Several with the same controllerName may serve different Gateways."""

    controller_name: str
    gateways: frozenset[str] = frozenset()  # "ns/name"; empty: all

    def has(self, entry: Entry, reference: str, namespace: str) -> bool:
        """Whether `entry` belongs to this fastroute. It is about the parent in its field `reference`, of an object in
        `namespace`."""
        if not _written_by(entry, self):
            return False
        return not self.gateways or _parent_key(entry.get(reference), namespace) in self.gateways


def _written_by(entry: Entry, ours: Ours) -> bool:
    """Whether this or another fastroute with our controllerName wrote it. For an entry whose parent is a ListenerSet,
    only the wanted status decides which one."""
    return bool(entry.get("controllerName") == ours.controller_name)


class Change(NamedTuple):
    """The context of a merge, and the time for conditions that change."""

    key: Key
    ours: Ours
    now: str  # RFC 3339


def merge(kind: str, held: Status, wanted: Status, change: Change) -> dict[str, Any] | None:
    """`held` with our part from `wanted`. None: it is equal already. Other parts of `wanted` are ignored."""
    owned = OWNED.get(kind, frozenset())
    merged: dict[str, Any] = {}
    for name in dict.fromkeys((*held, *wanted)):
        if name in REFERENCE:
            merged[name] = _merge_parents(name, held.get(name) or (), wanted.get(name, ()), change)
        elif name == "conditions":
            merged[name] = merge_conditions(held.get(name) or (), wanted.get(name, ()), change.now)
        elif name == "listeners":
            merged[name] = _merge_listeners(held.get(name) or (), wanted.get(name, ()), change.now)
        elif name in wanted:
            merged[name] = wanted[name][: MOST[name]] if name in MOST else wanted[name]
        elif name not in owned:
            merged[name] = held[name]
    return None if merged == held else merged


def without_ours(held: Status, change: Change) -> dict[str, Any] | None:
    """`held` of a route that has no managed parent any more, without our entries. None: there are none."""
    return merge("", held, {name: () for name in REFERENCE if name in held}, change)


def has_ours(status: Status, key: Key, ours: Ours) -> bool:
    """Whether a list of parents contains one of our entries."""
    return any(
        ours.has(entry, reference, key.namespace)
        for name, reference in REFERENCE.items()
        for entry in entries(status, name, "controllerName")
    )


# --- Conditions


def merge_conditions(
    held: Iterable[Entry], wanted: Iterable[Entry], now: str, *, ours_first: bool = False
) -> list[Entry]:
    """`ours_first`: for one of our entries: conditions of others are left out if there are too many."""
    new = {entry["type"]: entry for entry in wanted if entry["type"] in OUR_TYPES}
    merged: list[Entry] = []
    for entry in held:
        if entry["type"] not in OUR_TYPES:
            merged.append(entry)
        elif entry["type"] in new:
            merged.append(_timed(new.pop(entry["type"]), entry, now))
    merged += (_timed(entry, None, now) for entry in new.values())
    return fitting_conditions(merged, ours_first=ours_first)


def _timed(entry: Entry, held: Entry | None, now: str) -> Entry:
    """metav1.Condition.lastTransitionTime changes with `status`, not with reason or message."""
    stands = held is not None and held.get("status") == entry["status"] and "lastTransitionTime" in held
    return {**entry, "lastTransitionTime": held["lastTransitionTime"] if held and stands else now}


# --- Lists of entries


def _merge_listeners(held: Iterable[Entry], wanted: Iterable[Entry], now: str) -> list[Entry]:
    """In the order of the spec; entries of removed listeners are dropped."""
    known = {entry["name"]: entry for entry in held}
    return [
        {**entry, "conditions": merge_conditions(_conditions_of(known.get(entry["name"])), entry["conditions"], now)}
        for entry in wanted
    ]


def _merge_parents(name: str, held: Iterable[Entry], wanted: Iterable[Entry], change: Change) -> list[Entry]:
    reference = REFERENCE[name]
    new = {
        identity(entry[reference]): entry
        for entry in wanted
        if entry.get("controllerName") == change.ours.controller_name
    }
    merged: list[Entry] = []
    for entry in held:
        if _written_by(entry, change.ours) and (which := identity(entry.get(reference) or {})) in new:
            merged.append(_entry(new.pop(which), entry, change.now))
        elif not change.ours.has(entry, reference, change.key.namespace):
            merged.append(entry)
    merged += (_entry(entry, None, change.now) for entry in new.values())
    return _fitting(merged, name, change)


def _entry(entry: Entry, held: Entry | None, now: str) -> Entry:
    conditions = merge_conditions(_conditions_of(held), entry["conditions"], now, ours_first=True)
    return {**entry, "conditions": conditions}


def _conditions_of(held: Entry | None) -> list[Entry]:
    return (held or {}).get("conditions") or []


def _fitting(merged: list[Entry], name: str, change: Change) -> list[Entry]:
    """At most as many as the API accepts; our entries are left out, never those of others."""
    excess, reference = len(merged) - MOST[name], REFERENCE[name]
    if excess <= 0:
        return merged
    mine = [index for index, entry in enumerate(merged) if change.ours.has(entry, reference, change.key.namespace)]
    dropped = frozenset(mine[-excess:])
    return [entry for index, entry in enumerate(merged) if index not in dropped]


def _parent_key(ref: Any, namespace: str) -> str:
    return f"{ref.get('namespace') or namespace}/{ref.get('name')}" if isinstance(ref, dict) else ""
