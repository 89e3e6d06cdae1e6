"""CORS filters on rules that preflight requests cannot match."""

from typing import Any

import pytest
from graph.world import gateway, ref, route

from .judged import fields, found

CORS = {"type": "CORS", "cors": {"allowOrigins": ["https://a.com"]}}


def rule(*matches: dict[str, Any], cors: bool = True) -> dict[str, Any]:
    return {"matches": list(matches), "filters": [CORS] if cors else [], "backendRefs": [ref("s")]}


def header(name: str) -> dict[str, Any]:
    return {"headers": [{"name": name, "value": "x"}]}


@pytest.mark.parametrize(
    ("match", "why"),
    [
        ({"method": "PUT"}, "method PUT"),
        ({"method": "GET"}, "method GET"),
        (header("X-Tenant"), "header X-Tenant"),
        ({**header("X-Tenant"), "method": "OPTIONS"}, "header X-Tenant"),
        ({}, None),
        ({"method": "OPTIONS"}, None),
        (header("Origin"), None),
        (header("Sec-Fetch-Mode"), None),
        ({"queryParams": [{"name": "a", "value": "b"}]}, None),
    ],
)
def test_a_match_that_no_preflight_has(match: dict[str, Any], why: str | None) -> None:
    warnings = found("PreflightNotTaken", gateway(), route("r", "red", rules=[rule(match)]))
    assert [one.field for one in warnings] == (["spec.rules[0].filters[0]"] if why else [])
    assert all(f"matches[0] requires {why}," in one.message for one in warnings)
    assert fields("PreflightNotTaken", gateway(), route("r", "red", rules=[rule(match, cors=False)])) == []


def test_a_filter_of_a_backend() -> None:
    backend = {"matches": [{"method": "PUT"}], "backendRefs": [{**ref("s"), "filters": [CORS]}]}
    assert fields("PreflightNotTaken", gateway(), route("r", "red", rules=[backend])) == [
        ("red/r", "spec.rules[0].backendRefs[0].filters[0]")
    ]


PUT = {"method": "PUT", "path": {"value": "/a/b"}}


@pytest.mark.parametrize(
    ("other", "helps"),
    [
        (rule({"method": "OPTIONS", "path": {"value": "/a/b"}}), True),
        (rule({"path": {"value": "/a"}}), True),
        (rule({}), True),
        (rule(), True),
        (rule({"path": {"value": "/a.*", "type": "RegularExpression"}}), True),
        (rule({"method": "OPTIONS", "path": {"value": "/a/b"}}, cors=False), False),
        (rule({"method": "OPTIONS", "path": {"value": "/a/b", "type": "Exact"}}), False),
        (rule({"method": "OPTIONS", "path": {"value": "/a/c"}}), False),
        (rule({"method": "OPTIONS", "path": {"value": "/a/bc"}}), False),
        (rule({"method": "OPTIONS", "queryParams": [{"name": "a", "value": "b"}]}), False),
    ],
)
def test_another_match_that_takes_the_preflights(other: dict[str, Any], helps: bool) -> None:
    expected = [] if helps else [("red/r", "spec.rules[0].filters[0]")]
    assert fields("PreflightNotTaken", gateway(), route("r", "red", rules=[rule(PUT), other])) == expected
    apart = (route("r", "red", rules=[rule(PUT)], hostnames=["a.com"]), route("o", "red", rules=[other]))
    assert fields("PreflightNotTaken", gateway(), *apart) == expected
    other_host = route("o", "red", rules=[other], hostnames=["b.com"])
    assert fields("PreflightNotTaken", gateway(), apart[0], other_host) == [("red/r", "spec.rules[0].filters[0]")]


def test_a_route_with_a_path_that_no_request_can_have() -> None:
    lost = route("o", "red", rules=[rule({"path": {"value": "/../.."}})])
    assert fields("PreflightNotTaken", gateway(), route("r", "red", rules=[rule(PUT)]), lost) == [
        ("red/r", "spec.rules[0].filters[0]")
    ]
