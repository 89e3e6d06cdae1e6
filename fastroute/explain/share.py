"""What each backendRef of a rule gets of its requests, and what becomes of that share.

Shares are exact: weight / sum of weights, whether the reference is good or refused (HTTPBackendRef.weight).
"""

from fractions import Fraction
from typing import Any

import msgspec
from msgspec.structs import replace

from fastroute.explain.filtering import Answered, Preflighted, Redirected, filter_request
from fastroute.explain.matching import Found
from fastroute.explain.request import Request
from fastroute.explain.shown import Effect, endpoint_shown, filters_shown
from fastroute.graph.node import BackendRefNode, Graph
from fastroute.resources.meta import Key
from fastroute.snapshot import Endpoint, Rule, Snapshot, WeightedBackend


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one backendRef gets of the requests its rule takes. Absent parts are None."""

    backend: str
    weight: int
    share: float  # 0 to 1; exactly `fraction`, as near as a float comes
    fraction: str  # "7/10"
    endpoints: tuple[str, ...] | None = None  # None: it is not forwarded to
    status: int | None = None  # what the share is answered with by the gateway itself
    reason: str | None = None
    message: str | None = None  # of a refused one: what the route's status says of it; of a withheld one: why
    fix: str | None = None  # YAML that would mend it
    filters: tuple[dict[str, Any], ...] = ()


def shares_of(snapshot: Snapshot, graph: Graph, found: Found, request: Request, port: int) -> tuple[Share, ...]:
    """Of the rule that was found; `request` is as the rule's own filters left it, `port` the listener's."""
    backends = found.rule.backends
    whole = sum(backend.weight for backend in backends)
    shares = []
    for backend, node in zip(backends, _nodes(graph, found.rule), strict=True):
        part = Fraction(backend.weight, whole) if whole else Fraction(0)
        share = Share(backend=backend.backend, weight=backend.weight, share=float(part), fraction=str(part))
        if backend.status is None:
            endpoints = snapshot.endpoints.get(backend.backend, ())
            shares.append(_forwarded(share, endpoints, filter_request(backend.filters, request, covered(found), port)))
        else:
            shares.append(_refused(share, backend, node))
    return tuple(
        replace(share, filters=_filters_of(share, backend, request, covered(found), port))
        for share, backend in zip(shares, backends, strict=True)
    )


def _filters_of(
    share: Share, backend: WeightedBackend, request: Request, prefix: int, port: int
) -> tuple[dict[str, Any], ...]:
    """Those that act; none of a refused reference does."""
    if backend.status is not None:
        return ()
    effect = Effect(changed=share.endpoints is not None, forwarded=share.status is None, of_rule=False)
    return tuple(filters_shown(backend.filters, request, prefix, port, effect))


def _forwarded(share: Share, endpoints: tuple[Endpoint, ...], filtered: Request | Answered) -> Share:
    """The share of a good reference; its own filters may have answered it."""
    if isinstance(filtered, Redirected):
        return replace(share, status=filtered.status, reason="redirect")
    if isinstance(filtered, Preflighted):
        return replace(share, status=filtered.status, reason="preflight")
    if not endpoints:
        return replace(share, endpoints=(), status=503, reason="no_endpoint")
    return replace(share, endpoints=tuple(map(endpoint_shown, endpoints)))


def _refused(share: Share, backend: WeightedBackend, node: BackendRefNode) -> Share:
    refused = replace(share, status=backend.status, reason=backend.reason)
    if node.problem is not None:
        return replace(refused, message=node.problem.message, fix=node.problem.fix)
    return refused if node.withheld is None else replace(refused, message=node.withheld.message)


def _nodes(graph: Graph, rule: Rule) -> tuple[BackendRefNode, ...]:
    """What the graph decided of each backendRef of a rule."""
    namespace, _, name = rule.route.partition("/")
    node = graph.routes[rule.route_kind, Key(namespace, name)]
    index = int(rule.id.rpartition("|")[2])
    return node.rules[index].backend_refs


def covered(found: Found) -> int:
    """Characters of the path that the matched PathPrefix covers: what ReplacePrefixMatch replaces."""
    return len(found.match.path.value) if found.match.path.type == "PathPrefix" else 0
