"""Errors, warnings and what `explain` prints: none of them repeats a value that may be a credential."""

from collections.abc import Callable
from typing import Any

import pytest
from worlds import GATEWAY, graph_of, route

from fastroute import notation
from fastroute.asking import admin_url
from fastroute.errors import SettingError
from fastroute.explain.connection import parse_target
from fastroute.explain.question import parse_question
from fastroute.explain.request import parse_url
from fastroute.lint.match import queries_not_sent
from fastroute.resources.world import Resources


def asked(url: str) -> Any:
    return parse_url("GET", url)


@pytest.mark.parametrize(
    ("read", "given", "shown"),
    [
        (asked, "ftp://planted:planted@web/a?token=planted", "ftp://***@web/a?***"),
        (asked, "http://planted@web:x/a?token=planted", "http://***@web:x/a?***"),
        (asked, "http://[planted@web/a?planted", "http://***@web/a?***"),
        (asked, "http://planted@exa\u2100mple/", "http://***@exa\u2100mple/"),
        (parse_target, "tcp://planted@127.0.0.1:1", "tcp://***@127.0.0.1:1"),
        (parse_target, "tls://web:x?planted", "tls://web:x?***"),
        (parse_target, "udp://127.0.0.1:1/?planted", "udp://127.0.0.1:1/?***"),
        (lambda url: parse_question("GET", url, ()), "tcp://planted@web:1?planted", "tcp://***@web:1?***"),
        (admin_url, "http://web:1/?planted", "http://web:1/?***"),
        (admin_url, "http://planted@web:x", "http://***@web:x"),
        (admin_url, "planted:planted@127.0.0.1:9901", "***@127.0.0.1:9901"),
        (notation.collector, "http://planted:planted@web/?key=planted", "http://***@web/?***"),
        (notation.collector, "http://web/#planted", "http://web/?***"),
        (notation.headers, ["A: b", "planted"], "header 2 has no colon: write it as 'Name: value'"),
        (notation.headers, [": planted"], "header 1 has no name: write it as 'Name: value'"),
    ],
)
def test_an_error_names_the_place_and_no_value(read: Callable[[Any], Any], given: Any, shown: str) -> None:
    with pytest.raises(SettingError) as caught:
        read(given)
    assert shown in str(caught.value)
    assert "planted" not in str(caught.value)
    assert caught.value.__cause__ is None  # nor does a traceback


@pytest.mark.parametrize(
    ("name", "fix"), [("city", 'value: "planted%20x"'), ("access_token", None)], ids=["plain", "credential"]
)
def test_a_warning_about_a_query_names_the_parameter(name: str, fix: str | None) -> None:
    matched = f"\n  - matches: [{{queryParams: [{{name: {name}, value: planted x}}]}}]"
    [found] = queries_not_sent(Resources(), graph_of(GATEWAY, route("infra/a", matched)))
    assert f"the value of parameter '{name}'" in found.message
    assert "planted" not in found.message
    assert found.fix == fix


def test_the_question_is_shown_without_credentials() -> None:
    question = parse_question("get", "http://planted:planted@web:80/a?city=x&access_token=planted", ())
    assert question.shown == "GET http://web:80/a?city=x&access_token=***"
