"""Builds conditions: True, or False with the most severe reason and each message once. Keeps conditions of others."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastroute.graph.conditions import (
    ACCEPTED,
    CONFLICTED,
    INSECURE_FRONTEND,
    OVERLAPPING,
    PROGRAMMED,
    RESOLVED_REFS,
)
from fastroute.graph.entries import entries
from fastroute.graph.node import Problem
from fastroute.visible import visible

Condition = dict[str, Any]

SUPPORTED_VERSION = "SupportedVersion"
LONGEST_MESSAGE = 32_768  # metav1.Condition.message
MOST_SAID = 262_144  # characters of all messages in one status: etcd accepts 1.5 MiB, including spec and managedFields
OUR_TYPES = frozenset(
    {ACCEPTED, PROGRAMMED, RESOLVED_REFS, CONFLICTED, OVERLAPPING, INSECURE_FRONTEND, SUPPORTED_VERSION}
)


def condition(type_: str, status: str, reason: str, message: str, generation: int) -> Condition:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": visible(message[:LONGEST_MESSAGE])[:LONGEST_MESSAGE],
        "observedGeneration": generation,
    }


def judged(type_: str, problems: Iterable[Problem], well: str, generation: int) -> Condition:
    """True, or False with the most severe reason and each message once."""
    negative = [problem for problem in problems if problem.condition == type_]
    if not negative:
        return condition(type_, "True", type_, well, generation)
    reason = min((problem.reason for problem in negative), key=_gravity)
    negative.sort(key=lambda problem: problem.reason != reason)
    return condition(type_, "False", reason, joined(problem.message for problem in negative), generation)


# If a condition has several reasons, the first in this list is used; reasons of a parent come before those of its
# route.
GRAVITY = {
    reason: rank
    for rank, reason in enumerate(
        (
            "NoMatchingParent",
            "NotAllowedByListeners",
            "NoMatchingListenerHostname",
            "IncompatibleFilters",
            "UnsupportedValue",
            "RefNotPermitted",
            "InvalidKind",
            "BackendNotFound",
            "UnsupportedProtocol",
            "EndpointRefused",
            "TooManyEndpoints",
        )
    )
}


def _gravity(reason: str) -> int:
    return GRAVITY.get(reason, len(GRAVITY))


def joined(messages: Iterable[str]) -> str:
    """Each message once, in order; truncated after a whole message if they are too long for a condition."""
    joined: list[str] = []
    length = 0
    unique = list(dict.fromkeys(messages))
    for count, message in enumerate(unique):
        length += len(message) + 1
        if length > LONGEST_MESSAGE - 40 and joined:
            joined.append(f"And {len(unique) - count} more.")
            break
        joined.append(message)
    return " ".join(joined)


def fitting(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Parents or listeners of one status. If all our messages together are too long for an object, truncates each to
    the same length."""
    ours = [one for entry in entries for one in entry["conditions"] if one["type"] in OUR_TYPES]
    if sum(len(one["message"]) for one in ours) <= MOST_SAID:
        return entries
    longest = MOST_SAID // len(ours)
    texts: dict[str, str] = {}  # equal texts of a status are one string
    return [{**entry, "conditions": [_cut(one, longest, texts) for one in entry["conditions"]]} for entry in entries]


def _cut(one: Condition, longest: int, texts: dict[str, str]) -> Condition:
    if one["type"] not in OUR_TYPES or len(one["message"]) <= longest:
        return one
    text = f"{one['message'][: longest - 1]}…"
    return {**one, "message": texts.setdefault(text, text)}


def foreign_conditions(status: Mapping[str, Any]) -> list[Condition]:
    """Conditions of other types, as they were read."""
    return [entry for entry in entries(status, "conditions", "type") if entry["type"] not in OUR_TYPES]


def state(entry: Mapping[str, Any], type_: str) -> Condition:
    """The condition of this type; `entry` must have it."""
    found: Condition = next(c for c in entry["conditions"] if c["type"] == type_)
    return found
