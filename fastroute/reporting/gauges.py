"""Gauges of the objects that are read and served; each pass changes those that differ from the pass before."""

from collections.abc import Mapping

from fastroute.difference import changed_keys
from fastroute.graph.backend_id import transport_of
from fastroute.graph.certificate import CertificateNode
from fastroute.graph.node import Graph, Problem
from fastroute.metrics import Metrics
from fastroute.resources.world import Resources
from fastroute.snapshot import Snapshot, backend_label
from fastroute.source.store import FIELDS

Stages = tuple[Resources, Graph, Snapshot]  # of a pass


def show_objects(metrics: Metrics, before: Stages, now: Stages) -> None:
    """`before`: the pass before, empty at first."""
    for kind, field in FIELDS.items():
        if getattr(before[0], field) is not (found := getattr(now[0], field)) and (found or getattr(before[0], field)):
            metrics.objects.labels(kind.__name__).set(len(found))
    old, new = before[1], now[1]
    if old.routes is not new.routes:
        metrics.refused_references.change(refused_references(old, new), anew=not old.routes)
    if old.certificates is not new.certificates:
        metrics.certificate_expiry.change(expiries(old.certificates, new.certificates), anew=not old.certificates)
    if (old_endpoints := before[2].endpoints) is not (endpoints := now[2].endpoints):
        changed = changed_keys(old_endpoints, endpoints)
        metrics.endpoints.change({id_: endpoints.get(id_) for id_ in changed}, backend_label, transport_of)


def refused_references(before: Graph, graph: Graph) -> dict[tuple[str, ...], int | None]:
    """The number of backendRefs that no ReferenceGrant allows, of the routes that changed, by ("ns/name", kind)."""
    counts: dict[tuple[str, ...], int | None] = {}
    for kind, key in changed_keys(before.routes, graph.routes):
        node = graph.routes.get((kind, key))
        counts[str(key), kind] = (sum(map(_is_refused, node.problems)) if node else 0) or None
    return counts


def _is_refused(problem: Problem) -> bool:
    return problem.reason == "RefNotPermitted"


def expiries(
    before: Mapping[str, CertificateNode], now: Mapping[str, CertificateNode]
) -> dict[tuple[str, ...], int | None]:
    """When the certificates that changed expire, by (Secret,). None: there is no certificate."""
    return {(id_,): _expiry(now.get(id_)) for id_ in changed_keys(before, now)}


def _expiry(node: CertificateNode | None) -> int | None:
    return node.not_after if node is not None and node.certificate is not None else None
