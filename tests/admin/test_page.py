"""The files of the dashboard and their security headers. tests/dashboard opens them in a browser."""

import hashlib
import http.client
import re
from pathlib import Path

import pytest
from dashboard.shop import shop
from dashboard.site import showing

from fastroute.admin.page import FILES, POLICY

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "fastroute/admin/page"
SOURCES = ROOT / "dashboard"


def asked(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    client.request(method, path, headers={"host": host})
    answer = client.getresponse()
    body = answer.read()
    client.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def test_each_file_is_served_with_a_strict_policy() -> None:
    with showing(shop()) as shown:
        for path, (name, kind) in FILES.items():
            status, fields, body = asked(shown.port, path)
            assert (status, fields["content-type"], body) == (200, kind, (PAGE / name).read_bytes())
            assert fields["content-security-policy"] == POLICY
            assert fields["x-content-type-options"] == "nosniff"
            assert fields["referrer-policy"] == "no-referrer"
            assert asked(shown.port, path, "HEAD")[::2] == (200, b"")
            assert asked(shown.port, path, "POST")[0] == 405
            assert asked(shown.port, path, host="evil.example")[0] == 421
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'; ")
    assert "http" not in POLICY


def test_the_page_is_there_before_anything_is_served() -> None:
    with showing(None) as shown:
        assert asked(shown.port, "/")[0] == 200


def test_the_document_has_no_script_or_style_of_its_own_and_names_no_other_host() -> None:
    text = (PAGE / "index.html").read_text()
    assert re.findall(r"<script[^>]*>([^<]*)<", text) == [""]
    assert not re.search(r"<style|style=|\bon\w+=|//", text)
    served = {name for name, _ in FILES.values()}
    assert set(re.findall(r'(?:src|href)="([^"]*)"', text)) == served - {"index.html"}
    assert not re.search(r"url\(|@import", (PAGE / "dashboard.css").read_text())


def test_the_built_files_are_those_of_the_sources() -> None:
    """tests/dashboard/test_build.py builds them again, where there is npm."""
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(SOURCES)}\n"
        for path in (SOURCES / "package-lock.json", *sorted((SOURCES / "src").iterdir()))
    ]
    digest = hashlib.sha256("".join(sums).encode()).hexdigest()[:32]
    assert f"sources {digest}" in (PAGE / "dashboard.js").read_text().partition("\n")[0], "run make dashboard"
    assert {path.name for path in PAGE.iterdir()} == {name for name, _ in FILES.values()} | {"LICENSE.preact"}


@pytest.mark.parametrize("path", sorted((SOURCES / "src").glob("*.[jc]s*")), ids=lambda path: path.name)
def test_a_source_is_short_and_opens_with_what_it_owns(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 300
    assert text.startswith(("// ", "/* "))
    assert [line for line in text.splitlines() if len(line) > 120] == []
    assert not re.search(r"innerHTML|dangerouslySet|\beval\b|https?://(?!www\.example\.com)", text)
