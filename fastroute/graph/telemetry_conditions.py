"""Negative conditions of XTelemetryPolicies: one constructor for each, as for the other kinds (conditions.py)."""

from fastroute.graph.conditions import ACCEPTED, RESOLVED_REFS
from fastroute.graph.node import Problem
from fastroute.resources.meta import Key

FIELD = "spec.tracing.provider.backendRef"


def target_not_found(gateway: Key) -> Problem:
    message = f"Gateway {gateway} does not exist, so the policy has no effect there."
    return Problem(condition=ACCEPTED, reason="TargetNotFound", message=message, field="spec.targetRefs")


def conflicted(gateway: Key, first: Key) -> Problem:
    message = (
        f"XTelemetryPolicy {first} has precedence for Gateway {gateway}: one policy applies to a Gateway, the oldest, "
        f"then the one whose name comes first. Remove one of them."
    )
    return Problem(condition=ACCEPTED, reason="Conflicted", message=message, field="spec.targetRefs")


def not_secured(service: Key, port: int, policy: Key, why: str) -> Problem:
    message = (
        f"Port {port} of Service {service} has BackendTLSPolicy {policy}, {why}. No spans are sent. Correct that "
        f"policy, or use a port to which no BackendTLSPolicy applies."
    )
    return Problem(condition=RESOLVED_REFS, reason="UnsupportedProtocol", message=message, field=f"{FIELD}.port")
