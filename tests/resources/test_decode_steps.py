"""Decoding can pause often: the work between two pauses does not depend on the size of the document."""

import sys
from typing import Any

import pytest

from fastroute.resources.decode import decode

GROUP = "gateway.networking.k8s.io"
HEADERS = ", ".join(f"{{name: h{number}, value: v}}" for number in range(16))
MATCH = f"{{headers: [{HEADERS}], queryParams: [{HEADERS}], path: {{value: /}}}}"
ONES = ", ".join(["1"] * 500)
LABELS = ", ".join(f"k{number}: v" for number in range(5000))
MOST_CALLS = 2_000  # of functions between two pauses; about one millisecond


def document(kind: str, spec: str, version: str = f"{GROUP}/v1") -> str:
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{namespace: a, name: b}}\n{spec}"


def rules(number: int, matches: str) -> str:
    return document("HTTPRoute", f"spec: {{rules: [{', '.join([f'{{matches: [{matches}]}}'] * number)}]}}")


def repeated(item: str, number: int) -> str:
    return ", ".join([item] * number)


CASES = {
    "valid": rules(16, repeated(MATCH, 4)),
    "too many rules": rules(60, repeated(MATCH, 4)),
    "too many matches": rules(16, repeated(MATCH, 16)),
    "faults": rules(16, repeated("{headers: [{name: 1}, {value: 2}]}", 60)),
    "faults of a list": document("Service", f"spec: {{ports: [{repeated('{port: x}', 3000)}]}}", "v1"),
    "unknown fields": rules(16, repeated("{head: 1, path: {valeu: 2}}", 60)),
    "a wrong value": document("Service", f"spec: {{ports: {{a: [{repeated('1', 5000)}]}}}}", "v1"),
    "a kind that was probably meant": document("Servce", f"spec: {{ports: [{repeated('{port: 1}', 3000)}]}}", "v1"),
    "a key that is no scalar": document(
        "Gateway",
        f"spec: {{gatewayClassName: x, listeners: [{repeated(f'{{name: [{ONES}]}}', 60)}]}}",
    ),
    "endpoints": document(
        "EndpointSlice",
        f"addressType: IPv4\nendpoints: [{repeated('{addresses: [10.0.0.1]}', 3000)}]",
        "discovery.k8s.io/v1",
    ),
    "text": document("Secret", f"stringData: {{{', '.join(f'k{number}: v' for number in range(5000))}}}", "v1"),
    "data": document("Secret", f"data: {{{', '.join(f'k{number}: AAAA' for number in range(5000))}}}", "v1"),
    "options": document(
        "Gateway",
        f"spec: {{gatewayClassName: x, addresses: [], infrastructure: {{labels: {{{LABELS}}}}}, listeners: []}}",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_work_between_two_pauses_is_limited(case: str) -> None:
    calls, most = 0, 0

    def pause() -> None:
        nonlocal calls, most
        most = max(most, calls)
        calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    text = CASES[case]
    decode(text, "x.yaml")  # compiles regular expressions
    sys.setprofile(count)
    try:
        decode(text, "x.yaml", pause=pause)
    finally:
        sys.setprofile(None)
    pause()
    assert most < MOST_CALLS
