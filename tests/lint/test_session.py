"""Cookie sessions: browsers keep the cookie over HTTPS only, and one cookie per name, path and host."""

from typing import Any

import pytest
from graph.secrets import secret
from graph.world import gateway, https, listener, ref, route

from .judged import fields, found

SECURE = (gateway("gw", "infra", https("s", "c")), secret("c", "infra"))


def sticky(path: str = "/", name: str | None = "visitor", **more: Any) -> dict[str, Any]:
    session = {**({"sessionName": name} if name else {}), **more}
    return {"matches": [{"path": {"value": path}}], "sessionPersistence": session, "backendRefs": [ref("s")]}


@pytest.mark.parametrize(
    ("served_by", "rule", "kept"),
    [
        ([gateway()], sticky(), False),
        ([gateway()], sticky(name=None), False),
        ([gateway()], sticky(type="Header"), True),
        (SECURE, sticky(), True),
        ([gateway("gw", "infra", listener(), https("s", "c")), secret("c", "infra")], sticky(), True),
        ([], sticky(), True),
    ],
)
def test_a_cookie_that_only_http_listeners_serve(served_by: list[Any], rule: dict[str, Any], kept: bool) -> None:
    expected = [] if kept else [("red/r", "spec.rules[0].sessionPersistence")]
    assert fields("SessionCookieNotKept", *served_by, route("r", "red", rules=[rule])) == expected


@pytest.mark.parametrize(
    ("one", "two", "clash"),
    [
        (sticky("/a"), sticky("/a"), True),
        (sticky("/a/"), sticky("/a"), True),
        (sticky("/a"), sticky("/b"), False),
        (sticky("/a"), sticky("/a", "other"), False),
        (sticky("/a", None), sticky("/a", None), False),
        (sticky("/a"), sticky("/a", type="Header"), False),
        (sticky("/a", cookie={"name": "v", "path": "/"}), sticky("/b", cookie={"name": "v", "path": "/"}), True),
        (sticky("/"), {**sticky("/"), "matches": [{"path": {"value": "/a"}}, {"path": {"value": "/b"}}]}, True),
    ],
)
def test_one_name_on_two_rules(one: dict[str, Any], two: dict[str, Any], clash: bool) -> None:
    expected = [("red/r", "spec.rules[1].sessionPersistence")] if clash else []
    assert fields("SessionCookieClash", *SECURE, route("r", "red", rules=[one, two])) == expected


@pytest.mark.parametrize(
    ("one", "two", "clashing"),
    [
        (["a.com"], ["a.com"], "b"),
        (["a.com"], ["b.com"], None),
        (["x.a.com"], ["*.a.com"], "a"),
        (["*.a.com"], ["x.y.a.com"], "b"),
        (["a.com"], [], "a"),
        ([], ["*.com"], "b"),
        (["a.com"], ["*.a.com"], None),
    ],
)
def test_one_name_on_rules_of_two_routes(one: list[str], two: list[str], clashing: str | None) -> None:
    given = (route("a", "red", rules=[sticky()], hostnames=one), route("b", "red", rules=[sticky()], hostnames=two))
    expected = [(f"red/{clashing}", "spec.rules[0].sessionPersistence")] if clashing else []
    assert fields("SessionCookieClash", *SECURE, *given) == expected


def test_a_rule_does_not_clash_with_itself() -> None:
    both = gateway("gw", "infra", listener(), listener("more", 81, hostname="*.com"))
    many = route("r", "red", rules=[sticky()], hostnames=["a.com", "*.com"])
    assert fields("SessionCookieClash", both, many) == []


def test_the_other_rule_is_named() -> None:
    [warning] = found("SessionCookieClash", *SECURE, route("r", "red", rules=[sticky(), sticky()]))
    assert warning.message.startswith(
        "Rule 0 of HTTPRoute red/r sets a cookie with the same name visitor and path / on any host: "
    )
