"""The client of the admin API, and what is printed of its answers."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from commands import fastroute
from view.seen import seen
from worlds import FRUITS, GATEWAY, world

from fastroute import watching
from fastroute.asking import Asker, AskingError, admin_url
from fastroute.errors import SettingError
from fastroute.view.openapi import BY_NAME, ROOT
from fastroute.view.paging import Window
from fastroute.watching import Printed, show_again, show_once

STATE = seen(world(GATEWAY, *(FRUITS.replace("name: fruits", f"name: r{number:04}") for number in range(1100))))


class Answering(BaseHTTPRequestHandler):
    """The resources of STATE, in pages of 1,000; `failures` are answered first."""

    failures: list[tuple[int, bytes]] = []  # noqa: RUF012

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        name = path.removeprefix(ROOT)
        after = "HTTPRoute/infra/r0999" if "r0999" in query else ""
        status, body = 200, msgspec.json.encode(BY_NAME[name].view(STATE, Window(after, 1000)))
        if self.failures:
            status, body = self.failures.pop(0)
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Answering.failures = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("text", ["", "ftp://a", "http://", "http://a/b", "http://a:x", "a?b"])
def test_what_is_no_url_of_an_admin_api_is_refused(text: str) -> None:
    with pytest.raises(SettingError):
        admin_url(text)


def test_all_pages_are_read(url: str) -> None:
    found = Asker(url).overview()
    assert [one.name for one in found.routes] == [f"infra/r{number:04}" for number in range(1100)]
    assert found.status.routes == 1100
    assert [one.name for one in found.gateways] == ["infra/web"]


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        ((421, b'{"error": "another host"}'), "answers 421: another host"),
        ((404, b"nothing"), "answers 404: it is not the admin API of fastroute"),
        ((200, b"hello"), "not as the admin API of this version"),
        ((200, b"{}"), "not as the admin API of this version"),
    ],
    ids=["refused", "another-program", "no-json", "another-version"],
)
def test_another_answer_is_an_error_that_says_so(url: str, failure: tuple[int, bytes], text: str) -> None:
    Answering.failures = [failure]
    with pytest.raises(AskingError, match=text):
        Asker(url).overview()


def test_nothing_at_the_address_is_an_error_with_a_way_out() -> None:
    result = fastroute("status", "--admin", "127.0.0.1:1")
    assert isinstance(result.exception, AskingError)  # exit code 2
    text = str(result.exception)
    assert "nothing answers at http://127.0.0.1:1 (Connection refused)" in text
    assert "kubectl -n fastroute port-forward" in text


def test_json_has_everything_once(url: str) -> None:
    result = fastroute("status", "-o", "json", FASTROUTE_ADMIN=url)
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert list(document) == ["status", "gateways", "routes", "endpoints", "certificates"]
    assert len(document["routes"]) == 1100


def watched(url: str, printed: Printed, stream: io.StringIO, rounds: int) -> None:
    left = [rounds]

    def sleep(seconds: float) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    show_again(Asker(url), printed, stream, sleep)


def test_watching_goes_on_until_ctrl_c(url: str) -> None:
    stream = io.StringIO()
    watched(url, Printed.json, stream, 3)
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [len(one["routes"]) for one in found] == [1100] * 3
    stream = io.StringIO()
    watched(url, Printed.text, stream, 2)
    assert stream.getvalue().count("\nROUTE ") == 2
    assert watching.CLEAR not in stream.getvalue()


def test_a_terminal_is_cleared(url: str) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    watched(url, Printed.text, stream, 2)
    assert stream.getvalue().count(watching.CLEAR) == 2


def test_watching_survives_a_restart_but_not_a_wrong_address(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([Asker(url).overview(), AskingError("nothing answers"), Asker(url).overview()])

    def overview(asker: Asker) -> object:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(Asker, "overview", overview)
    stream = io.StringIO()
    watched(url, Printed.json, stream, 3)
    assert len(stream.getvalue().splitlines()) == 2
    assert "nothing answers" in capsys.readouterr().err
    answers = iter([AskingError("nothing answers")])
    with pytest.raises(AskingError):
        show_again(Asker(url), Printed.text, stream)
    answers = iter([AskingError("nothing answers")])
    with pytest.raises(AskingError):
        show_once(Asker(url), Printed.text, stream)
