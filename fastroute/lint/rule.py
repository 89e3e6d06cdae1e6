"""Lints of rules: their backends, weights and filters."""

from collections.abc import Iterator

from fastroute.graph.backend_ref import ref_id
from fastroute.graph.finding import Finding, warning
from fastroute.graph.header import plain_name
from fastroute.graph.node import Graph, RouteNode
from fastroute.resources.http_rule import HTTPFilter, HTTPRule
from fastroute.resources.world import Resources


def rules_without_backends(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for route, index, rule in rules_of(graph):
        redirects = any(filter_.type == "RequestRedirect" for filter_ in rule.filters)
        if not rule.backend_refs and not redirects:
            message = "The rule has no backendRefs and no redirect: requests are answered with 500."
            yield warning(route.kind, route.source, "NoBackendRefs", message, f"spec.rules[{index}]")


def headers_changed_twice(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for route, where, filter_ in _filters(graph):
        names = _changed(filter_)
        if twice := sorted({name for name in names if names.count(name) > 1}):
            message = f"{', '.join(twice)}: changed twice by the same filter; the API does not define the result."
            yield warning(route.kind, route.source, "HeaderChangedTwice", message, where)


def marks_not_changed(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Filters that name the field by which loops are detected."""
    for route, where, filter_ in _filters(graph):
        if "fastroute-loop" in map(plain_name, _changed(filter_)):
            message = "Filters cannot change Fastroute-Loop: the gateway uses this field to detect loops."
            yield warning(route.kind, route.source, "LoopFieldKept", message, where)


def _filters(graph: Graph) -> Iterator[tuple[RouteNode, str, HTTPFilter]]:
    """Every filter of rules and backendRefs, with its route and its path."""
    for route, index, rule in rules_of(graph):
        refs = enumerate(rule.backend_refs)
        lists = [(f"spec.rules[{index}]", rule.filters)] if rule.filters else []
        lists += [(f"spec.rules[{index}].backendRefs[{i}]", ref.filters) for i, ref in refs if ref.filters]
        for field, filters in lists:
            for number, filter_ in enumerate(filters):
                yield route, f"{field}.filters[{number}]", filter_


def _changed(filter_: HTTPFilter) -> list[str]:
    """The names of the header fields that it changes, in lower case."""
    modifier = filter_.request_header_modifier or filter_.response_header_modifier
    if modifier is None:
        return []
    names = [header.name.lower() for header in (*modifier.set, *modifier.add)]
    return names + [name.lower() for name in modifier.remove]


def zero_weights(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for route, index, rule in rules_of(graph):
        field = f"spec.rules[{index}].backendRefs"
        if rule.backend_refs and not any(ref.weight for ref in rule.backend_refs):
            message = "All weights of the rule are 0: requests are answered with 500."
            yield warning(route.kind, route.source, "AllWeightsZero", message, field)
            continue
        for number, ref in enumerate(rule.backend_refs):
            if not ref.weight:
                message = f"Weight 0: {ref_id(route.key.namespace, ref)} gets no requests."
                yield warning(route.kind, route.source, "WeightZero", message, f"{field}[{number}].weight")


def rules_of(graph: Graph) -> Iterator[tuple[RouteNode, int, HTTPRule]]:
    """Every rule for HTTP requests of the routes that have a managed parent, with its route and index."""
    for route in graph.routes.values():
        for index, rule in enumerate(route.http_rules):
            yield route, index, rule
