"""Reads statuses that other controllers may have written: nothing validates them, so unexpected content is ignored."""

from collections.abc import Mapping
from typing import Any

import msgspec

from fastroute.resources.gateway import ParentReference


def entries(status: Mapping[str, Any], field: str, *names: str) -> list[dict[str, Any]]:
    """The mappings in the list `field` that have a string for each of `names`, unchanged."""
    read = status.get(field)
    if not isinstance(read, list):
        return []
    return [
        entry for entry in read if isinstance(entry, dict) and all(isinstance(entry.get(name), str) for name in names)
    ]


def full_conditions(holder: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The conditions with all required fields; conditions of other controllers may lack some."""
    return entries(holder, "conditions", "type", "status", "reason", "message")


def named_parents(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of a route's status that have a controllerName and a valid parentRef."""
    return [entry for entry in entries(status, "parents", "controllerName") if _names_object(entry.get("parentRef"))]


def entries_by_object(status: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The entries of a route's or policy's status, each with its valid parentRef or ancestorRef."""
    parents = [(entry["parentRef"], entry) for entry in named_parents(status)]
    ancestors = entries(status, "ancestors", "controllerName")
    return parents + [(ref, entry) for entry in ancestors if _names_object(ref := entry.get("ancestorRef"))]


def _names_object(ref: Any) -> bool:
    try:
        msgspec.convert(ref, ParentReference)
    except msgspec.ValidationError:
        return False
    return True
