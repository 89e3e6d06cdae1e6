"""From manifests to a Snapshot: the result of compiling a rule, and what is compiled again after a change."""

from worlds import APPLES, BANANAS, FRUITS, GATEWAY, grant, graph_of, route, service, world

from fastroute.compiler.compile import Compiled, compile_snapshot
from fastroute.graph.age import NOT_CREATED
from fastroute.graph.build import build_graph
from fastroute.place import Place, Transport
from fastroute.publication import SetEndpoints, UpsertRule, difference
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources
from fastroute.settings import Addressing, GraphSettings
from fastroute.snapshot import (
    Backend,
    Endpoint,
    HeaderModifier,
    HeaderValue,
    Listener,
    Match,
    PathMatch,
    Redirect,
    Rule,
    Snapshot,
    ValueMatch,
    WeightedBackend,
)

BOTH = (grant("apples", "infra", "apple-echo"), grant("bananas", "infra", "banana-echo"))


def compiled(*manifests: str) -> Snapshot:
    return compile_snapshot(graph_of(*manifests)).snapshot


def only_rule(*manifests: str) -> Rule:
    [rule] = compiled(*manifests).rules.values()
    return rule


def test_a_whole_small_world() -> None:
    snapshot = compiled(GATEWAY, FRUITS, APPLES, BANANAS, BOTH[0])
    listener = "infra/web/proxy@127.0.0.1"
    assert snapshot == Snapshot(
        listeners={
            listener: Listener(
                id=listener,
                gateway="infra/web",
                name="proxy",
                place=Place(Transport.TCP, "127.0.0.1", 8080),
                spec_port=8080,
                hostname="",
            )
        },
        rules={
            f"{listener}|HTTPRoute|infra/fruits|0": Rule(
                id=f"{listener}|HTTPRoute|infra/fruits|0",
                listener=listener,
                hostnames=("",),
                gateway="infra/web",
                listener_name="proxy",
                route="infra/fruits",
                route_kind="HTTPRoute",
                name="0",
                matches=(
                    Match(
                        path=PathMatch("PathPrefix", "/fruits"), rank=(0, 1, 0, 0, NOT_CREATED, "infra/fruits", 0, 0)
                    ),
                ),
                backends=(
                    WeightedBackend(
                        weight=70, backend="bananas/banana-echo:80", status=500, reason="reference_refused"
                    ),
                    WeightedBackend(weight=30, backend="apples/apple-echo:80"),
                ),
            )
        },
        backends={"apples/apple-echo:80": Backend(protocol="h1")},
        endpoints={"apples/apple-echo:80": (Endpoint("127.0.0.1", 18001),)},
    )


def test_references_that_lead_nowhere_keep_their_share() -> None:
    rule = only_rule(
        GATEWAY,
        APPLES,
        route(
            "apples/r",
            """
  - backendRefs:
    - {name: apple-echo, port: 80, weight: 5}
    - {name: missing, port: 80, weight: 4}
    - {name: apple-echo, port: 81, weight: 3}
    - {group: example.com, kind: Other, name: x, weight: 2}
    - {name: apple-echo, port: 80, weight: 0}
""",
        ),
    )
    assert [(backend.weight, backend.status, backend.reason) for backend in rule.backends] == [
        (5, None, None),
        (4, 500, "backend_not_found"),
        (3, 500, "backend_not_found"),
        (2, 500, "backend_invalid"),
        (0, None, None),
    ]


def test_matches_are_normalised_and_ranked() -> None:
    rule = only_rule(
        GATEWAY,
        route(
            "infra/r",
            """
  - name: named
    matches:
    - path: {type: Exact, value: /%61/x%3by}
      method: GET
      headers: [{name: X-Team, value: blue}, {name: x-team, value: red}]
      queryParams: [{name: v, value: "[0-9]", type: RegularExpression}]
    - path: {type: PathPrefix, value: /a/}
    - path: {type: PathPrefix, value: /}
    - path: {type: RegularExpression, value: "/[a-z]+"}
""",
        ),
    )
    assert rule.name == "named"
    order = (NOT_CREATED, "infra/r", 0)
    assert rule.matches == (
        Match(
            path=PathMatch("Exact", "/a/x%3By"),
            method="GET",
            headers=(ValueMatch("x-team", "blue"),),
            query=(ValueMatch("v", "[0-9]", "RegularExpression"),),
            rank=(0, 0, -1, -1, *order, 0),
        ),
        Match(path=PathMatch("PathPrefix", "/a"), rank=(0, 1, 0, 0, *order, 1)),
        Match(path=PathMatch("PathPrefix", ""), rank=(0, 1, 0, 0, *order, 2)),
        Match(path=PathMatch("RegularExpression", "/[a-z]+"), rank=(-7, 1, 0, 0, *order, 3)),
    )


def test_filters_and_timeouts() -> None:
    rule = only_rule(
        GATEWAY,
        APPLES,
        route(
            "apples/r",
            """
  - filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier: {remove: [Server]}
    timeouts: {request: 1m500ms, backendRequest: 0s}
    backendRefs:
    - name: apple-echo
      port: 80
      filters:
      - type: RequestHeaderModifier
        requestHeaderModifier: {add: [{name: X-A, value: "1"}]}
""",
        ),
    )
    assert rule.filters == (HeaderModifier(direction="response", remove=("Server",)),)
    assert (rule.request_timeout_ms, rule.backend_timeout_ms) == (60_500, 0)
    [backend] = rule.backends
    assert backend.filters == (HeaderModifier(direction="request", add=(HeaderValue("X-A", "1"),)),)


def test_rules_that_answer_without_a_backend() -> None:
    rules = compiled(
        GATEWAY,
        route(
            "infra/r",
            """
  - matches: [{path: {value: /redirect}}]
    filters: [{type: RequestRedirect, requestRedirect: {statusCode: 301, hostname: example.org}}]
  - matches: [{path: {value: /nothing}}]
""",
        ),
    ).rules.values()
    assert [(rule.filters, rule.backends) for rule in rules] == [
        ((Redirect(status=301, hostname="example.org"),), ()),
        ((), ()),
    ]


def test_a_path_that_no_request_can_have_is_refused() -> None:
    climbing = route("infra/r", "\n  - matches: [{path: {value: /a/%2e%2e/%2e%2e/b}}]")
    graph = graph_of(GATEWAY, climbing)
    assert compile_snapshot(graph).snapshot.rules == {}
    [problem] = graph.routes["HTTPRoute", Key("infra", "r")].problems
    assert (problem.reason, problem.field) == ("UnsupportedValue", "spec.rules[0].matches[0].path.value")


def test_a_path_rewritten_twice_is_refused() -> None:
    rewrite = "filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /x}}}]"
    rule = f"\n  - {rewrite}\n    backendRefs: [{{name: apple-echo, port: 80, {rewrite}}}]"
    graph = graph_of(GATEWAY, APPLES, route("apples/r", rule))
    assert compile_snapshot(graph).snapshot.rules == {}
    [problem] = graph.routes["HTTPRoute", Key("apples", "r")].problems
    assert problem.reason == "IncompatibleFilters"


def test_a_field_that_is_set_and_removed_at_once_is_refused() -> None:
    modifier = "{set: [{name: X-A, value: '1'}], add: [{name: X-B, value: '1'}], remove: [x-a]}"
    filters = f"[{{type: RequestHeaderModifier, requestHeaderModifier: {modifier}}}]"
    graph = graph_of(GATEWAY, route("infra/r", f"\n  - filters: {filters}"))
    assert compile_snapshot(graph).snapshot.rules == {}
    [problem] = graph.routes["HTTPRoute", Key("infra", "r")].problems
    assert (problem.reason, problem.field) == (
        "UnsupportedValue",
        "spec.rules[0].filters[0].requestHeaderModifier",
    )
    assert "x-a can have only one of the actions" in problem.message


def test_a_refused_route_is_nowhere() -> None:
    refused = route("infra/r", "\n  - filters: [{type: ExtensionRef, extensionRef: {group: a.b, kind: C, name: d}}]")
    elsewhere = route("infra/r", "\n  - {}", parent="{name: web, namespace: infra, sectionName: other}")
    assert compiled(GATEWAY, refused).rules == {}
    assert compiled(GATEWAY, elsewhere).rules == {}


def test_a_route_keeps_its_own_hostnames() -> None:
    gateway = GATEWAY.replace("name: proxy,", "name: proxy, hostname: '*.example.com',")
    rule = only_rule(gateway, route("infra/r", "\n  - {}", hostnames="[a.example.com, '*.com', other.org]"))
    assert rule.hostnames == ("a.example.com", "*.com")


def test_every_address_has_listeners_and_rules_of_its_own() -> None:
    settings = GraphSettings(addressing=Addressing(bind=("127.0.0.1", "127.0.0.10", "::1"), port_offset=1000))
    graph = graph_of(GATEWAY, FRUITS, settings=settings)
    snapshot = compile_snapshot(graph, 1000).snapshot
    assert [(each.place.address, each.place.port, each.spec_port) for each in snapshot.listeners.values()] == [
        ("127.0.0.1", 9080, 8080),
        ("127.0.0.10", 9080, 8080),
        ("::1", 9080, 8080),
    ]
    assert list(snapshot.rules) == sorted(snapshot.rules)
    assert {rule.listener for rule in snapshot.rules.values()} == set(snapshot.listeners)


# --- the cost of a change: compiled rules and published changes

MANY = 300


def many_routes() -> list[str]:
    return [route(f"apples/r{number:03}", _rule(number)) for number in range(MANY)]


def _rule(number: int, path: str = "/") -> str:
    backend = f"{{name: echo-{number % 10}, port: 80}}"
    return f"\n  - matches: [{{path: {{value: {path}{number}}}}}]\n    backendRefs: [{backend}]"


def big_world(*changed: str) -> Resources:
    services = [service(f"apples/echo-{number}", 18000 + number) for number in range(10)]
    return world(GATEWAY, *services, *many_routes(), *changed)


def increment(changed: Resources) -> tuple[Compiled, Compiled]:
    """The result of compiling the big world, and then of compiling `changed` incrementally."""
    settings = GraphSettings()
    graph = build_graph(big_world(), settings)
    before = compile_snapshot(graph)
    return before, compile_snapshot(build_graph(changed, settings, graph), previous=before)


def test_the_whole_is_compiled_once() -> None:
    before, after = increment(big_world())
    assert before.rules_made == MANY
    assert after.rules_made == 0
    assert after.snapshot is before.snapshot


def test_one_edited_route_is_all_that_is_compiled_and_published() -> None:
    before, after = increment(big_world(route("apples/r007", _rule(7, "/new/"))))
    assert after.rules_made == 1
    [change] = difference(before.snapshot, after.snapshot)
    assert isinstance(change, UpsertRule)
    assert change.rule.route == "apples/r007"
    unchanged = [id for id in before.snapshot.rules if after.snapshot.rules[id] is before.snapshot.rules[id]]
    assert len(unchanged) == MANY - 1


def test_endpoints_change_without_any_rule() -> None:
    before, after = increment(big_world(service("apples/echo-3", 19000)))
    assert after.rules_made == 0
    assert after.snapshot.rules is before.snapshot.rules
    assert after.snapshot.backends is before.snapshot.backends
    assert difference(before.snapshot, after.snapshot) == (
        SetEndpoints("apples/echo-3:80", (Endpoint("127.0.0.1", 18003), Endpoint("127.0.0.1", 19000))),
    )


def test_a_port_whose_protocol_is_not_served_has_no_backend() -> None:
    """Not even if a policy is why it gets no requests: no worker may send HTTP/1.1 to it."""
    tls, policy = "ports: [{name: http, port: 80, appProtocol: tls}]", "ports: [{name: http, port: 80}]"
    before, after = increment(big_world(service("apples/echo-3", 18003).replace(policy, tls)))
    gone = {"apples/echo-3:80"}
    assert before.snapshot.backends.keys() - after.snapshot.backends.keys() == gone
    assert before.snapshot.endpoints.keys() - after.snapshot.endpoints.keys() == gone
    assert {backend.status for rule in after.snapshot.rules.values() for backend in rule.backends} == {None, 500}


def test_the_protocol_of_a_port_is_that_of_its_backend() -> None:
    h2c, none = "ports: [{name: http, port: 80, appProtocol: h2c}]", "ports: [{name: http, port: 80}]"
    before, after = increment(big_world(service("apples/echo-3", 18003).replace(none, h2c)))
    assert after.snapshot.rules is before.snapshot.rules
    assert before.snapshot.backends["apples/echo-3:80"] == Backend(protocol="h1")
    assert after.snapshot.backends["apples/echo-3:80"] == Backend(protocol="h2")


def test_a_grant_changes_the_rules_that_need_it_alone() -> None:
    worlds = [world(GATEWAY, FRUITS, APPLES, BANANAS, *many_routes(), *grants) for grants in (BOTH, BOTH[:1])]
    settings = GraphSettings()
    graphs = [build_graph(worlds[0], settings)]
    graphs.append(build_graph(worlds[1], settings, graphs[0]))
    before = compile_snapshot(graphs[0])
    after = compile_snapshot(graphs[1], previous=before)
    [change] = [each for each in difference(before.snapshot, after.snapshot) if isinstance(each, UpsertRule)]
    assert [backend.status for backend in change.rule.backends] == [500, None]
