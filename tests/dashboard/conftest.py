"""One Chromium for all tests of the dashboard. Each test has a page of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dashboard.browser import CHROMIUM, INSTALL, Browser, Page


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(INSTALL)
    folder: Path = tmp_path_factory.mktemp("chromium")
    browser = Browser(folder)
    yield browser
    browser.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[[str], Page]]:
    """Opens a URL in a page. In the end nothing may have been reported in its console, and no other address asked."""
    pages: list[tuple[str, Page]] = []

    def opens(url: str) -> Page:
        pages.append((url, Page(browser)))
        pages[-1][1].forgive("net::ERR_")  # the site ends before the page
        pages[-1][1].open(url)
        return pages[-1][1]

    yield opens
    complaints, requests = [], []
    for url, page in pages:
        complaints += page.complaints()
        requests += [one for one in page.requests() if not one.startswith(url.partition("#")[0])]
        page.close()
    assert (complaints, requests) == ([], [])
