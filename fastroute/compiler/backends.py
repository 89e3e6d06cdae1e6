"""The weighted backends of a rule: a refused or invalid reference keeps its share, which answers 500."""

from fastroute.compiler.filters import filters_of
from fastroute.graph.node import BackendRefNode, RuleNode
from fastroute.resources.gateway import HTTPBackendRef, HTTPRouteRule
from fastroute.snapshot import WeightedBackend

REFUSED_STATUS = 500

# By the reason of the condition: the reason in logs and metrics (ext/reason).
REASONS = {
    "RefNotPermitted": "reference_refused",
    "BackendNotFound": "backend_not_found",
    "InvalidKind": "backend_invalid",
    "UnsupportedProtocol": "backend_invalid",
}


def backends_of(rule: RuleNode, written: HTTPRouteRule) -> tuple[WeightedBackend, ...]:
    """One for each backendRef, in its order."""
    return tuple(
        _weighted_backend(node, backend_ref)
        for node, backend_ref in zip(rule.backend_refs, written.backend_refs, strict=True)
    )


def _weighted_backend(node: BackendRefNode, written: HTTPBackendRef) -> WeightedBackend:
    filters = filters_of(written.filters)
    if node.problem is None:
        return WeightedBackend(weight=node.weight, backend=node.id, filters=filters)
    return WeightedBackend(
        weight=node.weight,
        backend=node.id,
        status=REFUSED_STATUS,
        reason=REASONS[node.problem.reason],
        filters=filters,
    )
