"""explain() names listeners that verify the certificates of clients."""

from pathlib import Path

import msgspec
import pytest

from fastroute.compiler.compile import compile_snapshot
from fastroute.explain.explanation import explain
from fastroute.explain.request import parse_url
from fastroute.graph.build import build_graph
from fastroute.pages import CLIENT_CERTIFICATE, explain_page
from fastroute.settings import GraphSettings
from fastroute.source.directory import Directory
from fastroute.text import Table

MANIFESTS = Path(__file__).parent.parent / "golden" / "client-certificates.in.yaml"


@pytest.mark.parametrize(
    ("url", "port", "expected"),
    [
        ("https://a.example.com/", 443, "required"),
        ("https://a.example.com/", 8006, "required"),
        ("https://a.example.com/", 8007, "required"),
        ("https://a.example.com/", 8008, "optional"),
        ("https://team.example.com/", 8008, "optional"),  # 404: no rule
        ("https://a.example.com/", 8080, None),
        ("http://a.example.com/", 80, None),
        ("https://a.example.com/", 8001, None),  # not served
    ],
)
def test_what_a_listener_asks_of_clients(url: str, port: int, expected: str | None) -> None:
    source = Directory([MANIFESTS])
    source.load()
    graph = build_graph(source.store.snapshot(), GraphSettings())
    request, _ = parse_url("GET", url)
    told = explain(compile_snapshot(graph).snapshot, graph, request, port)
    assert told.client_certificate == (expected or msgspec.UNSET)
    blocks = [block for block in explain_page(request, told) if isinstance(block, Table)]
    rows = [row for block in blocks for row in block.rows if row[0] == "client certificate"]
    assert rows == ([("client certificate", CLIENT_CERTIFICATE[expected])] if expected else [])
