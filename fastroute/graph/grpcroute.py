"""GRPCRoutes: HTTP/2 is spoken to their backends, whatever the appProtocol of a port.

A port whose appProtocol means TLS, or a protocol other than HTTP, is refused as for HTTPRoutes: nothing else is spoken
to it instead.
"""

import re
from collections.abc import Iterator

from fastroute.graph import conditions
from fastroute.graph.backend_ref import Referrer
from fastroute.graph.dependency import Reader
from fastroute.graph.edition import Edition
from fastroute.graph.filter_reference import references_of
from fastroute.graph.httproute import PatternAt, build_rules, pattern_problems
from fastroute.graph.node import Problem, RouteNode
from fastroute.graph.protocol import Protocol
from fastroute.graph.regex import judge_pattern, refusal_text
from fastroute.graph.route_stage import Features, RouteStage, unserved_spec
from fastroute.resources.grpcroute import GRPC_ROUTE, GRPCMethodMatch, GRPCRoute, call_rules, whole
from fastroute.resources.web_origins import ANNOTATION, MOST_ORIGINS, MOST_TEXT, is_origin, web_origins
from fastroute.visible import visible

KIND = GRPC_ROUTE
SPOKEN = frozenset({Protocol.HTTP1, Protocol.HTTP2})
LITERAL = re.compile(r"\\[^AzQ]|\[\^?\]?(?:\\.|[^\]\\])*\]")  # escaped characters and classes
MOST_SHOWN = 100  # characters of a value in a message
ANCHOR = re.compile(r"[$^]|\\[Az]")  # in the expression of the path they would match nothing


def build_grpc_route(source: GRPCRoute, reader: Reader, edition: Edition) -> RouteNode:
    referrer = Referrer(KIND.name, source.metadata.namespace, SPOKEN, over_http2=True)
    problems = [
        *unserved_spec(source.spec.use_default_gateways),
        *_origin_problems(source),
        *_match_problems(source),
    ]
    rules, found = build_rules(referrer, call_rules(source), reader, edition)
    return RouteNode(kind=KIND.name, source=source, rules=rules, problems=(*problems, *found))


def _origin_problems(source: GRPCRoute) -> Iterator[Problem]:
    """The mistakes in the annotation that names the origins of gRPC-Web."""
    text = source.metadata.annotations.get(ANNOTATION)
    if text is None:
        return
    field = f"metadata.annotations[{ANNOTATION}]"
    origins = web_origins(text)
    wrong = next((origin for origin in origins if not is_origin(origin)), None)
    if not origins:
        yield conditions.unsupported_value("It names no origin.", field)
    elif len(text) > MOST_TEXT:
        yield conditions.unsupported_value(f"It has more than {MOST_TEXT} characters.", field, "Name fewer origins.")
    elif len(origins) > MOST_ORIGINS:
        yield conditions.unsupported_value(f"It names {len(origins)} origins.", field, f"Use at most {MOST_ORIGINS}.")
    elif wrong is not None:
        way_out = (
            'Use "*", or origins such as https://app.example.com or https://*.example.com:8443, separated by commas.'
        )
        yield conditions.unsupported_value(f"{visible(wrong[:MOST_SHOWN])} is not an origin.", field, way_out)


def _match_problems(source: GRPCRoute) -> Iterator[Problem]:
    patterns: list[PatternAt] = []
    for index, (rule, translated) in enumerate(zip(source.spec.rules, call_rules(source), strict=True)):
        for number, match in enumerate(rule.matches):
            field = f"spec.rules[{index}].matches[{number}]"
            if match.method is not None and match.method.type == "RegularExpression":
                problems = list(_part_problems(match.method, f"{field}.method"))
                yield from problems
                if not problems:
                    patterns.append(PatternAt(f"{field}.method", translated.matches[number].path.value))
            for i, header in enumerate(match.headers):
                if header.type == "RegularExpression":
                    patterns.append(PatternAt(f"{field}.headers[{i}].value", header.value, header.name))
    yield from pattern_problems(patterns)


def _part_problems(method: GRPCMethodMatch, field: str) -> Iterator[Problem]:
    """Each of the two expressions must be valid by itself: they become parts of one."""
    for name, pattern in (("service", method.service), ("method", method.method)):
        if not pattern:
            continue
        if error := judge_pattern(whole(pattern)).error:
            yield conditions.unsupported_value(refusal_text(pattern, error), f"{field}.{name}")
        elif ANCHOR.search(LITERAL.sub("", whole(pattern))):
            yield conditions.unsupported_value(
                f"pattern {pattern} has ^ or $ inside.",
                f"{field}.{name}",
                f"Remove them: an expression must match the whole {name}.",
            )


FEATURES: Features = {
    "GRPCRoute": None,
    "GRPCRouteNamedRouteRule": None,
    "GRPCRouteRequestHeaderModifier": "v1.7",
}
STAGE = RouteStage(build=build_grpc_route, references=lambda route: references_of(route.spec.rules), features=FEATURES)
