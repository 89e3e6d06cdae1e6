"""explain() for the golden manifests: it must predict exactly the responses of a running gateway.

tests/e2e sends the same requests over real sockets and expects the same responses (tests/golden/README.md).
"""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

from fastroute.compiler.compile import compile_snapshot
from fastroute.explain.connection import REFUSALS, explain_connection, parse_target
from fastroute.explain.explanation import Explanation, explain
from fastroute.explain.request import parse_url
from fastroute.graph.build import build_graph
from fastroute.settings import GraphSettings
from fastroute.source.directory import Directory

GOLDEN = Path(__file__).parent.parent / "golden"
NAMES = sorted(path.name.removesuffix(".req.yaml") for path in GOLDEN.glob("*.req.yaml"))


class Asked(msgspec.Struct):
    """A request, and how often each answer comes: a status, "refused", or the Service that answers. Header fields are
    tested over real sockets only."""

    path: str
    answers: dict[str | int, int]
    host: str = "gateway.example.com"
    port: int = 80
    method: str = "GET"
    tls: bool = False
    via: str = ""
    pods: int | None = None
    headers: dict[str, str] = {}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_told_is_what_is_answered(name: str) -> None:
    source = Directory([GOLDEN / f"{name}.in.yaml"])
    source.load()
    graph = build_graph(source.store.snapshot(), GraphSettings())
    snapshot = compile_snapshot(graph).snapshot
    for asked in msgspec.yaml.decode((GOLDEN / f"{name}.req.yaml").read_bytes(), type=list[Asked]):
        answered = {who: Fraction(times, sum(asked.answers.values())) for who, times in asked.answers.items()}
        if asked.via:
            target = parse_target(f"{asked.via}://{asked.host}:{asked.port}")
            told = explain_connection(snapshot, graph, target)
            assert parts_of_connections(told, REFUSALS[asked.via]) == answered, asked
            continue
        url = f"{'https' if asked.tls else 'http'}://{asked.host}{asked.path}"
        request, _ = parse_url(asked.method, url, tuple(asked.headers.items()))
        told = explain(snapshot, graph, request, asked.port)
        foretold = parts_foretold(told)
        if 200 in answered:  # responses of backends that cannot be attributed because of a filter; or of gRPC-Web
            foretold = {200: sum(part for who, part in foretold.items() if isinstance(who, str) or request.is_call)}
        assert foretold == answered, asked
        if asked.pods is not None:
            assert told.backends is not None
            assert sum(len(share.endpoints or ()) for share in told.backends) == asked.pods


def parts_foretold(told: Explanation) -> dict[str | int, Fraction]:
    """The share of every answer."""
    if told.reason == "not_listening":
        return {"refused": Fraction(1)}
    if told.decision != "forward":
        assert told.status is not None
        return {told.status: Fraction(1)}
    parts: Counter[str | int] = Counter()
    for share in told.backends or ():
        parts[share.status or share.backend.rpartition(":")[0]] += Fraction(share.fraction)  # type: ignore[assignment]
    return {who: part for who, part in parts.items() if part}  # type: ignore[misc]


def parts_of_connections(told: Explanation, refusal: str) -> dict[str | int, Fraction]:
    """The same for connections and datagrams. `refusal`: of those without a backend."""
    if told.decision != "forward":
        return {"refused" if told.reason == "not_listening" else told.decision: Fraction(1)}
    parts: Counter[str | int] = Counter()
    for share in told.backends or ():
        who = share.backend.rpartition(":")[0] if share.reason is None else refusal
        parts[who] += Fraction(share.fraction)  # type: ignore[assignment]
    return {who: part for who, part in parts.items() if part}  # type: ignore[misc]
