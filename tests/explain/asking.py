"""The explanation of a request, for given manifests."""

from worlds import graph_of

from fastroute.compiler.compile import compile_snapshot
from fastroute.explain.explanation import Explanation, explain
from fastroute.explain.request import parse_url
from fastroute.settings import GraphSettings


def ask(
    url: str,
    *manifests: str,
    method: str = "GET",
    headers: tuple[tuple[str, str], ...] = (),
    gateways: tuple[str, ...] = (),
    settings: GraphSettings | None = None,
) -> Explanation:
    graph = graph_of(*manifests, settings=settings)
    request, port = parse_url(method, url, headers)
    return explain(compile_snapshot(graph).snapshot, graph, request, port, gateways)
