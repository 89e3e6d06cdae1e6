"""HTTPRoutes: resolves or refuses every reference, and reports every value that is not supported.

A route is served completely or not at all: if unsupported values were ignored, the route would do less, or be less
safe, than its owner expects. The checks below report what is not served yet.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from fastroute.graph import conditions
from fastroute.graph.backend_ref import Referrer, resolve_backend_ref
from fastroute.graph.dependency import Reader
from fastroute.graph.edition import Edition
from fastroute.graph.filter_reference import judge_filters, mirrors_of, problems_of, references_of
from fastroute.graph.header import header_problems
from fastroute.graph.node import Problem, RouteNode, RuleNode
from fastroute.graph.path import matched_path, path_error, replacement_problems
from fastroute.graph.protocol import Protocol
from fastroute.graph.regex import judge_pattern, refusal_text
from fastroute.graph.route_stage import Features, RouteStage, unserved_spec
from fastroute.graph.session import session_problems
from fastroute.resources.http_rule import HTTPBackendRef, HTTPFilter, HTTPMatch, HTTPRule
from fastroute.resources.httproute import HTTP_ROUTE, HTTPRoute

KIND = HTTP_ROUTE
SPOKEN = frozenset({Protocol.HTTP1, Protocol.HTTP2})  # protocols that are supported to backends
MOST_EXPRESSIONS = 128  # of one route: workers compile them when the route changes
MOST_STATES_OF_A_ROUTE = 2_000  # of the automata of these expressions: the graph builds them when the route changes
MOST_STEPS_OF_A_ROUTE = 300_000  # to judge these expressions: about 40 ms in one pass of the main loop
MOST_ELEMENTS = 64  # of a PathPrefix: a request visits each, for each of its hostnames
MOST_ATTEMPTS = 100  # of a retry; the retry budget of the backend limits how many it makes of all requests
SERVED_FILTERS = frozenset(
    {"CORS", "RequestHeaderModifier", "RequestMirror", "RequestRedirect", "ResponseHeaderModifier", "URLRewrite"}
)


def build_http_route(source: HTTPRoute, reader: Reader, edition: Edition) -> RouteNode:
    referrer = Referrer(KIND.name, source.metadata.namespace, SPOKEN)
    problems = [*unserved_spec(source.spec.use_default_gateways), *_match_problems(source)]
    rules, found = build_rules(referrer, source.spec.rules, reader, edition)
    return RouteNode(kind=KIND.name, source=source, rules=rules, problems=(*problems, *found))


def build_rules(
    referrer: Referrer, written: Iterable[HTTPRule], reader: Reader, edition: Edition
) -> tuple[tuple[RuleNode, ...], list[Problem]]:
    """The rules for HTTP requests of a route, and the problems of all but their matches."""
    rules: list[RuleNode] = []
    problems: list[Problem] = []
    for index, rule in enumerate(written):
        field = f"spec.rules[{index}]"
        problems += _rule_problems(rule, field)
        judged = judge_filters(referrer, rule, field, reader)
        problems += problems_of(judged)
        node = _build_rule(referrer, rule.backend_refs, index, reader)
        rules.append(
            msgspec.structs.replace(
                node,
                session_holds_backend=edition.session_holds_backend,
                mirrors=mirrors_of(referrer, judged),
            )
        )
    for node in rules:
        problems += [problem for ref in node.backend_refs for problem in ref.problems]
    return tuple(rules), problems


def _build_rule(referrer: Referrer, refs: tuple[HTTPBackendRef, ...], index: int, reader: Reader) -> RuleNode:
    field = f"spec.rules[{index}].backendRefs"
    nodes = [resolve_backend_ref(referrer, ref, f"{field}[{i}]", reader) for i, ref in enumerate(refs)]
    return RuleNode(index=index, backend_refs=tuple(nodes))


def _rule_problems(rule: HTTPRule, field: str) -> Iterator[Problem]:
    if rule.session_persistence is not None:
        yield from session_problems(rule.session_persistence, f"{field}.sessionPersistence")
    if rule.retry is not None and rule.retry.attempts > MOST_ATTEMPTS:
        what = f"{rule.retry.attempts} is more than the {MOST_ATTEMPTS} retries that are allowed."
        yield conditions.unsupported_value(what, f"{field}.retry.attempts", f"Use at most {MOST_ATTEMPTS}.")
    yield from filter_problems(rule.filters, field)
    for index, ref in enumerate(rule.backend_refs):
        if ref.filters:
            yield from filter_problems(ref.filters, f"{field}.backendRefs[{index}]")
            yield from _incompatible(rule, ref, f"{field}.backendRefs[{index}].filters")


def filter_problems(filters: tuple[HTTPFilter, ...], field: str) -> Iterator[Problem]:
    for index, filter_ in enumerate(filters):
        where = f"{field}.filters[{index}]"
        if filter_.type not in SERVED_FILTERS:
            yield conditions.unsupported_value(f"filter {filter_.type} is not served yet.", f"{where}.type")
        yield from header_problems(filter_, where)
        yield from replacement_problems(filter_, where)


def _incompatible(rule: HTTPRule, ref: HTTPBackendRef, field: str) -> Iterator[Problem]:
    """Filters that exclude each other, such as a redirect and a rewrite (HTTPRouteFilter: URLRewrite)."""
    types = {filter_.type for filter_ in (*rule.filters, *ref.filters)}
    if {"RequestRedirect", "URLRewrite"} <= types:
        yield conditions.incompatible_filters("RequestRedirect and URLRewrite exclude each other.", field)
    if any(map(_rewrites_path, rule.filters)) and any(map(_rewrites_path, ref.filters)):
        yield conditions.incompatible_filters("The path is rewritten by the rule and by the backendRef.", field)
    if all(any(filter_.cors is not None for filter_ in filters) for filters in (rule.filters, ref.filters)):
        yield conditions.incompatible_filters("Both the rule and the backendRef have a CORS filter.", field)
    replaces_prefix = any(_replaces_prefix(filter_) for filter_ in ref.filters)
    if replaces_prefix and any(match.path.type != "PathPrefix" for match in rule.matches):
        what = "ReplacePrefixMatch needs a path match of type PathPrefix in every match of the rule."
        yield conditions.incompatible_filters(what, field)


def _rewrites_path(filter_: HTTPFilter) -> bool:
    return filter_.url_rewrite is not None and filter_.url_rewrite.path is not None


def _replaces_prefix(filter_: HTTPFilter) -> bool:
    return any(
        part is not None and part.path is not None and part.path.type == "ReplacePrefixMatch"
        for part in (filter_.request_redirect, filter_.url_rewrite)
    )


# --- matches


def _match_problems(source: HTTPRoute) -> Iterator[Problem]:
    patterns: list[PatternAt] = []
    for index, rule in enumerate(source.spec.rules):
        for number, match in enumerate(rule.matches):
            field = f"spec.rules[{index}].matches[{number}]"
            yield from _path_problems(match, f"{field}.path.value")
            patterns += _patterns(match, field)
    yield from pattern_problems(patterns)


class PatternAt(NamedTuple):
    """A regular expression of a route."""

    field: str
    pattern: str
    name: str = ""  # of the header field or query parameter


def pattern_problems(patterns: Sequence[PatternAt]) -> Iterator[Problem]:
    """`patterns`: all of a route."""
    if len(patterns) > MOST_EXPRESSIONS:
        what = f"the route has {len(patterns)} regular expressions, and {MOST_EXPRESSIONS} are allowed."
        yield conditions.unsupported_value(what, "spec.rules", "Use exact values, or several routes.")
        return
    states = steps = 0
    for field, pattern, name in patterns:
        judgement = judge_pattern(pattern)
        if judgement.error:
            yield conditions.unsupported_value(refusal_text(pattern, judgement.error, name), field)
        states, steps = states + judgement.states, steps + judgement.steps
        if expensive := _too_expensive(states, steps):
            yield conditions.unsupported_value(expensive, "spec.rules", "Use simpler expressions, or several routes.")
            return


def _too_expensive(states: int, steps: int) -> str | None:
    if states > MOST_STATES_OF_A_ROUTE:
        return f"the automata of its expressions have more than {MOST_STATES_OF_A_ROUTE:,} states in all."
    if steps > MOST_STEPS_OF_A_ROUTE:
        return f"calculating the cost of its expressions takes more than {MOST_STEPS_OF_A_ROUTE:,} steps in all."
    return None


def _path_problems(match: HTTPMatch, field: str) -> Iterator[Problem]:
    type_, value = match.path.type, match.path.value
    if type_ == "RegularExpression":
        return
    if error := path_error(value):
        yield conditions.unsupported_value(f"no request can have the path {value}: {error}.", field)
    elif type_ == "PathPrefix" and (elements := matched_path(match.path).count("/")) > MOST_ELEMENTS:
        what = f"the prefix has {elements} elements, and {MOST_ELEMENTS} are allowed."
        yield conditions.unsupported_value(what, field, "Use a shorter prefix, or an Exact path.")


def _patterns(match: HTTPMatch, field: str) -> Iterator[PatternAt]:
    if match.path.type == "RegularExpression":
        yield PatternAt(f"{field}.path.value", match.path.value)
    for part, tests in (("headers", match.headers), ("queryParams", match.query_params)):
        for number, test in enumerate(tests):
            if test.type == "RegularExpression":
                yield PatternAt(f"{field}.{part}[{number}].value", test.value, test.name)


# --- The row

FEATURES: Features = {
    "HTTPRoute": None,
    "HTTPRoute303RedirectStatusCode": None,
    "HTTPRoute307RedirectStatusCode": None,
    "HTTPRoute308RedirectStatusCode": None,
    "HTTPRouteBackendProtocolH2C": None,
    "HTTPRouteBackendProtocolWebSocket": None,
    "HTTPRouteBackendRequestHeaderModification": None,
    "HTTPRouteBackendTimeout": None,
    "HTTPRouteBackendURLRewrite": "v1.7",
    "HTTPRouteCORS": None,
    "HTTPRouteDestinationPortMatching": None,
    "HTTPRouteHostRewrite": None,
    "HTTPRouteMethodMatching": None,
    "HTTPRouteNamedRouteRule": None,
    "HTTPRouteParentRefPort": None,
    "HTTPRoutePathRedirect": None,
    "HTTPRoutePathRewrite": None,
    "HTTPRoutePortRedirect": None,
    "HTTPRouteQueryParamMatching": None,
    "HTTPRouteRequestMirror": None,
    "HTTPRouteRequestMultipleMirrors": None,
    "HTTPRouteRequestPercentageMirror": None,
    "HTTPRouteRequestTimeout": None,
    "HTTPRouteResponseHeaderModification": None,
    "HTTPRouteRetry": "v1.6",
    "HTTPRouteRetryBackendTimeout": "v1.6",
    "HTTPRouteRetryCodes": "v1.7",
    "HTTPRouteRetryConnectionError": None,
    "HTTPRouteSchemeRedirect": None,
}
STAGE = RouteStage(build=build_http_route, references=lambda route: references_of(route.spec.rules), features=FEATURES)
