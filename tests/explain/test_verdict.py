"""The first lines that `explain` prints: what happens, also if a part of the requests gets an error."""

import pytest
from explain.asking import ask
from worlds import APPLES, BANANAS, FRUITS, GATEWAY, grant, graph_of, route, service

from fastroute.compiler.compile import compile_snapshot
from fastroute.explain.explanation import Explanation
from fastroute.explain.question import parse_question
from fastroute.pages import explain_page
from fastroute.text import Line

TO_APPLES, TO_BANANAS = grant("apples", "infra"), grant("bananas", "infra")
ALONE = "\n  - backendRefs: [{name: x, port: 80}]"
THIRDS = """
  - backendRefs:
    - {name: a, port: 80}
    - {name: empty, port: 80}
    - {name: absent, port: 80}
"""
REDIRECTED = """
  - backendRefs:
    - {name: a, port: 80, weight: 1}
    - name: a
      port: 80
      weight: 1
      filters: [{type: RequestRedirect, requestRedirect: {hostname: b.example}}]
    - {name: absent, port: 80, weight: 0}
"""


def verdict(told: Explanation) -> Line:
    first, second, *_ = explain_page("GET http://web/", told)
    assert first == Line("GET http://web/", "bold")
    assert isinstance(second, Line)
    return second


@pytest.mark.parametrize(
    ("manifests", "expected"),
    [
        ((FRUITS, APPLES, BANANAS, TO_APPLES, TO_BANANAS), Line("forward", "green")),
        (
            (FRUITS, APPLES, BANANAS, TO_BANANAS),
            Line("forward, but 30 % of requests get 500 (reference_refused)", "red"),
        ),
        ((FRUITS, APPLES, BANANAS), Line("respond: 500 reference_refused", "red")),
        (
            (route("infra/fruits", THIRDS), service("infra/a", 1), service("infra/empty")),
            Line(
                "forward, but 33.33 % of requests get 503 (no_endpoint) and 33.33 % of requests get 500 "
                "(backend_not_found)",
                "red",
            ),
        ),
        ((route("infra/fruits", ALONE), service("infra/x")), Line("respond: 503 no_endpoint", "red")),
        ((route("infra/fruits", "\n  - {}"),), Line("respond: 500 no_backend_refs", "red")),
        ((route("infra/fruits", REDIRECTED), service("infra/a", 1)), Line("forward", "green")),
        ((route("infra/fruits", ALONE, "[other.example]"),), Line("respond: 404 no_rule", "yellow")),
    ],
    ids=["all", "a part", "nothing", "two parts", "no endpoint", "no backend", "redirect", "no route"],
)
def test_the_verdict_says_which_part_is_refused(manifests: tuple[str, ...], expected: Line) -> None:
    assert verdict(ask("http://web:8080/fruits", GATEWAY, *manifests)) == expected


def test_a_part_of_connections_has_no_status() -> None:
    gateway = GATEWAY.replace("HTTP", "TCP").replace("{namespaces", "{kinds: [{kind: TCPRoute}], namespaces")
    mixed = route("infra/fruits", "\n  - backendRefs: [{name: a, port: 80, weight: 3}, {name: absent, port: 80}]")
    graph = graph_of(gateway, mixed.replace("HTTPRoute", "TCPRoute"), service("infra/a", 1))
    told = parse_question(None, "tcp://127.0.0.1:8080", ()).answer(compile_snapshot(graph).snapshot, graph)
    assert verdict(told) == Line("forward, but 25 % is refused (backend_not_found)", "red")
