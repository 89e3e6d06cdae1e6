"""Negative conditions of XTelemetryPolicies: one constructor for each, as for the other kinds (conditions.py)."""

from collections.abc import Iterator

from fastroute.graph.conditions import ACCEPTED
from fastroute.graph.node import Problem
from fastroute.resources.meta import Key
from fastroute.resources.telemetry import DISABLED, ENABLED, XTelemetryPolicy


def target_not_found(gateway: Key) -> Problem:
    message = f"Gateway {gateway} does not exist, so the policy has no effect there."
    return Problem(condition=ACCEPTED, reason="TargetNotFound", message=message, field="spec.targetRefs")


def conflicted(gateway: Key, first: Key) -> Problem:
    message = (
        f"XTelemetryPolicy {first} has precedence for Gateway {gateway}: one policy applies to a Gateway, the oldest, "
        f"then the one whose name comes first. Remove one of them."
    )
    return Problem(condition=ACCEPTED, reason="Conflicted", message=message, field="spec.targetRefs")


def unserved(source: XTelemetryPolicy) -> Iterator[Problem]:
    """What the policy demands and fastroute cannot do."""
    tracing = source.spec.tracing
    if tracing is not None and tracing.mode in (ENABLED, DISABLED):
        message = (
            f"spec.tracing.mode {tracing.mode} is not served: requests of every Gateway are traced as the options "
            f"--otlp and --trace-sampling say, and nothing is exported to the provider of a policy."
        )
        yield Problem(condition=ACCEPTED, reason="UnsupportedValue", message=message, field="spec.tracing.mode")
