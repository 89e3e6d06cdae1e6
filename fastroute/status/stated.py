"""The conditions that a status states, by their part, to compare two statuses. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastroute.graph.entries import entries_by_object, full_conditions

Stated = tuple[str, str, str]  # status, reason, message


def stated_conditions(status: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Stated]]:
    """Every condition by (its part in the object: "" or a listener, parent or ancestor; its type)."""
    holders = [("", status)]
    holders += [(f"listener {listener['name']}", listener) for listener in status.get("listeners", ())]
    holders += [(f"at {_parent(ref)}", entry) for ref, entry in entries_by_object(status)]
    for part, holder in holders:
        for condition in full_conditions(holder):
            stated = (condition["status"], condition["reason"], condition["message"])
            yield (part, condition["type"]), stated


def _parent(ref: dict[str, Any]) -> str:
    """The reference as in a message, for example "Gateway infra/web", with its sectionName and port."""
    name = "/".join(part for part in (ref.get("namespace"), ref["name"]) if part)
    details = [f"{key} {ref[key]}" for key in ("sectionName", "port") if ref.get(key) is not None]
    return " ".join((ref.get("kind", "Gateway"), name, *details))
