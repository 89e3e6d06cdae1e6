"""The status of a policy: one entry for each Gateway that it concerns; entries of other controllers are kept.

These are the Gateways that reach a target of a BackendTLSPolicy, and those that an XTelemetryPolicy targets.
"""

from typing import Any

from fastroute.graph.conditions import ACCEPTED, RESOLVED_REFS
from fastroute.graph.entries import entries
from fastroute.graph.node import PolicyNode, TelemetryNode
from fastroute.resources.gateway import GROUP
from fastroute.resources.meta import Key
from fastroute.resources.policy import BackendTLSPolicy
from fastroute.resources.status_patch import StatusPatch
from fastroute.resources.telemetry import XTelemetryPolicy
from fastroute.status.condition import Condition, fitting, judged

Policy = BackendTLSPolicy | XTelemetryPolicy
MOST_ANCESTORS = 16  # PolicyStatus.ancestors


def policy_status(node: PolicyNode, controller_name: str) -> StatusPatch:
    metadata = node.source.metadata
    conditions = [
        judged(ACCEPTED, node.problems, node.scope, metadata.generation),
        judged(RESOLVED_REFS, node.problems, "Every reference is resolved.", metadata.generation),
    ]
    own = [_ancestor(key, controller_name, conditions) for key in node.ancestors]
    return _patch("BackendTLSPolicy", node.source, own, controller_name)


def telemetry_status(node: TelemetryNode, controller_name: str) -> StatusPatch:
    generation = node.source.metadata.generation
    resolved = judged(RESOLVED_REFS, node.problems, "Every reference is resolved.", generation)
    own = []
    for one in node.ancestors:
        said = f"Applies to Gateway {one.gateway}."
        accepted = judged(ACCEPTED, one.problems, said, generation)
        own.append(_ancestor(one.gateway, controller_name, [accepted, resolved]))
    return _patch("XTelemetryPolicy", node.source, own, controller_name)


def _patch(kind: str, source: Policy, own: list[dict[str, Any]], controller_name: str) -> StatusPatch:
    """`own`: our entries."""
    metadata = source.metadata
    foreign = _foreign_ancestors(source, controller_name)
    room = max(0, MOST_ANCESTORS - len(foreign))
    return StatusPatch(
        kind=kind,
        key=source.key,
        generation=metadata.generation,
        uid=metadata.uid,
        status={"ancestors": [*foreign, *fitting(own[:room])]},
    )


def _foreign_ancestors(source: Policy, controller_name: str) -> list[dict[str, Any]]:
    """Entries of other controllers, as they were read."""
    read = entries(source.status, "ancestors", "controllerName")
    return [entry for entry in read if entry["controllerName"] != controller_name]


def _ancestor(gateway: Key, controller_name: str, conditions: list[Condition]) -> dict[str, Any]:
    ref = {"group": GROUP, "kind": "Gateway", "namespace": gateway.namespace, "name": gateway.name}
    return {"ancestorRef": ref, "controllerName": controller_name, "conditions": conditions}
