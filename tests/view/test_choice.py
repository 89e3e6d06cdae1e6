"""Which items of a list the parameters of the admin API choose."""

import pytest
from view.seen import seen
from view.test_views import HTTPS, secret
from worlds import APPLES, BANANAS, FRUITS, GATEWAY, grant, route, world

from fastroute.view.certificates import certificates
from fastroute.view.choice import Choice, words_of
from fastroute.view.endpoints import endpoints
from fastroute.view.gateways import gateways
from fastroute.view.paging import Window
from fastroute.view.routes import routes

TWO = GATEWAY.replace(
    "  listeners:\n", "  listeners:\n  - {name: other, port: 9090, protocol: HTTP, hostname: b.example}\n"
)
HOSTED = route("infra/hosted", "\n  - backendRefs: [{name: apple-echo, namespace: apples, port: 80}]\n", "[b.example]")
LOST = route("infra/lost", "\n  - {}\n", parent="{name: web, sectionName: absent}")
ALLOWED = (grant("apples", "infra"), grant("bananas", "infra"))
STATE = seen(world(TWO, FRUITS, HOSTED, LOST, APPLES, BANANAS, HTTPS, secret("infra"), *ALLOWED))


def window(**choice: object) -> Window:
    return Window(choice=Choice(**choice))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        (Choice(), ["fruits", "hosted", "lost"]),
        (Choice(search=words_of("FRUIT")), ["fruits"]),
        (Choice(search=words_of("httproute infra/")), ["fruits", "hosted", "lost"]),
        (Choice(search=words_of("b.example")), ["hosted"]),
        (Choice(search=words_of("banana-echo:80")), ["fruits"]),
        (Choice(search=words_of("hosted banana")), []),
        (Choice(gateway="infra/web"), ["fruits", "hosted"]),
        (Choice(gateway="infra/web", listener="other"), ["fruits", "hosted"]),
        (Choice(gateway="infra/web", listener="proxy", search=("hosted",)), ["hosted"]),
        (Choice(gateway="infra/web", listener="absent"), []),
        (Choice(gateway="infra/secure"), []),
        (Choice(problems=True), ["lost"]),
        (Choice(problems=True, gateway="infra/web"), []),
    ],
    ids=str,
)
def test_routes(choice: Choice, found: list[str]) -> None:
    shown = routes(STATE, Window(choice=choice))
    assert [one.name for one in shown.items] == [f"infra/{name}" for name in found]
    assert shown.total == len(found)


def test_a_route_says_whether_it_has_a_problem() -> None:
    assert [one.problem for one in routes(STATE, Window()).items] == [False, False, True]


def test_pages_of_what_was_found() -> None:
    first = routes(STATE, Window(limit=1, choice=Choice(search=("infra/",))))
    second = routes(STATE, Window(after=first.next or "", limit=1, choice=Choice(search=("infra/",))))
    assert [one.name for one in (*first.items, *second.items)] == ["infra/fruits", "infra/hosted"]


def test_other_lists() -> None:
    assert [one.name for one in gateways(STATE, window(search=("b.example",))).items] == ["infra/web"]
    assert [one.name for one in gateways(STATE, window(search=("secure",))).items] == ["infra/secure"]
    assert [one.backend for one in endpoints(STATE, window(backend=("apples/apple-echo:80", "x"))).items] == [
        "apples/apple-echo:80"
    ]
    assert len(endpoints(STATE, Window()).items) == 2
    assert [one.secret for one in certificates(STATE, window(search=("a.example",))).items] == ["infra/edge"]
    assert certificates(STATE, window(search=("b.example",))).items == ()


def test_a_match_is_shown_in_short_without_values() -> None:
    rules = """
  - matches:
    - {path: {type: Exact, value: /a}, method: GET, headers: [{name: X-Token, value: planted}]}
    - {queryParams: [{name: q, value: planted}]}
"""
    [shown] = routes(seen(world(GATEWAY, route("infra/a", rules))), Window()).items
    assert shown.rules[0].matches == ("GET, Exact /a, header X-Token", "PathPrefix /, parameter q")
