"""The other views in a browser: refused references, explain, certificates, workers; light and dark."""

import json
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import urlencode

import pytest
from dashboard.browser import WITHIN, Page
from dashboard.shop import ALLOWED, shop
from dashboard.site import showing
from msgspec.structs import replace
from view.seen import seen
from worlds import GATEWAY, grant, route, world

from fastroute.snapshot import Failed

pytestmark = pytest.mark.timeout(2 * WITHIN)
Opened = Callable[[str], Page]
RED = "rgb(179, 23, 43)"
PART_REFUSED = route(
    "shop/part",
    """
  - backendRefs:
    - {name: catalogue, port: 80, weight: 7}
    - {name: invoices, namespace: billing, port: 80, weight: 3}
""",
    '["part.example.com"]',
)


BROKEN_POLICY = """
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: broken, namespace: shop}
spec:
  targetRefs: [{group: '', kind: Service, name: catalogue}]
  validation: {hostname: a.example, caCertificateRefs: [{group: '', kind: ConfigMap, name: missing}]}
"""
USELESS = grant("billing", "nobody")
COUNTED = {  # a part of the list of each type
    "3 routes that fail now": "HTTPRoute shop/catalogue",
    "1 refused reference": "HTTPRoute shop/checkout",
    "3 wrong conditions": "BackendTLSPolicy shop/broken",
    "1 listener that is not bound": "Gateway infra/web",
    "2 certificates that ended or end soon": "Secret infra/old expired",
    "1 warning": "ReferenceGrant billing/from-nobody-all",
}


def unfixed(path: str, body: bytes) -> bytes:
    """The answer without the grants that would allow references, as with --watch-namespace."""
    if not path.endswith("/status"):
        return body
    answer = json.loads(body)
    for one in answer["refused"]:
        one["fix"] = None
    return json.dumps(answer).encode()


def question(**parameters: str) -> str:
    return f"#/explain?{urlencode(parameters)}"


def test_nobody_is_told_to_apply_a_grant_if_none_would_help(opened: Opened) -> None:
    with showing(shop(), unfixed) as shown:
        page = opened(f"{shown.url}#/refused")
        page.wait_text("HTTPRoute shop/checkout", ".refused h2")
        assert "decides" not in page.text(".view > p")


def test_each_type_of_problem_is_counted_and_leads_to_its_list(opened: Opened) -> None:
    with showing(shop(BROKEN_POLICY, USELESS)) as shown:
        state = shown.state
        assert state is not None
        places = {
            id_: Failed("the port is taken") for id_, one in state.snapshot.listeners.items() if one.name == "http"
        }
        shown.state = state._replace(outcome=replace(state.outcome, listeners=state.outcome.listeners | places))
        page = opened(shown.url)
        page.wait_text("warning", ".summary")
        badges = page.script("[...document.querySelectorAll('.summary a.badge')].map(one => one.textContent)")
        assert badges == list(COUNTED)
        found = {}
        for index, text in enumerate(badges):
            page.script(f"document.querySelectorAll('.summary a.badge')[{index}].click()")
            page.wait_text(text, ".types [aria-current]")
            page.wait("document.querySelector('.view .refused') !== null")
            found[text] = page.script("[...document.querySelectorAll('.refused h2')].map(one => one.innerText)")
        for text, part in COUNTED.items():
            assert any(part in one for one in found[text]), (text, found[text])
        page.open(f"{shown.url}#/problems")
        page.wait_text("of all types", ".types [aria-current]")
        page.wait("document.querySelectorAll('.view .refused').length > 6")
        page.script(
            "[...document.querySelectorAll('.refused h2 a')].find(one => one.innerText === 'shop/search').click()"
        )
        page.wait("document.title === 'Topology – fastroute'")
        page.wait_text("shop/search", ".grid")


def test_warnings_are_asked_for_again_although_the_version_is_the_same(opened: Opened) -> None:
    count = "performance.getEntriesByType('resource').filter(one => one.name.endsWith('%s')).length"
    asked, statuses = count % "problems?type=warning&limit=1", count % "status"
    with showing(shop()) as shown:
        page = opened(shown.url)
        clock = "window.passed = 0; Date.now = () => 1e12 + window.passed"
        page.ask("Page.addScriptToEvaluateOnNewDocument", source=clock)
        page.open(f"{shown.url}?clock")
        page.wait(f"{asked} === 1")
        shown.state = shop(USELESS)
        page.script("window.passed = 29_000")
        page.wait(f"{statuses} > {page.script(statuses) + 1}")
        assert page.script(asked) == 1
        page.script("window.passed = 30_000")
        page.wait_text("1 warning", ".summary")


def test_a_round_asks_for_three_pages_of_problems_at_most(opened: Opened) -> None:
    rule = "\n  - backendRefs: [{name: x, namespace: other, port: 80}]\n"
    whole = seen(world(GATEWAY, *(route(f"infra/r{number:04}", rule) for number in range(2_100))), ready=True)
    names = "performance.getEntriesByType('resource').map(one => one.name)"
    asked = f"{names}.map(one => one.split('problems?type=refused')[1]).filter(Boolean)"
    with showing(whole) as shown:
        page = opened(f"{shown.url}#/problems?type=refused")
        page.script("performance.setResourceTimingBufferSize(10_000)")
        for known in range(500, 2_100, 500):
            page.wait(f"document.querySelectorAll('.view .refused').length === {known}")
            page.click(".view > button")
        page.wait("document.querySelectorAll('.view .refused').length === 2100")
        page.wait_text("2,100 refused references", ".types [aria-current]")
        rounds = f"{asked}.filter(one => one === '&limit=500').length"
        known = page.script(rounds)
        page.wait(f"{rounds} >= {known + 4}")
        shown.state = seen(world(GATEWAY))
        page.wait("document.querySelector('.view .refused') === null")
        texts = [one.partition("after=")[2] for one in page.script(asked)]
    starts = [number for number, text in enumerate(texts) if not text]
    spans = [texts[begin:end] for begin, end in pairwise(starts[known : known + 4])]
    assert [len(one) for one in spans if len(one) > 3] == []
    assert {one[-1] for one in spans} == {next(text for text in texts if "r1999" in text)}


def test_nothing_wrong_is_said_plainly(opened: Opened) -> None:
    with showing(seen(world(GATEWAY), ready=True)) as shown:
        page = opened(f"{shown.url}#/problems")
        page.wait_text("There are no problems.", ".view .empty")
        page.open(f"{shown.url}#/problems?type=failing")
        page.wait_text("There are no problems of this type.", ".view .empty")


def test_refused_references_are_red_and_have_yaml(opened: Opened) -> None:
    with showing(shop()) as shown:
        page = opened(f"{shown.url}#/refused")
        page.wait_text("kind: ReferenceGrant", ".refused pre")
        assert page.script("getComputedStyle(document.querySelector('.refused')).borderLeftColor") == RED
        assert "HTTPRoute shop/checkout" in page.text(".refused h2")
        assert page.text(".refused > code") == "spec.rules[1].backendRefs[0]"
        assert "the owner of the other namespace decides" in page.text(".view > p")
        shown.state = shop(ALLOWED)
        page.wait_text("Every reference to another namespace is allowed")


def test_a_question_gets_the_path_and_the_near_misses(opened: Opened) -> None:
    with showing(shop()) as shown:
        page = opened(f"{shown.url}#/explain")
        page.wait("document.querySelector('form [name=url]') !== null")
        page.script("document.querySelector('form [name=url]').focus()")
        page.type("http://shop.example.com/pay/1")
        page.script("document.querySelector('form [name=method]').value = 'POST'")
        page.press("Enter")
        page.wait_text("A backend gets it", ".verdict")
        path = page.text(".path").split("\n")
        assert [path[0], path[1]] == ["Gateway", "infra/web"] or "infra/web" in page.text(".path")
        assert "shop/checkout:80, shop/checkout-canary:80" in page.text(".path")
        tables = page.text(".view")
        assert "127.0.0.1:18001, 127.0.0.1:18002" in tables
        assert "90 %" in tables
        assert "shop/catalogue" in tables.partition("Near misses")[2]
        assert page.script("location.hash").startswith("#/explain?method=POST&url=http")


def test_a_part_that_is_refused_is_in_the_verdict(opened: Opened) -> None:
    with showing(shop(PART_REFUSED)) as shown:
        page = opened(f"{shown.url}{question(url='http://part.example.com/')}")
        page.wait_text("but 30 % of requests get 500 (reference_refused)", ".verdict")
        assert page.script("document.querySelector('.verdict .badge').className") == "badge bad"
        assert page.script("getComputedStyle(document.querySelector('.verdict b')).color") == RED


def test_values_of_credentials_are_asked_but_not_in_the_url(opened: Opened) -> None:
    with showing(shop()) as shown:
        page = opened(f"{shown.url}{question(url='http://shop.example.com/pay/1')}")
        for secret in ("first-secret", "second-secret"):  # the second question has the same URL
            page.wait("document.querySelector('.verdict') !== null")
            lines = f"Authorization: Bearer {secret}\\n cookie : id={secret}\\nX-Version: 2"
            page.script(f"document.querySelector('[name=headers]').value = '{lines}'")
            page.script("document.querySelector('form').requestSubmit()")
            asked = "performance.getEntriesByType('resource').map(one => one.name)"
            page.wait(f"{asked}.some(one => one.includes('Bearer+{secret}') && one.includes('id%3D{secret}'))")
            place = page.script("location.href")
            assert "secret" not in place
            assert "header=Authorization%3A&header=cookie%3A&header=X-Version%3A+2" in place
            page.wait("document.querySelector('.verdict') !== null")
            assert secret in page.script("document.querySelector('[name=headers]').value")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"url": "http://shop.example.com/invoices"}, ("respond", "500", "This would allow billing/invoices:80")),
        ({"url": "http://nobody.example/"}, ("respond", "404", "no_rule")),
        ({"url": "tcp://127.0.0.1:5432"}, ("forward", "billing/ledger:80")),
        ({"url": "ftp://x/"}, ("URL",)),
        ({"url": "http://shop.example.com/pay", "header": "no colon"}, ("no colon",)),
        ({"url": "http://shop.example.com/", "gateway": "infra/internal"}, ("not_listening",)),
    ],
    ids=["refused", "no rule", "tcp", "scheme", "header", "gateway"],
)
def test_a_question_in_the_url_is_asked(opened: Opened, asked: dict[str, str], found: tuple[str, ...]) -> None:
    with showing(shop()) as shown:
        page = opened(f"{shown.url}{question(**asked)}")
        page.wait("document.querySelector('.verdict, .error') !== null")
        if page.script("!document.querySelector('.verdict')"):
            page.forgive("400")  # the console has a line for each answer that is no 200
        text = page.text(".view")
        assert [part for part in found if part not in text] == []


def test_certificates_say_when_they_end(opened: Opened) -> None:
    with showing(shop()) as shown:
        page = opened(f"{shown.url}#/certificates")
        page.wait_text("infra/edge", "table")
        rows = page.script("[...document.querySelectorAll('tbody tr')].map(one => one.innerText)")
        assert [
            part for part in ("infra/old", "expired", "3 days ago", "infra/internal/admin") if part not in rows[0]
        ] == []
        assert [part for part in ("infra/edge", "ends soon", "in 9 days", "*.example.com") if part not in rows[1]] == []


def test_workers_have_a_version_and_the_longest_turn(opened: Opened) -> None:
    with showing(shop()) as shown:
        page = opened(f"{shown.url}#/workers")
        page.wait_text("late", "table")
        rows = page.script("[...document.querySelectorAll('tbody tr')].map(one => one.innerText.split(/\\s*\\t\\s*/))")
        assert rows[0][:4] == ["0", "serving", "42", "3.1 ms"]
        assert rows[1][:4] == ["1", "late", "41", "12.7 ms"]


def test_light_and_dark(opened: Opened) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with showing(shop()) as shown:
        page = opened(shown.url)
        for name in ("dark", "light"):
            page.theme(name)
            page.wait(f"getComputedStyle(document.documentElement).colorScheme === '{name}'")
        page.wait_text("Dark theme", "header")
        light = page.script(background)
        page.click("header button")  # the choice of the operator counts, also later
        page.wait(f"{background} !== '{light}'")
        page.open(f"{shown.url}?again")
        page.wait_text("Light theme", "header")
        assert page.script(background) != light


def test_the_views_are_reached_by_links_and_back(opened: Opened) -> None:
    with showing(shop()) as shown:
        page = opened(shown.url)
        for title in ("Refused references", "Explain", "Certificates", "Workers"):
            page.wait("document.querySelector('nav a') !== null")
            page.script(f"[...document.querySelectorAll('nav a')].find(one => one.innerText === '{title}').click()")
            page.wait(
                f"document.title === '{title} – fastroute' && document.querySelector('h1').innerText === '{title}'"
            )
            assert page.text("nav [aria-current]") == title
        page.script("history.back()")
        page.wait("document.title === 'Certificates – fastroute'")
