"""The status of a listener of a Gateway or ListenerSet: first its problems, then the result of the data plane."""

from collections.abc import Mapping
from typing import Any

from fastroute.graph.address import is_wildcard
from fastroute.graph.conditions import ACCEPTED, CONFLICTED, OVERLAPPING, PROGRAMMED, RESOLVED_REFS
from fastroute.graph.mode import ends_tls
from fastroute.graph.node import Holder, ListenerNode, ListenerSetNode
from fastroute.snapshot import Bound, Failed, Outcome
from fastroute.status.condition import Condition, condition, foreign_conditions, joined, judged

SERVED = "Every worker serves it."
PENDING = "Waiting for the workers to apply it."


def listener_status(
    holder: Holder,
    node: ListenerNode,
    outcome: Outcome | None,
    standing: frozenset[str],
    read: Mapping[str, Any],
) -> dict[str, Any]:
    generation = holder.source.metadata.generation
    failure = _failure(holder, node, outcome) if node.serves else None
    conditions = [
        *foreign_conditions(read),
        _listener_accepted(node, failure, generation),
        _listener_programmed(holder, node, failure, _is_served(holder, node, outcome, standing)),
        judged(RESOLVED_REFS, node.problems, _references(node), generation),
    ]
    if clash := next((problem for problem in node.problems if problem.condition == CONFLICTED), None):
        conditions.append(condition(CONFLICTED, "True", clash.reason, clash.message, generation))
    if node.overlap is not None:
        conditions.append(condition(OVERLAPPING, "True", node.overlap.reason, node.overlap.message, generation))
    return {
        "name": node.source.name,
        "supportedKinds": [{"group": group, "kind": kind} for group, kind in node.supported_kinds],
        "attachedRoutes": len(node.attachments),
        "conditions": conditions,
    }


def _references(node: ListenerNode) -> str:
    if node.source.tls is None or ends_tls(node.source):
        return "Every reference of the listener is resolved."
    return "The listener passes TLS on unread: certificateRefs are not used."


def _failure(holder: Holder, node: ListenerNode, outcome: Outcome | None) -> str | None:
    """Why the data plane could not bind the listener, or None.

    On hosts with only one IP family, one of "0.0.0.0" and "::" fails and the other one covers all addresses.
    """
    known = outcome.listeners if outcome else {}
    results = {address: known.get(f"{node.id}@{address}") for address in holder.bind}
    failed = {address: result.reason for address, result in results.items() if isinstance(result, Failed)}
    bound = any(isinstance(result, Bound) for result in results.values())
    if bound and all(map(is_wildcard, failed)):
        return None
    return joined(failed.values()) or None


def _listener_accepted(node: ListenerNode, failure: str | None, generation: int) -> Condition:
    own = judged(ACCEPTED, node.problems, "The listener is valid.", generation)
    clash = next((problem for problem in node.problems if problem.condition == CONFLICTED), None)
    if own["status"] == "False":
        return own
    if clash is not None:
        return condition(ACCEPTED, "False", clash.reason, clash.message, generation)
    if failure is not None:
        return condition(ACCEPTED, "False", "PortUnavailable", failure, generation)
    return own


def _is_served(holder: Holder, node: ListenerNode, outcome: Outcome | None, standing: frozenset[str]) -> bool:
    """Whether every worker has acknowledged the current spec of this listener."""
    if outcome is None or not outcome.complete:
        return node.source.name in standing
    ids = (f"{node.id}@{address}" for address in holder.bind)
    return all(id_ in outcome.listeners for id_ in ids)


def _listener_programmed(holder: Holder, node: ListenerNode, failure: str | None, served: bool) -> Condition:
    generation = holder.source.metadata.generation
    if not node.serves:
        clash = next((problem for problem in node.problems if problem.condition == CONFLICTED), None)
        why = [problem.message for problem in node.problems if problem.condition in (ACCEPTED, CONFLICTED)]
        why = why or [problem.message for problem in node.problems if problem.condition == RESOLVED_REFS]
        why = why or [problem.message for problem in holder.problems]
        reason = clash.reason if clash and isinstance(holder, ListenerSetNode) else "Invalid"
        return condition(PROGRAMMED, "False", reason, joined(why), generation)
    if failure is not None:
        return condition(PROGRAMMED, "False", "Invalid", failure, generation)
    if served:
        return condition(PROGRAMMED, "True", PROGRAMMED, SERVED, generation)
    return condition(PROGRAMMED, "False", "Pending", PENDING, generation)
