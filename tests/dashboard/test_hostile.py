"""Texts of users stay texts: markup in names, labels, hosts, matches, messages and YAML is shown and does nothing."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from dashboard.browser import WITHIN, Page
from dashboard.shop import HOSTILE, MARKUP, shop
from dashboard.site import showing

pytestmark = pytest.mark.timeout(2 * WITHIN)
Opened = Callable[[str], Page]
VIEWS = ("topology", "refused", "explain?url=http%3A%2F%2Fshop.example.com%2Fpay", "certificates", "workers")
UNTOUCHED = "window.hacked === undefined && document.querySelectorAll('img').length === 1"  # the one beside the title
# What is no text of users: words of the API, and times.
KEPT = {"state", "status", "kind", "decision", "not_before", "not_after", "time", "next", "type"}


def test_what_the_api_server_accepts(opened: Opened) -> None:
    """A regular expression and a value of a header field may contain anything."""
    asked = urlencode({"method": "GET", "url": "http://marked.example.com/x", "header": f"X-Mark: {MARKUP}"})
    with showing(shop(HOSTILE)) as shown:
        page = opened(f"{shown.url}#/topology?search=marked")
        page.click(".row.route .turn")
        page.click(".row.rule .turn")
        page.click(".row.rule")
        page.wait_text(MARKUP, ".detail")
        assert MARKUP in page.text(".grid")
        assert page.script(UNTOUCHED)
        page.script(f"location.hash = '#/explain?{asked}'")
        page.wait_text(MARKUP, "table")
        assert page.script(UNTOUCHED)


def hostile(value: Any, key: str = "") -> Any:
    """The same answer, with markup in place of every text of users."""
    if isinstance(value, dict):
        return {name: hostile(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [hostile(one, key) for one in value]
    return MARKUP if isinstance(value, str) and key not in KEPT else value


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.partition("?")[0])
def test_whatever_an_answer_says(opened: Opened, view: str) -> None:
    def changed(path: str, body: bytes) -> bytes:
        return json.dumps(hostile(json.loads(body))).encode() if path.startswith("/api/") else body

    with showing(shop(), changed) as shown:
        page = opened(f"{shown.url}#/{view}")
        page.wait_text(MARKUP, ".release" if view == "workers" else "main")
        if view == "topology":
            page.click(".row.gateway")
            page.wait_text(MARKUP, ".detail h2")
        assert page.script(UNTOUCHED)
        assert page.script("document.querySelectorAll('main script, main iframe, main style').length") == 0


def test_the_policy_stops_a_script_that_would_write_markup(opened: Opened) -> None:
    """If a later version of the page did it by mistake."""
    with showing(shop()) as shown:
        page = opened(shown.url)
        page.wait_text("infra/web", ".grid")
        page.forgive("TrustedHTML", "TrustedScript")
        for tried in (
            "document.body.innerHTML = 'x'",
            "document.createElement('script').text = '1'",
            "setTimeout('1')",
        ):
            assert page.script(f"try {{ {tried}; 'done' }} catch (error) {{ error.name }}") in (
                "TypeError",
                "EvalError",
            )
        page.wait_text("infra/web", ".grid")
