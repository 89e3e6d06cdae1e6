"""GRPCRoutes: references are resolved, but GRPCRoutes are not served yet, which is a problem of each."""

from fastroute.graph import conditions
from fastroute.graph.backend_ref import Referrer
from fastroute.graph.dependency import Reader
from fastroute.graph.edition import Edition
from fastroute.graph.filter_reference import judge_filters, problems_of, references_of
from fastroute.graph.httproute import build_rule
from fastroute.graph.node import Problem, RouteNode
from fastroute.graph.protocol import Protocol
from fastroute.graph.route_stage import RouteStage
from fastroute.resources.grpcroute import GRPC_ROUTE, GRPCRoute

KIND = GRPC_ROUTE
SPOKEN = frozenset({Protocol.HTTP1, Protocol.HTTP2})  # a GRPCRoute implies HTTP/2, whatever the appProtocol


def build_grpc_route(source: GRPCRoute, reader: Reader, edition: Edition) -> RouteNode:
    referrer = Referrer(KIND.name, source.metadata.namespace, SPOKEN)
    rules = tuple(
        build_rule(referrer, rule.backend_refs, index, reader) for index, rule in enumerate(source.spec.rules)
    )
    problems: list[Problem] = [
        conditions.unsupported_value("GRPCRoutes are not served yet.", "kind", "Use an HTTPRoute, or wait.")
    ]
    for index, rule in enumerate(source.spec.rules):
        judged = judge_filters(referrer, rule, f"spec.rules[{index}]", reader)
        problems += problems_of(judged)
    for node in rules:
        problems += [problem for ref in node.backend_refs for problem in ref.problems]
    return RouteNode(kind=KIND.name, source=source, rules=rules, problems=tuple(problems))


STAGE = RouteStage(build=build_grpc_route, references=lambda route: references_of(route.spec.rules), features={})
