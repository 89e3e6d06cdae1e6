"""The list of problems of all types, and what a route that fails now says."""

from certificates import NOW
from msgspec.structs import replace
from view.seen import seen
from view.test_views import HTTPS, secret
from worlds import APPLES, BANANAS, FRUITS, GATEWAY, grant, route, service, world

from fastroute.overview import overview_page
from fastroute.snapshot import Failed
from fastroute.text import Line, Table
from fastroute.view.answers import PROBLEMS, Overview, Problems
from fastroute.view.choice import Choice, words_of
from fastroute.view.paging import Window
from fastroute.view.problems import problems
from fastroute.view.routes import routes
from fastroute.view.state import State
from fastroute.view.summary import status
from fastroute.view.traffic import Flow, Reading, Traffic, traffic_between

ALL = Window()
SET = """
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more, namespace: apples}
spec:
  parentRef: {name: web, namespace: infra}
  listeners: [{name: more, port: 8081, protocol: HTTP}]
"""
GRANTS = grant("apples", "infra"), grant("bananas", "infra")
EMPTY = """
  - backendRefs: [{name: empty, port: 80, weight: 1}, {name: full, port: 80, weight: 3}]
  - backendRefs: [{name: full, port: 80, weight: 0}]
  - filters: [{type: RequestRedirect, requestRedirect: {hostname: b.example}}]
"""
EMPTY_REFS = "\n  - backendRefs: [%s]\n"
SERVICES = service("infra/empty"), service("infra/full", 1)


def shares_of(state: State) -> list[tuple[str, str | None]]:
    shares = [share for one in routes(state, ALL).items for rule in one.rules for share in rule.backends]
    return [(one.backend, one.reason) for one in shares]


def types(found: Problems) -> list[str]:
    return [one.type for one in found.items]


def answering(failed: int) -> Traffic:
    return Traffic(5.0, (), {("HTTPRoute", "infra/fruits"): Flow(1_000, failed, ())}, {}, {})


def test_nothing_is_wrong() -> None:
    found = problems(seen(world(GATEWAY, FRUITS, APPLES, BANANAS, *GRANTS), traffic=answering(10)), ALL)
    assert (found.items, found.total) == ((), 0)


def test_each_type_is_there_and_can_be_chosen() -> None:
    texts = (GATEWAY, HTTPS, FRUITS, APPLES, BANANAS, secret("infra", days=20), grant("x", "infra"), SERVICES[0])
    state = seen(world(*texts, route("infra/lost", "\n  - {}", parent="{name: web, sectionName: absent}")))
    failed = {id_: Failed("it is taken") for id_ in state.snapshot.listeners}
    state = state._replace(outcome=replace(state.outcome, listeners=failed), now=NOW.timestamp())
    found = problems(state, ALL)
    assert sorted(set(types(found)), key=PROBLEMS.index) == types(found)[:1] + [
        one for one in PROBLEMS if one != types(found)[0]
    ]
    for one in PROBLEMS:
        chosen = problems(state, Window(choice=Choice(type=one)))
        assert set(types(chosen)) == {one}
        assert getattr(chosen.counts, one) == chosen.total == types(found).count(one)
    [lost] = problems(state, Window(choice=Choice(type="condition", search=words_of("lost")))).items
    assert (lost.kind, lost.object) == ("HTTPRoute", "infra/lost")
    told = status(state, ALL)
    assert (told.not_bound, told.failing_routes, told.certificates_ending, told.refused_references) == tuple(
        types(found).count(one) for one in ("not_bound", "failing", "certificate", "refused")
    )


def test_a_listener_of_a_listenerset_that_is_not_bound_names_the_set() -> None:
    open_gateway = GATEWAY.replace("spec:\n", "spec:\n  allowedListeners: {namespaces: {from: All}}\n")
    state = seen(world(open_gateway, SET))
    failed = {id_: Failed("it is taken") for id_ in state.snapshot.listeners}
    found = problems(state._replace(outcome=replace(state.outcome, listeners=failed)), ALL).items
    assert {(one.kind, one.object) for one in found if one.type == "not_bound"} == {
        ("Gateway", "infra/web"),
        ("ListenerSet", "apples/more"),
    }


def test_pages_of_problems_follow_each_other() -> None:
    state = seen(world(GATEWAY, FRUITS, APPLES, BANANAS))
    whole, found, after = problems(state, ALL).items, [], ""
    while True:
        page = problems(state, Window(after, 1))
        found += page.items
        if (after := page.next or "") == "":
            break
    assert tuple(found) == whole
    assert len(whole) > 2


def test_certificates_that_ended_or_end_soon() -> None:
    def reasons(days: float) -> list[str]:
        state = seen(world(HTTPS, secret("infra", days)), now=NOW.timestamp())
        return [one.reason for one in problems(state, Window(choice=Choice(type="certificate"))).items]

    assert [reasons(days) for days in (-1, 20, 22)] == [["expired"], ["ends soon"], []]


def failing(state: State, name: str) -> tuple[str, ...]:
    [found] = [one for one in routes(state, ALL).items if one.name == name]
    chosen = routes(state, Window(choice=Choice(problems=True))).items
    assert (found in chosen) is bool(found.failing or found.problem)
    return found.failing


def test_errors_of_backends_make_a_route_fail() -> None:
    resources = world(GATEWAY, FRUITS, APPLES, BANANAS, *GRANTS)
    expected = {10: (), 11: ("1.1 % of the responses are errors",), 1_000: ("100 % of the responses are errors",)}
    for failed, texts in expected.items():
        assert failing(seen(resources, traffic=answering(failed)), "infra/fruits") == texts


def canary() -> State:
    """Workers counted 90 responses of one backend and 10 of another one, all of these with an error."""
    labels = ("infra/web", "proxy", "infra/fruits", "HTTPRoute", "0")
    series = {1: (*labels, "apples/apple-echo:80"), 2: (*labels, "bananas/banana-echo:80")}
    old = Reading(0.0, {(1, 200): 5}, {}, {}, {})
    new = Reading(5.0, {(1, 200): 94, (1, 500): 1, (2, 503): 10}, {}, {}, {})
    traffic = traffic_between(old, new, series, {}, ())._replace(counted=None)
    return seen(world(GATEWAY, FRUITS, APPLES, BANANAS, *GRANTS), traffic=traffic)


def test_the_backend_that_fails_is_named() -> None:
    state = canary()
    [text] = failing(state, "infra/fruits")
    assert text == (
        "11 % of the responses are errors: 1.11 % of those of apples/apple-echo:80 (rule 0), "
        "100 % of those of bananas/banana-echo:80 (rule 0)"
    )
    [rule] = routes(state, ALL).items[0].rules
    ratios = {one.backend: one.error_ratio for one in rule.backends}
    assert ratios == {"apples/apple-echo:80": 1 / 90, "bananas/banana-echo:80": 1.0}


def test_the_status_names_the_backend_that_fails() -> None:
    state = canary()
    found = Overview(
        status=status(state, ALL), gateways=(), routes=routes(state, ALL).items, endpoints=(), certificates=()
    )
    blocks = list(overview_page(found))
    lines = [one.text for one in blocks if isinstance(one, Line) and one.style == "red"]
    assert [one for one in lines if "HTTPRoute infra/fruits fails: 11 %" in one and "100 % of those of banana" in one]
    [table] = [one for one in blocks if isinstance(one, Table) and one.headings[0] == "ROUTE"]
    assert table.styles == ("red",)
    assert "bananas/banana-echo:80 70.0% (10.0%) errors 100.0%" in table.rows[0][-1]


def test_parts_that_the_gateway_answers_with_an_error_make_a_route_fail() -> None:
    state = seen(world(GATEWAY, FRUITS, APPLES, BANANAS, GRANTS[0]))
    assert failing(state, "infra/fruits") == ("rule 0: 70 % of the requests get 500 (reference_refused)",)
    state = seen(world(GATEWAY, route("infra/empty", EMPTY), *SERVICES))
    assert failing(state, "infra/empty") == (
        "rule 0: 25 % of the requests get 503 (no_endpoint)",
        "rule 1: 100 % of the requests get 500 (zero_weights)",
    )
    assert shares_of(state) == [
        ("infra/empty:80", "no_endpoint"),
        ("infra/full:80", None),
        ("infra/full:80", None),
    ]


def test_a_backend_of_weight_zero_lacks_no_endpoint() -> None:
    refs = "{name: empty, port: 80, weight: 0}", "{name: full, port: 80, weight: 3}"
    state = seen(world(GATEWAY, route("infra/none", EMPTY_REFS % ", ".join(refs)), *SERVICES))
    assert shares_of(state) == [("infra/empty:80", None), ("infra/full:80", None)]


def test_the_redirect_of_one_backend_does_not_answer_for_another() -> None:
    redirect = "filters: [{type: RequestRedirect, requestRedirect: {hostname: b.example}}]"
    refs = "{name: empty, port: 80}", f"{{name: full, port: 80, {redirect}}}"
    state = seen(world(GATEWAY, route("infra/one", EMPTY_REFS % ", ".join(refs)), *SERVICES))
    assert shares_of(state) == [("infra/empty:80", "no_endpoint"), ("infra/full:80", None)]


def test_what_fails_of_a_route_is_cut() -> None:
    rules = "".join(f"\n  - {{matches: [{{path: {{value: /{number}}}}}]}}" for number in range(12))
    texts = failing(seen(world(GATEWAY, route("infra/many", rules))), "infra/many")
    assert (len(texts), texts[-1]) == (11, "and 2 more")
