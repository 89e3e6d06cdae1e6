"""Header modifiers: the fields that a route must not change."""

from typing import Any

import pytest
from graph.world import gateway, route, world

from fastroute.ext.message.fieldname import CLAIM_PREFIXES, CLAIMS
from fastroute.graph.build import build_graph
from fastroute.graph.header import STATED_FIELDS, STATED_PREFIX
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings


def messages(rule: dict[str, Any]) -> list[str]:
    """Why the route is refused."""
    graph = build_graph(world(gateway(), route("r", "infra", rules=[rule])), GraphSettings())
    problems = graph.routes["HTTPRoute", Key("infra", "r")].problems
    assert {problem.reason for problem in problems} <= {"UnsupportedValue"}
    return [problem.message for problem in problems]


def modifying(direction: str, action: str, name: str) -> dict[str, Any]:
    value = name if action == "remove" else {"name": name, "value": "192.0.2.1"}
    field = f"{direction}HeaderModifier"
    return {"filters": [{"type": field[0].upper() + field[1:], field: {action: [value]}}]}


@pytest.mark.parametrize("name", ["content_length", "TRANSFER_encoding", "transfer-encoding", "keep_alive"])
@pytest.mark.parametrize("action", ["set", "add", "remove"])
@pytest.mark.parametrize("direction", ["request", "response"])
def test_framing_is_not_for_routes(name: str, action: str, direction: str) -> None:
    [message] = messages(modifying(direction, action, name))
    assert f"{name} frames the message or the connection" in message


def test_a_session_is_not_in_a_framing_field() -> None:
    [message] = messages({"sessionPersistence": {"sessionName": "content_length", "type": "Header"}})
    assert "content_length has another meaning" in message


STATED = ("X-Forwarded-For", "x_forwarded_for", "Forwarded", "X-Real-IP", "X-SSL-Client-Dn", "x_ssl-client_s", "Proxy")


@pytest.mark.parametrize("name", STATED)
def test_a_route_does_not_state_who_the_client_is(name: str) -> None:
    for action in ("set", "add"):
        [message] = messages(modifying("request", action, name))
        assert f"{name} states something about the client" in message
        assert messages(modifying("response", action, name)) == []
    assert messages(modifying("request", "remove", name)) == []


@pytest.mark.parametrize("name", ["X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Request-ID"])
def test_a_route_may_state_how_it_is_reached(name: str) -> None:
    assert messages(modifying("request", "set", name)) == []


def test_what_a_route_must_not_state_is_not_accepted_from_clients_either() -> None:
    removed = {*CLAIMS, b"x-forwarded-for", b"x-forwarded-client-cert", b"proxy"}
    assert {name.encode() for name in STATED_FIELDS} <= removed
    assert STATED_PREFIX.encode() in CLAIM_PREFIXES
