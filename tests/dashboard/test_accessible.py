"""axe-core finds nothing in any view, in light and in dark. npm installs it (dashboard/package-lock.json)."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from dashboard.browser import WITHIN, Page
from dashboard.shop import shop
from dashboard.site import showing

ROOT = Path(__file__).parent.parent.parent
pytestmark = [
    pytest.mark.timeout(2 * WITHIN),
    pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm: sudo apt-get install -y npm"),
]
PAY = "explain?method=POST&url=http%3A%2F%2Fshop.example.com%2F"
VIEWS = {  # a text of each view
    "topology": "infra/web",
    "topology?search=shop": "shop/catalogue",
    "problems": "BackendNotFound",
    "refused": "kind: ReferenceGrant",
    f"{PAY}pay": "Near misses",
    f"{PAY}invoices": "This would allow",
    "certificates": "infra/edge",
    "workers": "4711",
}
CHECK = (
    "axe.run(document).then(found => JSON.stringify(found.violations.map(one => [one.id, one.nodes.map(n => n.html)])))"
)
CLOSED = "[...document.querySelectorAll('.body .row[aria-expanded=false]')]"


@pytest.fixture(scope="module")
def axe() -> str:
    subprocess.run([ROOT / ".ci/dashboard", "--install"], check=True, timeout=WITHIN)
    return (ROOT / "dashboard/node_modules/axe-core/axe.min.js").read_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(opened: Callable[[str], Page], axe: str, theme: str) -> None:
    with showing(shop()) as shown:
        page = opened(shown.url)
        page.theme(theme)
        page.script(axe + "; 0")
        found = {}
        for view, text in VIEWS.items():
            page.script(f"location.hash = '#/{view}'")
            page.wait_text(text, "main")
            if view == "topology":
                open_all(page)
            found[view] = json.loads(page.script(CHECK))
    assert {view: one for view, one in found.items() if one} == {}


def open_all(page: Page) -> None:
    while page.script(f"{CLOSED}.map(one => one.querySelector('.turn').click()).length"):
        page.script("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        page.wait("document.querySelector('.row.more') === null")
    page.click(".row.route")
    page.wait_text("ResolvedRefs", ".detail")
