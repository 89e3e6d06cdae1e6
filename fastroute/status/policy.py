"""The status of a BackendTLSPolicy: one entry for each Gateway that reaches a target; those of others are kept."""

from typing import Any

from fastroute.graph.conditions import ACCEPTED, RESOLVED_REFS
from fastroute.graph.entries import entries
from fastroute.graph.node import PolicyNode
from fastroute.resources.gateway import GROUP
from fastroute.resources.meta import Key
from fastroute.resources.status_patch import StatusPatch
from fastroute.status.condition import Condition, fitting, judged

MOST_ANCESTORS = 16  # PolicyStatus.ancestors


def policy_status(node: PolicyNode, controller_name: str) -> StatusPatch:
    metadata = node.source.metadata
    foreign = _foreign_ancestors(node, controller_name)
    conditions = [
        judged(ACCEPTED, node.problems, node.scope, metadata.generation),
        judged(RESOLVED_REFS, node.problems, "Every reference is resolved.", metadata.generation),
    ]
    room = max(0, MOST_ANCESTORS - len(foreign))
    own = [_ancestor(key, controller_name, conditions) for key in node.ancestors[:room]]
    return StatusPatch(
        kind="BackendTLSPolicy",
        key=node.source.key,
        generation=metadata.generation,
        uid=metadata.uid,
        status={"ancestors": [*foreign, *fitting(own)]},
    )


def _foreign_ancestors(node: PolicyNode, controller_name: str) -> list[dict[str, Any]]:
    """Entries of other controllers, as they were read."""
    read = entries(node.source.status, "ancestors", "controllerName")
    return [entry for entry in read if entry["controllerName"] != controller_name]


def _ancestor(gateway: Key, controller_name: str, conditions: list[Condition]) -> dict[str, Any]:
    ref = {"group": GROUP, "kind": "Gateway", "namespace": gateway.namespace, "name": gateway.name}
    return {"ancestorRef": ref, "controllerName": controller_name, "conditions": conditions}
