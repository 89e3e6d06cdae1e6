"""The whole path of a request, compared with explain: parse, match, filter, forward, respond.

Generated rules and requests pass through a real Engine over real sockets to a backend that records what it gets. What
arrives there and what the client gets must be the result of the Python matcher and the Python filters.
"""

from collections.abc import Sequence

import msgspec
import trio
from filterings import Fields, fields, joined, modifiers, redirects, rewrites
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import Peer, running
from snapshots import METHODS, a_match, a_rule, prefixes, rules

from fastroute.explain.filtering import Redirected, filter_request, filter_response
from fastroute.explain.matching import find_rule
from fastroute.explain.request import Request, normalise_path
from fastroute.place import Place, Transport
from fastroute.snapshot import Filter, Listener, PathMatch, Rule, Snapshot, WeightedBackend

LISTENER = Listener(
    id="listener",
    gateway="infra/gateway",
    name="http",
    place=Place(Transport.TCP, "127.0.0.1", 1),
    spec_port=80,
    hostname="",
)
ANSWER = (("X-A", "backend"), ("x-b", "1"), ("X-B", "2"), ("Content-Length", "2"))
OURS = ("host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id")

SEGMENTS = st.sampled_from(("a", "b", "ab", "%61", "", "%2f", "a/.", "b/..", "ab/%2e%2E", "b/../..", "c%20d"))
RAW_PATHS = st.lists(SEGMENTS, min_size=1, max_size=4).map(lambda parts: "".join(f"/{part}" for part in parts))
AUTHORITIES = st.sampled_from(
    ("example.com", "A.example.com:8080", "b.a.example.com", "x.org.", "127.0.0.1", "[::1]:81")
)


class Asked(msgspec.Struct, frozen=True):
    """A request as it is sent, before its path is normalised."""

    method: str
    path: str
    query: str | None
    authority: str
    fields: Fields

    def head(self) -> bytes:
        query = "" if self.query is None else f"?{self.query}"
        lines = [f"{self.method} {self.path}{query} HTTP/1.1", f"Host: {self.authority}"]
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in self.fields), "", ""]).encode()

    def plain(self) -> Request | None:
        """The request as explain gets it; None if it is refused."""
        try:
            path = normalise_path(self.path)
        except ValueError:
            return None
        return Request(
            method=self.method,
            scheme="http",
            authority=self.authority,
            path=path,
            query=self.query,
            headers=(("Host", self.authority), *self.fields),
        )


asked = st.builds(
    Asked,
    st.sampled_from(METHODS),
    RAW_PATHS,
    st.sampled_from((None, "", "one=1", "two=2&one=", "a.b")),
    AUTHORITIES,
    fields.map(lambda drawn: [*drawn, *(("X-One", value) for _, value in drawn[:2])]),
)
OUTCOMES = ("forward", "forward", "forward", "rewrite", "rewrite", "redirect", "refused", "none")
header_filters = st.lists(modifiers("request") | modifiers("response"), max_size=2)


def broad_rules(route: str) -> st.SearchStrategy[Rule]:
    """Rules for every host, with only a path match."""
    found = prefixes.map(lambda path: a_match(PathMatch("PathPrefix", path), order=(0, route, 0, 0)))
    return found.map(lambda match: a_rule(route, match, listener="listener"))


@st.composite
def served_rules(draw: st.DrawFn) -> list[Rule]:
    """Rules with filters at both levels; each one responds itself, refuses, or forwards to "b"."""
    drawn = []
    for number in range(draw(st.integers(1, 5))):
        last = draw(st.sampled_from(OUTCOMES))
        chain: list[Filter] = list(draw(header_filters))
        if last in ("rewrite", "redirect"):
            chain.append(draw(rewrites if last == "rewrite" else redirects))
        backend = WeightedBackend(weight=3, backend="b", filters=tuple(draw(header_filters)))
        if last == "refused":
            backend = WeightedBackend(weight=1, backend="b", status=500, reason="reference_refused")
        route = f"ns/route{number}"
        rule = draw(st.one_of(rules("listener", route), broad_rules(route), broad_rules(route)))
        backends = () if last == "none" else (backend,)
        drawn.append(msgspec.structs.replace(rule, filters=tuple(chain), backends=backends))
    return drawn


class Expected(msgspec.Struct, frozen=True):
    """What the client gets, and what the backend gets if the request is forwarded."""

    status: int
    location: str | None = None
    fields: dict[str, str] | None = None  # of the response after filters; of a local response only what filters add
    line: str | None = None  # the request line that the backend receives
    host: str | None = None
    forwarded: dict[str, str] | None = None


def expected(served: Sequence[Rule], request: Request | None) -> Expected:
    if request is None:
        return Expected(400, fields={})
    snapshot = Snapshot(listeners={LISTENER.id: LISTENER}, rules={rule.id: rule for rule in served})
    found = find_rule(snapshot, LISTENER, request)
    if found is None:
        return Expected(404, fields={})
    prefix = len(found.match.path.value) if found.match.path.type == "PathPrefix" else 0
    by_rule = filter_request(found.rule.filters, request, prefix, LISTENER.spec_port)
    own = joined(filter_response(found.rule.filters, ()))
    if isinstance(by_rule, Redirected):
        return Expected(by_rule.status, by_rule.location, own)
    if not found.rule.backends or found.rule.backends[0].status:
        return Expected(500, fields=own)
    backend = found.rule.backends[0]
    sent = filter_request(backend.filters, by_rule, prefix, LISTENER.spec_port)
    assert isinstance(sent, Request)
    query = "" if sent.query is None else f"?{sent.query}"
    return Expected(
        200,
        fields=joined(filter_response((*found.rule.filters, *backend.filters), ANSWER)),
        line=f"{sent.method} {sent.path}{query} HTTP/1.1",
        host=sent.authority,
        forwarded={name: value for name, value in joined(sent.headers).items() if name not in OURS},
    )


def split_head(head: bytes) -> tuple[str, dict[str, str]]:
    line, *lines = head.decode("latin-1").split("\r\n")[:-2]
    return line, joined([(name, value) for name, _, value in (text.partition(": ") for text in lines)])


async def ask(port: int, request: Asked, seen: list[bytes]) -> Expected:
    """What the engine does, in the same form."""
    seen.clear()
    client = Peer(await trio.open_tcp_stream("127.0.0.1", port))
    async with client.stream:
        await client.send(request.head())
        line, answer = split_head(await client.until(b"\r\n\r\n"))
    status = int(line.split(" ")[1])
    assert answer.pop("date")
    if not seen:
        location = answer.pop("location", None)
        own = {"content-type", "content-length", "connection"}
        return Expected(status, location, {name: value for name, value in answer.items() if name not in own})
    arrived, fields_ = split_head(seen[0])
    assert fields_["x-forwarded-for"] == "127.0.0.1"
    assert fields_["x-forwarded-host"] == request.authority
    assert len(fields_["x-request-id"]) == 36
    return Expected(
        status,
        fields=answer,
        line=arrived,
        host=fields_["host"],
        forwarded={name: value for name, value in fields_.items() if name not in OURS},
    )


async def answer_all(seen: list[bytes], stream: trio.SocketStream) -> None:
    """The backend: records every head, and sends the same response to all requests."""
    backend = Peer(stream)
    head = "".join(f"{name}: {value}\r\n" for name, value in ANSWER)
    async with stream:
        try:
            while True:
                seen.append(await backend.until(b"\r\n\r\n"))
                await backend.send(f"HTTP/1.1 200 OK\r\n{head}\r\nok".encode())
        except (EOFError, trio.BrokenResourceError):
            pass


async def play(served: Sequence[Rule], requests: Sequence[Asked]) -> None:
    seen: list[bytes] = []
    async with trio.open_nursery() as nursery:
        [listening] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, lambda stream: answer_all(seen, stream), [listening])
        async with running(*served) as rig:
            rig.put("b", listening.socket.getsockname()[1])
            for request in requests:
                assert await ask(rig.port, request, seen) == expected(served, request.plain())
        nursery.cancel_scope.cancel()


@settings(max_examples=80, deadline=None)
@given(served_rules(), st.lists(asked, min_size=1, max_size=6))
def test_bytes_come_out_as_explain_says(served: list[Rule], requests: list[Asked]) -> None:
    trio.run(play, served, requests)
