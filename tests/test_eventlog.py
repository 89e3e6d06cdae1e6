"""The event log: text or JSON, on stderr."""

import json
import logging
import os

import pytest

from fastroute import eventlog
from fastroute.eventlog import start_log
from fastroute.settings import LogSettings

_log = logging.getLogger("fastroute.test")


@pytest.fixture(autouse=True)
def _restored():
    root, ours = logging.getLogger(), logging.getLogger("fastroute")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)


def test_json_is_one_object_a_line(capsys):
    start_log(LogSettings(format="json"))
    _log.info("listening on %s", "[::1]:80")
    try:
        json.loads("a\nb")
    except ValueError:
        _log.exception("it broke")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["message"] == "listening on [::1]:80"
    assert (first["level"], first["logger"]) == ("info", "fastroute.test")
    assert first["time"].endswith("Z")
    assert second["level"] == "error"
    assert "JSONDecodeError: Expecting value" in second["exception"]


def test_text_is_for_people(capsys):
    start_log(LogSettings(format="text"))
    _log.warning("careful")
    assert capsys.readouterr().err.endswith("WARNING careful\n")


def test_the_level_is_ours_alone(capsys):
    start_log(LogSettings(level="debug", format="text"))
    _log.debug("ours")
    logging.getLogger("somebody.else").info("theirs")
    assert [line.rsplit(" ", 1)[1] for line in capsys.readouterr().err.splitlines()] == ["ours"]
    start_log(LogSettings(level="error", format="text"))
    _log.warning("not this")
    assert capsys.readouterr().err == ""


def test_without_a_terminal_it_is_json(capsys):
    start_log(LogSettings())
    _log.info("x")
    assert json.loads(capsys.readouterr().err)["message"] == "x"


def test_a_terminal_gets_colours_and_no_paths(monkeypatch):
    primary, secondary = os.openpty()
    with open(secondary, "w") as terminal:
        monkeypatch.setattr(eventlog.sys, "stderr", terminal)
        start_log(LogSettings())
        _log.error("red")
    text = os.read(primary, 4096).decode()
    assert "red" in text
    assert "\x1b[" in text
    assert "test_eventlog" not in text
    assert "fastroute.test" not in text
    os.close(primary)


@pytest.mark.parametrize(
    "text", ["a\n2026-01-01 ERROR forged", "a\x1b[31mred", "a\rb", "a\u2028b", "a\u202eb", "a\x00b"]
)
def test_text_of_users_forges_no_lines_and_moves_no_cursor(capsys, text):
    start_log(LogSettings(format="text"))
    _log.warning("Service %s: refused", text)
    try:
        int(text)
    except ValueError:
        _log.exception("failed for %s", text)
    lines = capsys.readouterr().err.split("\n")
    assert all(line.isprintable() for line in lines)
    assert lines[0].endswith(f"Service {repr(text)[1:-1]}: refused")
    assert [line for line in lines if line.startswith("2026-01-01")] == []
