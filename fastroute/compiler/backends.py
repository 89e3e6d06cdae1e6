"""The weighted backends of a rule: a refused, invalid or withheld one keeps its weight; its share is answered 500."""

from collections.abc import Iterable

from msgspec.structs import replace

from fastroute.compiler.filters import filters_of
from fastroute.graph.backend_id import PASSED, showing
from fastroute.graph.node import BackendRefNode, RuleNode
from fastroute.resources.http_rule import HTTPBackendRef
from fastroute.snapshot import Filter, Mirror, WeightedBackend

REFUSED_STATUS = 500

# Reason of the condition: reason in logs and metrics (ext/message/reason).
REASONS = {
    "RefNotPermitted": "reference_refused",
    "BackendNotFound": "backend_not_found",
    "InvalidKind": "backend_invalid",
    "UnsupportedProtocol": "backend_invalid",
}


def backends_of(rule: RuleNode, written: Iterable[HTTPBackendRef]) -> tuple[WeightedBackend, ...]:
    """One for each backendRef, in order."""
    return tuple(
        _weighted_backend(node, filters_of(backend_ref.filters, mirrors_at(rule, index)))
        for index, (node, backend_ref) in enumerate(zip(rule.backend_refs, written, strict=True))
    )


def plain_backends_of(rule: RuleNode) -> tuple[WeightedBackend, ...]:
    """Likewise for backendRefs that have no filters."""
    return tuple(_weighted_backend(node, ()) for node in rule.backend_refs)


def mirrors_at(rule: RuleNode, backend_ref: int | None) -> dict[int, str]:
    """The backends of RequestMirror filters of one list, by index; `backend_ref` None: the rule's own filters."""
    return {node.filter: node.id for node in rule.mirrors if node.backend_ref == backend_ref and node.served}


def _weighted_backend(node: BackendRefNode, filters: tuple[Filter, ...]) -> WeightedBackend:
    reason = _reason(node)
    status = None if reason is None else REFUSED_STATUS
    return WeightedBackend(weight=node.weight, backend=node.id, status=status, reason=reason, filters=filters)


def _reason(node: BackendRefNode) -> str | None:
    """Why the gateway itself answers its share of requests; None if requests are forwarded."""
    if node.problem is not None:
        return REASONS[node.problem.reason]
    return node.withheld.reason if node.withheld is not None else None


def backends_showing(
    backends: tuple[WeightedBackend, ...], certificate: str, secured: frozenset[str]
) -> tuple[WeightedBackend, ...]:
    """The same for a Gateway with this certificate, which it shows to the backends that are `secured`."""
    return tuple(
        replace(
            _showing(one, certificate) if one.backend in secured else one,
            filters=filters_showing(one.filters, certificate, secured),
        )
        for one in backends
    )


def _showing(backend: WeightedBackend, certificate: str) -> WeightedBackend:
    """A policy that cannot be fulfilled withholds no bytes that are passed on unread."""
    found = replace(backend, backend=showing(backend.backend, certificate))
    return replace(found, status=None, reason=None) if certificate == PASSED else found


def filters_showing(filters: tuple[Filter, ...], certificate: str, secured: frozenset[str]) -> tuple[Filter, ...]:
    return tuple(
        replace(one, backend=showing(one.backend, certificate))
        if isinstance(one, Mirror) and one.backend in secured
        else one
        for one in filters
    )
