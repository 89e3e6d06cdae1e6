"""The share of requests of each backendRef of a rule, and how that share is handled.

Shares are exact: weight / sum of weights, whether the reference resolves or is refused (HTTPBackendRef.weight).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import msgspec
from msgspec.structs import replace

from fastroute.explain.filtering import Answered, Preflighted, Redirected, filter_request
from fastroute.explain.matching import Found
from fastroute.explain.request import Request
from fastroute.explain.shown import Effect, filters_shown
from fastroute.graph.backend_id import certificate_of
from fastroute.graph.conditions import written
from fastroute.graph.node import BackendRefNode, Graph
from fastroute.resources.meta import Key
from fastroute.snapshot import Endpoint, Rule, Snapshot, WeightedBackend


class Encryption(msgspec.Struct, frozen=True, kw_only=True):
    """How connections to the endpoints use TLS."""

    policy: str  # the BackendTLSPolicy: "ns/name"
    server_name: str
    client_certificate: str | None = None  # the Secret with the certificate of the Gateway: "ns/name"


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """The share of one backendRef of the requests of its rule. Parts that do not apply are None."""

    backend: str
    weight: int
    share: float  # 0 to 1; the float closest to `fraction`
    fraction: str  # "7/10"
    endpoints: tuple[str, ...] | None = None  # None: requests are not forwarded to it
    tls: Encryption | None = None  # None: cleartext, or requests are not forwarded
    status: int | None = None  # status with which the gateway itself answers the share
    reason: str | None = None
    message: str | None = None  # if it or some endpoints are refused: as in the status; if withheld: the reason
    fix: str | None = None  # YAML that fixes the problem
    filters: tuple[dict[str, Any], ...] = ()


def refuses(share: Share) -> bool:
    """Whether the gateway answers the share with an error, or ends its connections."""
    return share.reason is not None and (share.status is None or share.status >= 500)


def refused_parts(shares: Iterable[Share]) -> list[tuple[float, int | None, str | None]]:
    """The part of the requests that gets each error: (0 to 1, status, reason), the greatest first."""
    parts: defaultdict[tuple[int | None, str | None], Fraction] = defaultdict(Fraction)
    for share in shares:
        if share.weight and refuses(share):
            parts[share.status, share.reason] += Fraction(share.fraction)
    return [(float(part), *answer) for answer, part in sorted(parts.items(), key=lambda one: -one[1])]


def percent(part: float) -> str:
    """What is not nothing, or not everything, is not shown as such.

    >>> percent(0.3), percent(1 / 3), percent(0.000001), percent(0.999999), percent(1)
    ('30 %', '33.33 %', '<0.01 %', '>99.99 %', '100 %')
    """
    if part < 0.0001:
        return "<0.01 %"
    return ">99.99 %" if 0.9999 < part < 1 else f"{round(100 * part, 2):g} %"


def shares_of(snapshot: Snapshot, graph: Graph, found: Found, request: Request, port: int) -> tuple[Share, ...]:
    """For the rule that was found; `request`: as changed by the rule's own filters; `port`: of the listener."""
    backends = found.rule.backends
    shares = []
    for backend, node, share in _parts(graph, found.rule):
        if backend.status is None:
            endpoints = snapshot.endpoints.get(backend.backend, ())
            share = replace(share, tls=_encryption(snapshot, graph, backend, node))
            shares.append(_forwarded(share, endpoints, filter_request(backend.filters, request, covered(found), port)))
        else:
            shares.append(_refused(share, backend, node))
    return tuple(
        replace(share, filters=_filters_of(share, backend, request, covered(found), port))
        for share, backend in zip(shares, backends, strict=True)
    )


def l4_shares_of(snapshot: Snapshot, graph: Graph, rule: Rule) -> tuple[Share, ...]:
    """The same for connections or datagrams: nothing answers what is refused, so no share has a status."""
    shares = []
    for backend, node, share in _parts(graph, rule):
        endpoints = snapshot.endpoints.get(backend.backend, ())
        if backend.status is not None:
            share = replace(_refused(share, backend, node), status=None)
        elif not endpoints:
            share = replace(share, endpoints=(), reason="no_endpoint")
        else:
            tls = _encryption(snapshot, graph, backend, node)
            share = replace(share, endpoints=tuple(map(written, endpoints)), tls=tls)
        shares.append(share)
    return tuple(shares)


def _parts(graph: Graph, rule: Rule) -> Iterator[tuple[WeightedBackend, BackendRefNode, Share]]:
    """Each backend with its node, and its share before it is known what happens to that."""
    whole = sum(backend.weight for backend in rule.backends)
    for backend, node in zip(rule.backends, _nodes(graph, rule), strict=True):
        part = Fraction(backend.weight, whole) if whole else Fraction(0)
        message = " ".join(concern.message for concern in node.concerns) or None
        share = Share(
            backend=backend.label, weight=backend.weight, share=float(part), fraction=str(part), message=message
        )
        yield backend, node, share


def _encryption(snapshot: Snapshot, graph: Graph, backend: WeightedBackend, node: BackendRefNode) -> Encryption | None:
    applied = graph.backends[node.id].applied
    spoken = snapshot.backends.get(backend.backend)
    if applied is None or applied.tls is None or spoken is None or spoken.tls is None:
        return None
    shown = certificate_of(backend.backend) if spoken.tls.client_certificate is not None else None
    return Encryption(policy=str(applied.policy), server_name=applied.tls.server_name, client_certificate=shown)


def _filters_of(
    share: Share, backend: WeightedBackend, request: Request, prefix: int, port: int
) -> tuple[dict[str, Any], ...]:
    """The filters that act; none for a refused reference."""
    if backend.status is not None:
        return ()
    effect = Effect(changed=share.endpoints is not None, forwarded=share.status is None, of_rule=False)
    return tuple(filters_shown(backend.filters, request, prefix, port, effect))


def _forwarded(share: Share, endpoints: tuple[Endpoint, ...], filtered: Request | Answered) -> Share:
    """The share of a resolved reference; its own filters may answer the requests."""
    if isinstance(filtered, Redirected):
        return replace(share, status=filtered.status, reason="redirect", tls=None)
    if isinstance(filtered, Preflighted):
        return replace(share, status=filtered.status, reason="preflight", tls=None)
    if not endpoints:
        return replace(share, endpoints=(), status=503, reason="no_endpoint", tls=None)
    return replace(share, endpoints=tuple(map(written, endpoints)))


def _refused(share: Share, backend: WeightedBackend, node: BackendRefNode) -> Share:
    refused = replace(share, status=backend.status, reason=backend.reason)
    if node.problem is not None:
        return replace(refused, message=node.problem.message, fix=node.problem.fix)
    return refused if node.withheld is None else replace(refused, message=node.withheld.message)


def _nodes(graph: Graph, rule: Rule) -> tuple[BackendRefNode, ...]:
    """The nodes of the backendRefs of a rule."""
    namespace, _, name = rule.route.partition("/")
    node = graph.routes[rule.route_kind, Key(namespace, name)]
    index = int(rule.id.rpartition("|")[2])
    return node.rules[index].backend_refs


def covered(found: Found) -> int:
    """Number of characters of the path that the matched PathPrefix covers, which ReplacePrefixMatch replaces."""
    return len(found.match.path.value) if found.match.path.type == "PathPrefix" else 0
