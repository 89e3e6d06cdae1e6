"""Routes of all kinds: their parents, the shares of their backends, and their traffic."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from fastroute.graph.backend_id import parts_of
from fastroute.graph.entries import named_parents
from fastroute.graph.node import BackendRefNode, Graph, RouteId, RouteNode, RuleNode
from fastroute.place import Transport
from fastroute.resources.http_rule import HTTPFilter, HTTPMatch
from fastroute.resources.meta import Key
from fastroute.snapshot import backend_label
from fastroute.view.answers import BackendShare, Latency, Parent, Route, Routes, Rule
from fastroute.view.conditions import conditions_of
from fastroute.view.failing import Failing, error_ratio
from fastroute.view.paging import Window, cut
from fastroute.view.referring import refused_references
from fastroute.view.selection import chosen_routes, has_problem
from fastroute.view.state import State
from fastroute.view.traffic import NO_TRAFFIC, QUANTILES, Flow, Traffic, quantile
from fastroute.view.uncounted import Uncounted

NO_ENDPOINT = "no_endpoint"  # as in the access log


class _Seen(NamedTuple):
    """What is known of all routes."""

    uncounted: Uncounted
    failing: Failing


def routes(state: State, window: Window) -> Routes:
    """The key of a route in `window` is "kind/namespace/name"."""
    seen = _Seen(Uncounted(state), Failing(state))
    names = (one.text for one in chosen_routes(state, window.choice, seen.failing))
    found = cut(names, window, lambda name: _route(state, _id(name), seen), _rows)
    return Routes(version=state.outcome.target, total=found.total, next=found.next, items=found.items)


def _rows(route: Route) -> int:
    shares = sum(1 + len(rule.backends) for rule in route.rules)
    return 1 + shares + sum(1 + len(parent.conditions) for parent in route.parents) + len(route.refused)


def _id(name: str) -> RouteId:
    kind, namespace, own = name.split("/", 2)
    return kind, Key(namespace, own)


def _route(state: State, id_: RouteId, seen: _Seen) -> Route:
    node, name = state.graph.routes[id_], (id_[0], str(id_[1]))
    patch = state.statuses.get(id_)
    traffic = NO_TRAFFIC if seen.uncounted.has_route(name) or _takes_datagrams(node) else state.traffic
    flow = traffic.routes.get(name)
    return Route(
        kind=node.kind,
        name=str(node.key),
        hostnames=node.hostnames,
        parents=tuple(_parents(state, node, patch.status)) if patch else (),
        rules=tuple(_rule(state, traffic, node, rule) for rule in node.rules),
        rate=(flow.total if flow else 0) / traffic.seconds if traffic.seconds else None,
        error_ratio=flow.failed / flow.total if flow and flow.total and not node.l4_rules else None,
        latency=_latency(flow, traffic.bounds) if flow and any(flow.buckets) else None,
        refused=refused_references(node.kind, node.key, node.problems),
        problem=has_problem(state.graph, id_),
        failing=seen.failing.of(name),
    )


def _takes_datagrams(node: RouteNode) -> bool:
    """They are not counted."""
    refs = (ref for rule in node.rules for ref in rule.backend_refs)
    return any(parts_of(ref.id)[2] is Transport.UDP for ref in refs)


def _latency(flow: Flow, bounds: Any) -> Latency:
    p50, p90, p99 = (quantile(part, flow.buckets, bounds) or 0.0 for part in QUANTILES)
    return Latency(p50=p50, p90=p90, p99=p99)


def _parents(state: State, node: RouteNode, status: Mapping[str, Any]) -> Iterator[Parent]:
    """The entries of fastroute in its status."""
    for entry in named_parents(status):
        if entry["controllerName"] == state.graph.controller_name:
            ref = entry["parentRef"]
            yield Parent(
                kind=ref.get("kind", "Gateway"),
                name=f"{ref.get('namespace', node.key.namespace)}/{ref['name']}",
                section=ref.get("sectionName"),
                port=ref.get("port"),
                conditions=conditions_of(entry),
            )


def _rule(state: State, traffic: Traffic, node: RouteNode, rule: RuleNode) -> Rule:
    matches = tuple(map(_match, node.http_rules[rule.index].matches)) if node.http_rules else ()
    own = (node.http_rules or node.l4_rules)[rule.index].name or str(rule.index)
    name = (node.kind, str(node.key), own)
    counts, failed = traffic.shares.get(name, {}), traffic.failures.get(name, {})
    shares = _shares(state.graph, node, rule, counts)
    if not node.l4_rules:
        shares = (replace(one, error_ratio=error_ratio(failed, counts, one.backend)) for one in shares)
    return Rule(name=own, matches=matches, backends=tuple(shares))


def _match(match: HTTPMatch) -> str:
    """The values of header fields and query parameters may be credentials: only their names are shown."""
    parts = [match.method or "", f"{match.path.type} {match.path.value}"]
    parts += [f"header {one.name}" for one in match.headers]
    parts += [f"parameter {one.name}" for one in match.query_params]
    return ", ".join(part for part in parts if part)


def _shares(graph: Graph, node: RouteNode, rule: RuleNode, counts: Mapping[str, int]) -> Iterator[BackendShare]:
    """References to one backend are counted together, so they are one share."""
    whole, seen = sum(ref.weight for ref in rule.backend_refs), sum(counts.values())
    for label in dict.fromkeys(backend_label(ref.id) for ref in rule.backend_refs):
        refs = [ref for ref in rule.backend_refs if backend_label(ref.id) == label]
        weight = sum(ref.weight for ref in refs)
        refused = next((ref.problem or ref.withheld for ref in refs if not ref.served), None)
        absent = not refused and weight > 0 and _has_no_endpoint(graph, refs) and not _redirects(node, rule, label)
        yield BackendShare(
            backend=label,
            weight=weight,
            wanted=weight / whole if whole else 0.0,
            seen=counts.get(label, 0) / seen if seen else None,
            error_ratio=None,
            reason=refused.reason if refused else NO_ENDPOINT if absent else None,
            message=refused.message if refused else "None of its endpoints is ready." if absent else None,
        )


def _has_no_endpoint(graph: Graph, refs: Iterable[BackendRefNode]) -> bool:
    backends = [graph.backends[ref.id] for ref in refs]
    return not any(one.endpoints or any(one.fewer.values()) for one in backends)


def _redirects(node: RouteNode, rule: RuleNode, label: str) -> bool:
    """Whether filters answer all requests for the backend `label`: then no endpoint is needed."""
    if not node.http_rules:
        return False
    written = node.http_rules[rule.index]
    own = zip(rule.backend_refs, written.backend_refs, strict=True)
    filters = [ref.filters for one, ref in own if one.weight and backend_label(one.id) == label]
    return any(map(_is_redirect, written.filters)) or all(any(map(_is_redirect, some)) for some in filters)


def _is_redirect(one: HTTPFilter) -> bool:
    return one.type == "RequestRedirect"
