"""Which rule of GRPCRoutes takes a call: compared with the order of the specification, written for one call.

GRPCRouteRule.matches: "precedence MUST be given to the rule with the largest number of" characters in a matching
service, characters in a matching method, header matches; then the older route, its name, and the order in the route.
"""

import re
from typing import Any

from graph.world import gateway, route, world
from hypothesis import example, given, settings
from hypothesis import strategies as st
from snapshots import build, look_up

from fastroute.compiler.compile import compile_snapshot
from fastroute.explain.considered import beaten_by
from fastroute.explain.matching import find_rule, precedence, takers
from fastroute.explain.request import Request
from fastroute.graph.build import build_graph
from fastroute.graph.shadow import find_shadows
from fastroute.resources.grpcroute import GRPCRoute
from fastroute.settings import GraphSettings

EXACT = 10_000  # more than the characters of any pattern
CALLS = [
    Request(
        method="POST",
        scheme="http",
        authority="a",
        path=f"/{service}/{method}",
        headers=(("Host", "a"), ("Content-Type", "application/grpc"), *headers),
    )
    for service in ("a.B", "a.Bc", "x")
    for method in ("Get", "Set")
    for headers in ((), (("X-A", "1"),))
]

names = st.fixed_dictionaries({}, optional={"service": st.sampled_from(("a.B", "x")), "method": st.just("Get")})
patterns = st.fixed_dictionaries(
    {"type": st.just("RegularExpression")},
    optional={"service": st.sampled_from((".+", "a[.]B", "a.*|x")), "method": st.sampled_from((".+", "G.t", "[GS]et"))},
)
headers = st.just([{"name": "x-a", "value": "1"}])
named = (names | patterns).filter(lambda said: said.keys() & {"service", "method"})
match = st.fixed_dictionaries({}, optional={"method": named, "headers": headers})
rule = st.fixed_dictionaries({}, optional={"matches": st.lists(match, min_size=1, max_size=2)})
rules = st.lists(rule, min_size=1, max_size=2)  # more expressions could cost more than a route may


def takes(match: dict[str, Any], call: Request) -> bool:
    said = match.get("method", {})
    _, service, method = call.path.split("/")
    equal = re.fullmatch if said.get("type") == "RegularExpression" else str.__eq__
    return (
        (not said.get("service") or bool(equal(said["service"], service)))
        and (not said.get("method") or bool(equal(said["method"], method)))
        and (not match.get("headers") or ("X-A", "1") in call.headers)
    )


def characters(said: dict[str, Any], part: str) -> int:
    """That count for the part; those of an Exact one, which are equal in all matches of one call, count most."""
    written = said.get(part, "")
    return EXACT if written and said.get("type") != "RegularExpression" else len(written)


def winner(routes: list[list[dict[str, Any]]], call: Request) -> tuple[str, int, int] | None:
    """The route, rule and match that the specification names."""
    found = []
    for number, rules in enumerate(routes):
        for index, rule in enumerate(rules):
            for place, match in enumerate(rule.get("matches", [{}])):
                if takes(match, call):
                    said = match.get("method", {})
                    most = characters(said, "service"), characters(said, "method"), len(match.get("headers", []))
                    found.append((tuple(-one for one in most), f"infra/r{number}", index, place))
    return min(found)[1:] if found else None


@settings(max_examples=150, deadline=None)
@given(st.lists(rules, min_size=1, max_size=2))
@example([[{}, {"matches": [{"method": {"type": "RegularExpression", "service": ".+"}}]}]])
@example(
    [[{"matches": [{"method": {"method": "Get"}}, {"method": {"type": "RegularExpression", "service": "a.*|x"}}]}]]
)
def test_the_order_of_the_specification(routes: list[list[dict[str, Any]]]) -> None:
    """Of the router, and of explain; and no match that wins is reported as shadowed."""
    made = [route(f"r{number}", "infra", type_=GRPCRoute, rules=rules) for number, rules in enumerate(routes)]
    graph = build_graph(world(gateway(), *made), GraphSettings())
    snapshot = compile_snapshot(graph).snapshot
    [listener] = snapshot.listeners.values()
    [[node]] = [one.listeners for one in graph.gateways.values()]
    shadowed = {shadow.loser[1:] for shadow in find_shadows(node)}
    tables = build([listener], snapshot.rules.values())
    for call in CALLS:
        expected = winner(routes, call)
        found = find_rule(snapshot, listener, call)
        id_, index, *_ = look_up(tables, call, listener)
        if expected is None:
            assert (found, id_) == (None, None)
            continue
        assert found is not None
        name, rule, place = expected
        assert (found.rule.route, found.rule.id.rsplit("|")[-1], found.index) == (name, str(rule), place)
        assert (id_, index) == (found.rule.id, place)
        assert (("GRPCRoute", made[int(name[-1])].key), rule, place) not in shadowed
        for other in takers(snapshot, listener, call):
            assert other == found or (precedence(found) < precedence(other) and beaten_by(found, other))
