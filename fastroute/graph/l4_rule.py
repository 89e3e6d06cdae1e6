"""Routes for connections and datagrams (L4): resolves or refuses every reference, and reports what is not supported."""

from collections.abc import Iterable, Iterator
from typing import Any

from fastroute.graph import conditions
from fastroute.graph.backend_ref import Referrer, resolve_backend_ref
from fastroute.graph.dependency import Reader
from fastroute.graph.node import Problem, RouteNode, RuleNode
from fastroute.graph.protocol import Protocol
from fastroute.graph.route_stage import unserved_spec
from fastroute.place import Transport
from fastroute.resources.gateway import BackendRef, Route
from fastroute.resources.l4_rule import L4Rule
from fastroute.resources.route_kind import RouteKind

SPOKEN = frozenset({Protocol.RAW})


def build_l4_route(kind: RouteKind, source: Any, reader: Reader, transport: Transport) -> RouteNode:
    """`source`: a route of this kind. `transport`: of the ports that its backendRefs may name."""
    referrer = Referrer(kind.name, source.metadata.namespace, SPOKEN, transport)
    rules = tuple(_build_rule(referrer, rule, index, reader) for index, rule in enumerate(source.spec.rules))
    problems = [*_unserved_kind(kind), *unserved_spec(source.spec.use_default_gateways), *_rule_problems(rules)]
    problems += [problem for rule in rules for ref in rule.backend_refs for problem in ref.problems]
    return RouteNode(kind=kind.name, source=source, rules=rules, problems=tuple(problems))


def _build_rule(referrer: Referrer, rule: L4Rule, index: int, reader: Reader) -> RuleNode:
    field = f"spec.rules[{index}].backendRefs"
    refs = enumerate(rule.backend_refs)
    nodes = tuple(resolve_backend_ref(referrer, ref, f"{field}[{number}]", reader) for number, ref in refs)
    return RuleNode(index=index, backend_refs=nodes)


def _unserved_kind(kind: RouteKind) -> Iterator[Problem]:
    if not kind.is_served:
        yield conditions.unsupported_value(f"{kind.name}s are not served yet.", "kind", "The route has no effect.")


def _rule_problems(rules: tuple[RuleNode, ...]) -> Iterator[Problem]:
    """The deprecated versions of the API allow several rules."""
    if len(rules) > 1:
        what = f"the route has {len(rules)} rules, and nothing says which of them a connection belongs to."
        yield conditions.unsupported_value(
            what, "spec.rules", "Use one rule with several backendRefs, or a route each."
        )


def references_of(route: Route) -> Iterable[BackendRef]:
    rules: tuple[L4Rule, ...] = route.spec.rules  # type: ignore[attr-defined]  # each kind of L4 route has a spec of its own
    return (ref for rule in rules for ref in rule.backend_refs)
