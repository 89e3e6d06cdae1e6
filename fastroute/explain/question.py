"""A question for `explain`: a request, or a connection or datagram, as text of the user."""

from collections.abc import Collection, Iterable

import msgspec

from fastroute.errors import SettingError
from fastroute.explain.connection import Target, explain_connection, is_target, parse_target
from fastroute.explain.explanation import Explanation, explain
from fastroute.explain.request import Request, parse_url
from fastroute.graph.node import Graph
from fastroute.secrecy import shown_query, shown_url
from fastroute.snapshot import Snapshot


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Either `target` or `request`."""

    target: Target | None = None
    request: Request | None = None
    port: int | None = None  # of the request

    @property
    def shown(self) -> str:
        if self.target is not None:
            return self.target.shown
        assert self.request is not None
        query = "" if self.request.query is None else f"?{shown_query(self.request.query)}"
        return f"{self.request.method} {self.request.scheme}://{self.request.authority}{self.request.path}{query}"

    def answer(self, snapshot: Snapshot, graph: Graph, gateways: Collection[str] = ()) -> Explanation:
        """For all Gateways, or only for `gateways` ("ns/name")."""
        if self.target is not None:
            return explain_connection(snapshot, graph, self.target, gateways)
        assert self.request is not None
        return explain(snapshot, graph, self.request, self.port, gateways)


def parse_question(method: str | None, url: str, headers: Iterable[tuple[str, str]]) -> Question:
    """`method`: None for a URL of tcp, tls or udp. Raises SettingError."""
    fields = tuple(headers)
    if is_target(url):
        if method is not None:
            raise SettingError(f"{shown_url(url)} has no method: only a URL of http or https has one")
        if fields:
            raise SettingError("only a request has header fields")
        return Question(target=parse_target(url))
    if not method:
        raise SettingError("a method is missing: only a URL of tcp, tls or udp has none")
    request, port = parse_url(method.upper(), url, fields)
    return Question(request=request, port=port)
