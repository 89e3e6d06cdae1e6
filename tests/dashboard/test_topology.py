"""The topology in a browser: the tree, its keys, the search, the details, and what is asked of the gateway."""

import json
from collections.abc import Callable

import pytest
from dashboard.browser import WITHIN, Browser, Page
from dashboard.shop import ALLOWED, shop, traffic
from dashboard.site import showing
from view.seen import seen
from worlds import GATEWAY, route, service, world

from fastroute.place import Transport
from fastroute.snapshot import Endpoint
from fastroute.view.paging import Window
from fastroute.view.state import FailedTries
from fastroute.view.summary import status

pytestmark = pytest.mark.timeout(2 * WITHIN)
Opened = Callable[[str], Page]
MANY = 300
RULES = "\n  - backendRefs: [{name: x, port: 80}]\n"


def names(page: Page) -> list[str]:
    """The names of the rows that are in the document."""
    found: list[str] = page.script("[...document.querySelectorAll('.body .row .name > b')].map(one => one.textContent)")
    return found


def row(page: Page, name: str) -> str:
    """A selector of the row with the name; waits until there is one."""
    shown = "[...document.querySelectorAll('.body .row')]"
    return "#" + str(page.wait(f"{shown}.find(one => one.querySelector('.name > b')?.textContent === '{name}')?.id"))


def active(page: Page) -> str:
    return str(page.wait("document.querySelector('.row.active .name > b')?.textContent"))


def test_each_level_opens_and_has_its_values(opened: Opened) -> None:
    with showing(shop()) as shown:
        page = opened(shown.url)
        page.click(f"{row(page, 'https')} .turn")
        page.click(f"{row(page, 'shop/checkout')} .turn")
        page.wait_text("ms", row(page, "shop/checkout"))
        text = page.text(row(page, "shop/checkout"))
        assert "494/s" in text
        assert "1.6 %" in text
        page.wait_text("POST, PathPrefix /pay", row(page, "pay"))
        assert "90 % / 90 %" in " ".join(page.text(row(page, "shop/checkout:80")).split())
        page.click(f"{row(page, 'shop/checkout:80')} .turn")
        page.wait_text("ready", row(page, "127.0.0.1:18002"))
        assert "RefNotPermitted" in page.text(row(page, "billing/invoices:80"))
        assert page.script("document.querySelectorAll('.share.bad').length") == 1


def test_the_endpoint_that_fails_has_the_number_and_the_reasons(opened: Opened) -> None:
    address = Endpoint("127.0.0.1", 18002)
    failed = {("shop/checkout:80", address): FailedTries(9, 4, 0.0, {"status": 2, "upstream_closed": 7})}
    with showing(shop()._replace(avoided={Transport.TCP: frozenset({address})})) as shown:
        page = opened(shown.url)
        for name in ("https", "shop/checkout", "shop/checkout:80"):
            page.click(f"{row(page, name)} .turn")
        page.wait_text("avoided", row(page, "127.0.0.1:18002"))
        shown.state = shown.state._replace(failed=failed)
        page.wait_text("4 failures", row(page, "127.0.0.1:18002"))
        page.click(row(page, "127.0.0.1:18002"))
        page.wait_text("upstream_closed 7, status 2", ".detail")
        page.wait_text("1970-01-01T00:00:00Z", ".detail")


def test_values_change_without_a_reload(opened: Opened) -> None:
    with showing(shop()) as shown:
        page = opened(shown.url)
        page.click(f"{row(page, 'http')} .turn")
        page.wait_text("refused", row(page, "shop/checkout"))
        shown.state = shop(ALLOWED)._replace(traffic=traffic(failed=5_000))
        page.wait_text("84.3 %", row(page, "shop/checkout"))
        assert "refused" not in page.text(row(page, "shop/checkout"))


def test_the_details_of_a_refused_reference_have_yaml_to_copy(opened: Opened, browser: Browser) -> None:
    with showing(shop()) as shown:
        page = opened(shown.url)
        page.click(f"{row(page, 'http')} .turn")
        page.click(row(page, "shop/checkout"))
        page.wait_text("spec.rules[1].backendRefs[0]", ".detail .refused")
        page.script("navigator.clipboard.writeText = async text => { window.copied = text }")
        page.click(".detail .yaml button")
        copied = page.wait("window.copied")
        page.wait_text("Copied", ".detail .yaml button")
    [refused] = status(shop(), Window()).refused
    assert copied == refused.fix
    assert "kind: ReferenceGrant" in copied


def test_keys_move_open_and_close(opened: Opened) -> None:
    with showing(shop()) as shown:
        page = opened(shown.url)
        row(page, "infra/web")
        page.script("document.querySelector('.grid').focus()")
        assert active(page) == "infra/internal"
        page.press("ArrowDown", "ArrowDown", "ArrowDown")
        assert active(page) == "infra/web"
        page.press("ArrowDown", "ArrowRight")
        row(page, "shop/catalogue")
        page.press("ArrowDown")
        assert active(page) == "shop/catalogue"
        page.press("Space", "ArrowRight")
        assert active(page) == "0"
        page.press("ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft")
        assert active(page) == "http"
        page.press("ArrowLeft", "ArrowLeft", "ArrowLeft")
        assert active(page) == "infra/web"
        page.wait("![...document.querySelectorAll('.body .row .name > b')].some(one => one.textContent === 'http')")
        page.press("Enter")
        page.wait_text("infra/web", ".detail h2")
        page.press("Escape")
        page.wait("!document.querySelector('.detail')")
        page.press("Home")
        assert active(page) == "infra/internal"
        page.press("End")
        assert active(page) == "infra/web"
        page.press("/")
        assert page.script("document.activeElement.type") == "search"


def test_everything_can_be_closed(opened: Opened) -> None:
    with showing(shop()) as shown:
        page = opened(shown.url)
        page.click(f"{row(page, 'http')} .turn")
        row(page, "shop/search")
        page.click(".tools button:last-child")
        page.wait("document.querySelectorAll('.body .row').length === 2")
        assert names(page) == ["infra/internal", "infra/web"]


def test_the_search_finds_names_hosts_and_backends(opened: Opened) -> None:
    with showing(shop()) as shown:
        page = opened(shown.url)
        for words, found in (
            ("ledger", ["infra/internal", "billing/ledger"]),
            ("find.example", ["shop/search"]),
            ("canary", ["shop/checkout"]),
            ("HTTPRoute catal", ["shop/catalogue"]),
        ):
            row(page, "infra/internal")
            page.script("document.activeElement.blur()")
            page.press("/")
            page.type(words)
            page.wait(
                f"JSON.stringify([...document.querySelectorAll('.body .row .name > b')].map(o => o.textContent)) === "
                f"{str(found).replace(chr(39), chr(34)).replace(', ', ',')!r}"
            )
            page.press("Escape")
        page.open(f"{shown.url}#/topology?search=nothing-has-this-name")
        page.wait_text("Nothing was found.")


def test_problems_alone(opened: Opened) -> None:
    with showing(shop()) as shown:
        page = opened(shown.url)
        page.click(".check input")
        row(page, "shop/checkout")
        page.wait("document.querySelectorAll('.body .row').length === 2")
        assert names(page) == ["shop/checkout", "shop/search"]


def test_routes_that_fail_now_are_problems(opened: Opened) -> None:
    """They have no wrong condition."""
    canary = {"shop/checkout-canary:80": 512}
    failed = traffic(failed=593)._replace(failures={("HTTPRoute", "shop/checkout", "pay"): canary})
    with showing(shop(ALLOWED)._replace(traffic=failed)) as shown:
        page = opened(f"{shown.url}#/topology?problems=true")
        page.wait_text("fails", row(page, "shop/checkout"))
        page.click(row(page, "shop/checkout"))
        page.wait_text("10 % of the responses are errors: 100 % of those of shop/checkout-canary:80", ".detail")
        shown.state = shop(ALLOWED)._replace(traffic=traffic(failed=0))
        page.wait("document.querySelectorAll('.body .row').length === 1")
        assert names(page) == ["shop/search"]


def test_everything_can_be_opened(opened: Opened) -> None:
    expanded = "[...document.querySelectorAll('.body .row')].map(one => one.getAttribute('aria-expanded'))"
    with showing(shop()) as shown:
        page = opened(shown.url)
        row(page, "http")
        page.click(".tools button")
        row(page, "127.0.0.1:18004")
        page.wait(f"!{expanded}.includes('false')")
        page.click(".tools button:last-child")
        page.wait("document.querySelectorAll('.body .row').length === 2")
        page.script("document.querySelector('.grid').focus()")
        page.press("Home", "*")  # the row and all below it, with the keyboard
        row(page, "127.0.0.1:18006")
        assert "shop/catalogue" not in names(page)


def test_too_many_routes_are_not_opened_together(opened: Opened) -> None:
    def with_many(path: str, body: bytes) -> bytes:
        if not path.startswith("/api/v1/"):
            return body
        answer = json.loads(body)
        if path.endswith("/status"):
            answer["routes"] = 5_001
        for gateway in answer["items"] if path.endswith("/gateways") else ():
            for listener in gateway["listeners"]:
                listener["routes"] *= 2_500
        return json.dumps(answer).encode()

    with showing(shop(), with_many) as shown:
        page = opened(shown.url)
        row(page, "http")
        page.wait_text("5,001 routes")
        page.click(".tools button")
        page.wait_text("There are 5,001 routes: only Gateways and listeners were opened.", "[role=status]")
        row(page, "shop/catalogue")
        assert "127.0.0.1:18004" not in names(page)
        page.click(".tools button:last-child")
        page.wait("document.querySelectorAll('.body .row').length === 2")
        page.script("document.querySelector('.grid').focus()")
        page.press("End", "*")
        page.wait_text("only Gateways and listeners were opened", "[role=status]")


def test_nothing_is_opened_before_the_routes_are_counted(opened: Opened) -> None:
    def without_status(path: str, body: bytes) -> bytes:
        return b"{" if path.endswith("/status") else body

    with showing(shop(), without_status) as shown:
        page = opened(shown.url)
        row(page, "http")
        page.click(".tools button")
        page.wait_text("The routes are not counted yet.", "[role=status]")
        assert "127.0.0.1:18004" not in names(page)


def test_only_what_is_visible_is_drawn_and_asked(opened: Opened) -> None:
    state = seen(world(GATEWAY, *(route(f"infra/r{number:03}", RULES) for number in range(MANY))), ready=True)
    with showing(state) as shown:
        page = opened(shown.url)
        row(page, "infra/r000")
        page.wait("document.querySelectorAll('.body .row').length >= 20")
        most = page.script("document.querySelectorAll('.body .row').length")
        assert most < 60
        asked = {one.partition("/api/v1/")[2] for one in page.requests()} - {""}
        assert asked - {"problems?type=warning&limit=1"} == {
            "status",
            "gateways?limit=50",
            "routes?gateway=infra%2Fweb&listener=proxy&limit=50",
        }
        page.script("document.querySelector('.grid').focus()")
        while "infra/r299" not in names(page):
            page.press("End")
            page.script("new Promise(done => setTimeout(done, 50))")
        assert page.script("document.querySelectorAll('.body .row').length") < 60
        before = len(page.requests())
        statuses = "performance.getEntriesByType('resource').filter(one => one.name.endsWith('/status')).length"
        known = page.script(statuses)
        page.script("document.dispatchEvent(new Event('visibilitychange'))")  # starts a round
        page.wait(f"{statuses} > {known + 1}")
        later = [one for one in page.requests()[before:] if "/routes" in one]
        assert {"after=HTTPRoute%2Finfra%2Fr249" in one for one in later[-2:]} == {True}


def test_a_gateway_that_went_away_is_said(browser: Browser) -> None:
    page = Page(browser)
    with showing(shop()) as shown:
        page.open(shown.url)
        row(page, "infra/web")
    page.wait_text("The gateway does not answer", ".summary")
    assert "infra/web" in names(page)  # the last values remain
    page.close()


def test_before_the_first_configuration(browser: Browser) -> None:
    page = Page(browser)
    with showing(None) as shown:
        page.open(shown.url)
        page.wait_text("nothing is served yet", ".summary")
        shown.state = shop()
        row(page, "infra/web")
    page.close()


WITHOUT_ENDPOINTS = """
  - {name: unused, backendRefs: [{name: full, port: 80}, {name: empty, port: 80, weight: 0}]}
  - {name: partly, backendRefs: [{name: full, port: 80}, {name: empty, port: 80}]}
  - {name: refused, backendRefs: [{name: empty, port: 80}, {name: x, namespace: other, port: 80}]}
  - {name: neither, backendRefs: [{name: full, port: 80}, {name: x, namespace: other, port: 80, weight: 0}]}
"""
NOT_READY = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: empty-1, namespace: infra, labels: {kubernetes.io/service-name: empty}}
addressType: IPv4
endpoints: [{addresses: [127.0.0.9], conditions: {ready: false}}]
ports: [{name: http, port: 18009}]
"""


def test_a_share_without_an_endpoint_is_not_a_refused_share(opened: Opened) -> None:
    services = service("infra/full", 18008), service("infra/empty"), NOT_READY
    with showing(seen(world(GATEWAY, route("infra/shares", WITHOUT_ENDPOINTS), *services))) as shown:
        page = opened(shown.url)
        page.click(f"{row(page, 'infra/shares')} .turn")
        states = {one: page.text(f"{row(page, one)} .state") for one in ("unused", "partly", "refused", "neither")}
        assert states == {"unused": "", "partly": "no endpoint", "refused": "refused share", "neither": ""}
        backends = "[...document.querySelectorAll('.body .row.backend')]"
        page.wait(f"{backends}.length === 8")
        marked = f"{backends}.filter(one => one.querySelector('.share.bad'))"
        assert page.script(f"{marked}.map(one => one.querySelector('b').innerText)") == [
            "infra/empty:80",
            "infra/empty:80",
            "other/x:80",
            "other/x:80",
        ]
        page.script(f"{marked}[0].querySelector('.turn').click()")  # what is not ready can be seen
        page.wait_text("not ready", row(page, "127.0.0.9:18009"))
        page.script(f"{marked}[0].click()")
        page.wait_text("None of its endpoints is ready.", ".detail")
        assert page.script("document.querySelector('.detail p .badge').className") == "badge bad"
