"""check(): all statuses that the controller would write, the problems behind them, and warnings, as a Report.

Uses the same graph and statuses as `serve`, with an Outcome in which every bind succeeds. The same input gives the same
Report (without times, in the order of the objects).
"""

from collections.abc import Callable, Container, Iterable
from typing import Any

import msgspec

from fastroute.graph.backend_id import service_of
from fastroute.graph.build import build_graph
from fastroute.graph.conditions import written
from fastroute.graph.finding import Finding, find_problems
from fastroute.graph.node import Graph
from fastroute.lint import lint, nothing_served
from fastroute.resources.decode import Id
from fastroute.resources.meta import Key
from fastroute.resources.problem import ManifestProblem
from fastroute.resources.status_patch import StatusPatch
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings
from fastroute.snapshot import Endpoint
from fastroute.status import build_statuses, everything_bound

GATEWAY_API = "gateway.networking.k8s.io/v1"


class ObjectName(msgspec.Struct, frozen=True, order=True):
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A problem or a warning. Missing parts are None."""

    object: ObjectName | None
    condition: str | None  # None for a warning, or if the object could not be read
    reason: str | None
    message: str
    field: str | None = None
    file: str | None = None
    line: int | None = None
    fix: str | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    objects: tuple[dict[str, Any], ...]  # {"apiVersion", "kind", "metadata", "status"}
    problems: tuple[Said, ...]
    warnings: tuple[Said, ...]
    assumed: str | None = None  # see `assumed`

    def document(self) -> dict[str, Any]:
        """As `fastroute check -o json` prints it."""
        return {"objects": self.objects, "problems": self.problems, "warnings": self.warnings}


def news(report: Report, before: Report, own: Container[ObjectName]) -> Report:
    """What concerns the objects `own`, and what `before` does not have."""

    def is_new(said: Said, known: Container[Said]) -> bool:
        return said.object in own or said not in known

    problems, warnings = frozenset(before.problems), frozenset(before.warnings)
    return msgspec.structs.replace(
        report,
        objects=tuple(one for one in report.objects if _name_of(one) in own or one not in before.objects),
        problems=tuple(one for one in report.problems if is_new(one, problems)),
        warnings=tuple(one for one in report.warnings if is_new(one, warnings)),
    )


def _name_of(document: dict[str, Any]) -> ObjectName:
    metadata = document["metadata"]
    return ObjectName(document["kind"], metadata.get("namespace", ""), metadata["name"])


LineOf = Callable[[str, Id, str], int | None]  # line, from 1, of a field of an object in a file; None: unknown


def _unknown(file: str, name: Id, field: str) -> int | None:
    return None


def check(
    resources: Resources,
    settings: GraphSettings,
    unread: Iterable[ManifestProblem] = (),
    doubts: Iterable[ManifestProblem] = (),
    line: LineOf = _unknown,
    *,
    now: float | None = None,
) -> Report:
    """`unread`: errors from the source; `doubts`: its warnings; `line`: looks up positions in the files; `now`: seconds
    since the epoch, to check the validity periods of certificates."""
    graph = build_graph(resources, settings)
    statuses = build_statuses(graph, everything_bound(graph))
    absent = [_not_there(name) for name in sorted(settings.gateways) if _key(name) not in graph.gateways]
    if not statuses.in_order and not absent:
        absent = [_nothing(nothing_served(resources, graph) or "")]
    return Report(
        objects=tuple(_object(patch) for patch in statuses.in_order),
        problems=(*map(_of_manifest, unread), *(_of_finding(found, line) for found in find_problems(graph))),
        warnings=(
            *map(_of_manifest, doubts),
            *absent,
            *(_of_finding(found, line) for found in lint(resources, graph, now)),
        ),
        assumed=assumed(graph, settings, graph.backends),
    )


def assumed(graph: Graph, settings: GraphSettings, backends: Iterable[str]) -> str | None:
    """Text about the assumed addresses of the gateway; None if no endpoint of `backends` (ids, or
    "ns/name:port") is local."""
    used = set(filter(None, map(service_of, backends)))
    if graph.memo is None or not used & graph.memo.exclusion.suspects:
        return None
    addressing = settings.addressing
    where = addressing.pool or ", ".join(addressing.bind)
    offset = f" with --port-offset {addressing.port_offset}" if addressing.port_offset else ""
    operators = ", ".join(written(Endpoint(*one)) for one in settings.operators) or "no address"
    return (
        f"Assumed addresses of the gateway itself: listeners at {where}{offset}; metrics, health and admin at "
        f"{operators}. Set them as for `serve`: --bind, --address-pool, --port-offset, --metrics, --health, --admin."
    )


def _object(patch: StatusPatch) -> dict[str, Any]:
    metadata = {"namespace": patch.key.namespace, "name": patch.key.name}
    return {
        "apiVersion": GATEWAY_API,
        "kind": patch.kind,
        "metadata": {name: value for name, value in metadata.items() if value},
        "status": patch.status,
    }


# --- Said


def _nothing(why: str) -> Said:
    message = f"No object was checked: {why}."
    return Said(object=None, condition=None, reason="NothingJudged", message=message)


def _not_there(gateway: str) -> Said:
    return Said(
        object=ObjectName("Gateway", *_key(gateway)),
        condition=None,
        reason="GatewayNotFound",
        message="--gateway selects it, but the manifests have no such Gateway with a managed class: it is not checked.",
    )


def _key(name: str) -> Key:
    return Key(*name.split("/", 1))


def _of_manifest(problem: ManifestProblem) -> Said:
    named = problem.kind is not None and problem.name is not None
    return Said(
        object=ObjectName(problem.kind or "", problem.namespace or "", problem.name or "") if named else None,
        condition=None,
        reason=problem.reason,
        message=problem.message,
        field=problem.field,
        file=problem.file,
        line=problem.line,
        fix=problem.fix,
    )


def _of_finding(finding: Finding, line: LineOf) -> Said:
    origin = finding.origin
    id_ = finding.read_as or (finding.kind, finding.key)
    found = line(origin.file, id_, finding.field) if origin and finding.field else None
    return Said(
        object=ObjectName(finding.kind, finding.key.namespace, finding.key.name),
        condition=finding.condition,
        reason=finding.reason,
        message=finding.message,
        field=finding.field,
        file=origin.file if origin else None,
        line=found or (origin.line if origin else None),
        fix=finding.fix,
    )
