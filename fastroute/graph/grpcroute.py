"""GRPCRoutes: references are resolved, but GRPCRoutes are not served yet, which is a problem of each."""

from fastroute.graph import conditions
from fastroute.graph.dependency import Reader
from fastroute.graph.feature import Edition
from fastroute.graph.filter_reference import judge_filters, problems_of
from fastroute.graph.httproute import build_rule
from fastroute.graph.node import Problem, RouteNode
from fastroute.resources.grpcroute import GRPCRoute

KIND = "GRPCRoute"


def build_grpc_route(source: GRPCRoute, reader: Reader, edition: Edition) -> RouteNode:
    namespace = source.metadata.namespace
    rules = tuple(
        build_rule(KIND, namespace, rule.backend_refs, index, reader) for index, rule in enumerate(source.spec.rules)
    )
    problems: list[Problem] = [
        conditions.unsupported_value("GRPCRoutes are not served yet.", "kind", "Use an HTTPRoute, or wait.")
    ]
    for index, rule in enumerate(source.spec.rules):
        judged = judge_filters(KIND, namespace, rule, f"spec.rules[{index}]", reader)
        problems += problems_of(judged)
    for node in rules:
        problems += [problem for ref in node.backend_refs for problem in ref.problems]
    return RouteNode(kind=KIND, source=source, rules=rules, problems=tuple(problems))
