"""Retraction: the status of a Gateway or ListenerSet that is no longer served although its spec is unchanged. Pure.

This happens if its GatewayClass or the Gateway of a ListenerSet was deleted. The generation is the same as before, so
readers would still believe `Accepted=True` and `Programmed=True`. Both become `Unknown` with reason `Pending`, like the
CRD's default conditions before a controller has seen the object, and the addresses are removed.

The status may belong to another controller by now. It is only retracted if fastroute wrote it: its `Accepted` condition
is the one that fastroute wanted last, or a condition is True with a message that only fastroute uses, for the current
generation.
"""

from collections.abc import Mapping
from typing import Any

from fastroute.apiserver.objects import Held
from fastroute.graph.conditions import ACCEPTED, PROGRAMMED
from fastroute.graph.entries import entries, full_conditions
from fastroute.resources.status_patch import StatusPatch
from fastroute.status import OUR_TYPES
from fastroute.status.holder import SAYS_SERVED
from fastroute.writing.merge import Change, merge

KINDS = ("Gateway", "ListenerSet")
_WHY = {
    "Gateway": "Waiting for a controller: fastroute does not serve this Gateway any more, as its GatewayClass is "
    "missing or belongs to another controller.",
    "ListenerSet": "Waiting for a controller: fastroute does not serve this ListenerSet any more, as its Gateway is "
    "missing or belongs to another controller.",
}


def retracted(kind: str, held: Held, said: StatusPatch | None, change: Change) -> dict[str, Any] | None:
    """The status of an object that is no longer served. None: fastroute did not write the status, or retracted it
    already.

    `said`: the status that was wanted last, if this process served the object.
    """
    status = held.status
    if not (_claims(status, held.generation) or (said is not None and _still_says(status, held, said))):
        return None
    conditions = [
        {
            "type": type_,
            "status": "Unknown",
            "reason": "Pending",
            "message": _WHY[kind],
            "observedGeneration": held.generation,
        }
        for type_ in (ACCEPTED, PROGRAMMED)
    ]
    return merge(kind, status, {"conditions": conditions, "listeners": _listeners(status)}, change)


def _claims(status: Mapping[str, Any], generation: int) -> bool:
    """Whether a condition with a message of fastroute says that the object is served in this generation."""
    return any(
        one["status"] == "True"
        and one["type"] in (ACCEPTED, PROGRAMMED)
        and one.get("observedGeneration") == generation
        and one["message"].startswith(SAYS_SERVED)
        for one in full_conditions(status)
    )


def _still_says(status: Mapping[str, Any], held: Held, said: StatusPatch) -> bool:
    """Whether `Accepted` is the one that was wanted last, for this object and generation."""
    if (said.uid, said.generation) != (held.uid, held.generation):
        return False
    return _accepted(status) == _accepted(said.status)


def _accepted(status: Mapping[str, Any]) -> dict[str, Any]:
    found = (one for one in full_conditions(status) if one["type"] == ACCEPTED)
    return {name: value for name, value in next(found, {}).items() if name != "lastTransitionTime"}


def _listeners(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Removes the entries of listeners, except those that contain a condition of another controller."""
    return [
        {"name": entry["name"], "supportedKinds": [], "attachedRoutes": 0, "conditions": []}
        for entry in entries(status, "listeners", "name")
        if any(one["type"] not in OUR_TYPES for one in entries(entry, "conditions", "type"))
    ]
