"""The conditions of objects, from the statuses of the last pass."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastroute.graph.entries import full_conditions
from fastroute.view.answers import Condition


def conditions_of(holder: Mapping[str, Any]) -> tuple[Condition, ...]:
    """`holder`: a status, or the part of one with conditions."""
    return tuple(
        Condition(type=one["type"], status=one["status"], reason=one["reason"], message=one["message"])
        for one in full_conditions(holder)
    )


def by_name(parts: Iterable[Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    return {part["name"]: part for part in parts}
