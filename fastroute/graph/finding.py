"""Findings: problems and warnings about users' objects, in one structure."""

from collections.abc import Iterator

import msgspec

from fastroute.graph.node import Graph, Problem
from fastroute.resources.meta import Key, Origin, Resource


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    key: Key
    condition: str | None = None  # None: a warning, which is in no status
    reason: str
    message: str
    field: str | None = None
    fix: str | None = None
    origin: Origin | None = None  # file and line of the object
    read_as: tuple[str, Key] | None = None  # identifies it among what the source read, if kind and key do not


def find_problems(graph: Graph) -> tuple[Finding, ...]:
    """Every problem of every node, each once: one for each refused reference, regardless of the number of parents."""
    return tuple(_problems(graph))


def _problems(graph: Graph) -> Iterator[Finding]:
    for gateway_class in graph.classes.values():
        yield from _of("GatewayClass", gateway_class.source, gateway_class.problems)
    for holder in graph.holders:
        kind, _ = holder.id
        yield from _of(kind, holder.source, holder.problems)
        for listener in holder.listeners:
            yield from _of(kind, holder.source, listener.problems)
    for policy in graph.policies.values():
        yield from _of("BackendTLSPolicy", policy.source, policy.problems)
    for telemetry in graph.telemetry.values():
        said = [*(problem for one in telemetry.ancestors for problem in one.problems), *telemetry.problems]
        yield from _of("XTelemetryPolicy", telemetry.source, tuple(said))
    for id_, route in graph.routes.items():
        parents = graph.parents[id_]
        for parent in parents:
            yield from _of(route.kind, route.source, parent.problems)
        if parents:
            yield from _of(route.kind, route.source, route.problems)


def _of(kind: str, source: Resource, problems: tuple[Problem, ...]) -> Iterator[Finding]:
    for problem in problems:
        yield Finding(
            kind=kind,
            key=source.key,
            condition=problem.condition,
            reason=problem.reason,
            message=problem.message,
            field=problem.field,
            fix=problem.fix,
            origin=source.origin,
        )


def warning(
    kind: str, source: Resource, reason: str, message: str, field: str | None = None, *, fix: str | None = None
) -> Finding:
    """A Finding that is in no status."""
    return Finding(
        kind=kind, key=source.key, reason=reason, message=message, field=field, fix=fix, origin=source.origin
    )
