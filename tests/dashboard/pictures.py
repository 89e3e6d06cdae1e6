"""Takes the pictures of docs/reference/dashboard.md: `make pictures`.

They show the world of shop.py, in a window of one size.
"""

import sys
import tempfile
from pathlib import Path

from dashboard.browser import Browser, Page
from dashboard.shop import shop
from dashboard.site import showing

PAY = "explain?method=POST&url=http%3A%2F%2Fshop.example.com%2Fpay%2F17"
OPENED = ("https", "shop/checkout", "shop/checkout:80")


def turn(page: Page, name: str) -> str:
    """Opens the row with the name; its selector."""
    rows = "[...document.querySelectorAll('.body .row')]"
    found = page.wait(f"{rows}.find(one => one.querySelector('.name > b')?.textContent === '{name}')?.id")
    page.click(f"#{found} .turn")
    return f"#{found}"


def topology(page: Page) -> None:
    selectors = [turn(page, name) for name in OPENED]
    page.wait_text("127.0.0.1:18002", ".grid")
    page.click(selectors[1])
    page.wait_text("kind: ReferenceGrant", ".detail")


def take(page: Page, url: str, folder: Path) -> None:
    page.theme("light")
    page.open(url)
    topology(page)
    page.picture(folder / "topology-light.png")
    page.theme("dark")
    page.script("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.picture(folder / "topology-dark.png")
    page.theme("light")
    for name, place, text in (
        ("problems", "problems", "ended or end soon"),
        ("refused", "refused", "kind: ReferenceGrant"),
        ("explain", PAY, "Near misses"),
        ("certificates", "certificates", "infra/edge"),
        ("workers", "workers", "4711"),
    ):
        page.script(f"location.hash = '#/{place}'; document.activeElement.blur()")
        page.wait_text(text, "main")
        page.picture(folder / f"{name}.png")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile, showing(shop()) as shown:
        browser = Browser(Path(profile))
        try:
            take(Page(browser, 1280, 720), shown.url, folder)
        finally:
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
