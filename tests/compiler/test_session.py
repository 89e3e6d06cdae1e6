"""The session persistence of rules that the data plane gets."""

from typing import Any

import msgspec
import pytest

from fastroute.compiler.matches import matches_of
from fastroute.compiler.session import session_of
from fastroute.graph.node import RuleNode
from fastroute.resources.httproute import HTTPRoute
from fastroute.snapshot import Session


def compiled(rule: dict[str, Any], uid: str = "u", *, index: int = 0, holds_backend: bool = True) -> Session:
    rules = [{}] * index + [rule]
    written = {"metadata": {"namespace": "apps", "name": "r", "uid": uid}, "spec": {"rules": rules}}
    route = msgspec.convert(written, HTTPRoute)
    node = RuleNode(index=index, backend_refs=(), session_holds_backend=holds_backend)
    session = session_of(route, route.spec.rules[index], node, matches_of(route, index, route.spec.rules[index]))
    assert session is not None
    return session


def sticky(persistence: dict[str, Any] | None = None, **rule: Any) -> dict[str, Any]:
    return {"sessionPersistence": persistence or {}, **rule}


def test_defaults() -> None:
    session = compiled(sticky())
    assert session == Session(name=session.name, key=session.key)
    assert session.name.startswith("fastroute-")
    assert len(session.key) == 16
    assert session.key.hex()[:8] not in session.name


def test_a_key_is_of_one_rule_wherever_it_is_compiled() -> None:
    one = compiled(sticky(name="a"))
    assert compiled(sticky(name="a"), index=1).key == one.key  # named rules can be reordered
    others = [
        compiled(sticky(name="b")),
        compiled(sticky(name="a"), "v"),
        compiled(sticky()),
        compiled(sticky(), index=1),
    ]
    assert len({other.key for other in (one, *others)}) == 5
    assert len({other.name for other in (one, *others)}) == 5


@pytest.mark.parametrize(
    ("persistence", "expected"),
    [
        ({"sessionName": "s", "type": "Header"}, {"name": "s", "header": True}),
        ({"absoluteTimeout": "1h"}, {"lifetime_s": 3600, "permanent": False}),
        ({"absoluteTimeout": "1500ms"}, {"lifetime_s": 2}),
        (
            {"absoluteTimeout": "1m", "cookieConfig": {"lifetimeType": "Permanent"}},
            {"lifetime_s": 60, "permanent": True},
        ),
        ({"cookie": {"name": "c", "path": "/a"}}, {"name": "c", "path": "/a", "permanent": False}),
        ({"cookie": {"lifetimeType": "Permanent"}, "absoluteTimeout": "1m"}, {"path": "/", "permanent": True}),
        ({"type": "Header", "header": {"name": "h"}}, {"name": "h", "header": True}),
        ({"cookieConfig": {"lifetimeType": "Session"}}, {"lifetime_s": 0, "permanent": False}),
    ],
)
def test_fields(persistence: dict[str, Any], expected: dict[str, Any]) -> None:
    session = compiled(sticky(persistence))
    assert {name: getattr(session, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([("PathPrefix", "/")], "/"),
        ([("PathPrefix", "/a/")], "/a"),
        ([("Exact", "/a/b")], "/a/b"),
        ([("PathPrefix", "/x/../a")], "/a"),
        ([("RegularExpression", "/a.*")], "/"),
        ([("PathPrefix", "/a;b")], "/"),
        ([("PathPrefix", "/a"), ("PathPrefix", "/b")], "/"),
        ([("PathPrefix", "/a"), ("PathPrefix", "/a/")], "/a"),
    ],
)
def test_the_cookies_path(paths: list[tuple[str, str]], expected: str) -> None:
    rule = sticky(matches=[{"path": {"type": type_, "value": value}} for type_, value in paths])
    assert compiled(rule).path == expected
    assert compiled(rule, holds_backend=False).path == "/"
