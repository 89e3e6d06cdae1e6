"""Matches and hostnames that do not match what the author expects."""

from typing import Any

import pytest
import yaml
from graph.world import gateway, listener, ref, route

from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.tlsroute import TLSRoute

from .judged import fields, found


def matched(match: dict[str, Any]) -> Any:
    return route("r", "red", rules=[{"matches": [match], "backendRefs": [ref("s")]}])


@pytest.mark.parametrize(
    ("path", "field", "fix"),
    [
        ({"value": "/api/*"}, "value", {"value": "/api"}),
        ({"value": "/api/**"}, "value", {"value": "/api"}),
        ({"value": "/*"}, "value", {"value": "/"}),
        ({"value": "/api/*", "type": "Exact"}, None, {"path": {"type": "PathPrefix", "value": "/api"}}),
        ({"value": "/a/*/b"}, "value", None),
        ({"value": "/a/*/b", "type": "Exact"}, "value", None),
        ({"value": "/api*"}, "value", None),
    ],
)
def test_a_literal_asterisk(path: dict[str, str], field: str | None, fix: object) -> None:
    [warning] = found("LiteralAsterisk", gateway(), matched({"path": path}))
    at = "spec.rules[0].matches[0].path"
    assert warning.field == (f"{at}.{field}" if field else at)
    assert (yaml.safe_load(warning.fix) if warning.fix else None) == fix
    if fix and warning.fix:
        mended = yaml.safe_load(warning.fix)
        better = mended["path"] if field is None else {**path, **mended}
        assert found("LiteralAsterisk", gateway(), matched({"path": better})) == []


@pytest.mark.parametrize(
    "path", [{"value": "/api"}, {"value": "/a*b"}, {"value": "/a/.*", "type": "RegularExpression"}]
)
def test_paths_without_a_wildcard_of_other_systems(path: dict[str, str]) -> None:
    assert found("LiteralAsterisk", gateway(), matched({"path": path})) == []


@pytest.mark.parametrize(
    ("query", "part", "sent"),
    [
        ({"name": "city", "value": "San José"}, "value", "San%20Jos%C3%A9"),
        ({"name": "city", "value": "%c3%a9"}, "value", "%C3%A9"),
        ({"name": "city", "value": "a&b"}, "value", "a%26b"),
        ({"name": "city", "value": 'a"b<c>#'}, "value", "a%22b%3Cc%3E%23"),
        ({"name": "ciudad-é", "value": "x"}, "name", "ciudad-%C3%A9"),
        ({"name": "a=b", "value": "x"}, "name", "a%3Db"),
    ],
)
def test_a_query_that_no_client_sends(query: dict[str, str], part: str, sent: str) -> None:
    [warning] = found("QueryNotSent", gateway(), matched({"queryParams": [query]}))
    assert warning.field == f"spec.rules[0].matches[0].queryParams[0].{part}"
    assert yaml.safe_load(warning.fix or "") == {part: sent}
    assert found("QueryNotSent", gateway(), matched({"queryParams": [{**query, part: sent}]})) == []


@pytest.mark.parametrize(
    "query",
    [
        {"name": "city", "value": "San+Jos%C3%A9"},
        {"name": "a", "value": "a=b/c?d:e@f;g,h!$'()*|{}[]^`\\~"},
        {"name": "a", "value": "é+", "type": "RegularExpression"},
        {"name": "a", "value": "100%"},
    ],
)
def test_a_query_as_clients_send_it(query: dict[str, str]) -> None:
    assert found("QueryNotSent", gateway(), matched({"queryParams": [query]})) == []


@pytest.mark.parametrize("protocol", ["TLS", "HTTP"])
def test_a_hostname_that_another_listener_takes(protocol: str) -> None:
    """A route of TLS gets connections, no requests."""
    type_, words = (TLSRoute, "Connections") if protocol == "TLS" else (HTTPRoute, "Requests")
    tls = {"tls": {"mode": "Passthrough"}} if protocol == "TLS" else {}
    listeners = [listener("any", 443, protocol, **tls), listener("a", 443, protocol, hostname="a.x", **tls)]
    parents = [{"namespace": "infra", "name": "gw", "sectionName": "any"}]
    made = route("r", "red", ref("s"), type_=type_, hostnames=["a.x", "b.x"], parents=parents)
    [warning] = found("HostnameUnused", gateway("gw", "infra", *listeners), made)
    assert warning.field == "spec.hostnames[0]"
    assert warning.message.startswith(f"{words} for a.x go to listener a of Gateway infra/gw")


def test_a_hostname_of_tls_that_no_listener_accepts() -> None:
    listeners = [listener("a", 443, "TLS", hostname="a.x", tls={"mode": "Passthrough"})]
    made = route("r", "red", ref("s"), type_=TLSRoute, hostnames=["a.x", "b.x"])
    [warning] = found("HostnameUnused", gateway("gw", "infra", *listeners), made)
    assert warning.message.endswith("accepts b.x: the route gets no connections for it.")


def test_an_address_as_hostname() -> None:
    given = gateway("gw", "infra", listener(), listener("b", 81, hostname="10.0.0.1"))
    attached = route("r", "red", hostnames=["a.com", "10.0.0.2", "10.0.0.3.com"])
    assert fields("HostnameIsAddress", given, attached) == [
        ("red/r", "spec.hostnames[1]"),
        ("infra/gw", "spec.listeners[1].hostname"),
    ]


@pytest.mark.parametrize(("name", "warned"), [("Connection", True), ("TE", True), ("Upgrade", False), ("X-A", False)])
def test_a_header_that_is_not_forwarded(name: str, warned: bool) -> None:
    match = {"headers": [{"name": "x-other", "value": "1"}, {"name": name, "value": "1"}]}
    expected = ["spec.rules[0].matches[0].headers[1].name"] if warned else []
    assert [one.field for one in found("HeaderNotForwarded", gateway(), matched(match))] == expected
