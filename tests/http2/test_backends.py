"""HTTP/2 towards backends: streams of one connection, windows, trailers, ends."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
from h2.settings import SettingCodes
from http2.client import Ask, client
from http2.server import CANCEL, Channel, Link, spoken
from rig import GET, OK, TRANSPORT, Backend, Peer, Rig, answering, backends, connect, quiet, rule, running, soon
from securebackend import secured, showing, tls_to

from fastroute import snapshot
from fastroute.settings import Limits

HTTP2 = snapshot.Backend(protocol="h2")
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
UNFINISHED = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"
LARGE = 1_000_000
NO_ERROR = 0
STREAM_WINDOW = 131_072
GONE = tuple(snapshot.HeaderModifier(direction=one, remove=("X-Gone",)) for one in ("request", "response"))


class Gate:
    """A script that answers when `open` is set."""

    def __init__(self) -> None:
        self.open = trio.Event()
        self.waiting: list[Channel] = []
        self.links: list[Link] = []

    async def __call__(self, peer: Peer) -> None:
        assert isinstance(peer, Channel)
        await peer.request()
        self.waiting.append(peer)
        await self.open.wait()
        await peer.send(OK)


@asynccontextmanager
async def serving(
    script: Callable[[Any], Awaitable[None]], links: list[Link] | None = None, **options: Any
) -> AsyncIterator[tuple[Rig, Backend]]:
    """A rig whose rule has one HTTP/2 backend; `options`: another rule, and those of `spoken` and of `running`."""
    settings, credits = options.pop("settings", None), options.pop("credits", True)
    served = options.pop("rule", rule("b"))
    async with (
        backends(spoken(script, links, settings=settings, credits=credits)) as [backend],
        running(served, log=True, **options) as rig,
    ):
        rig.upstreams.speak("b", HTTP2)
        rig.put("b", backend.port)
        yield rig, backend


async def asked(rig: Rig, request: bytes = GET) -> Peer:
    peer = await connect(rig.port)
    await peer.send(request)
    return peer


async def test_requests_share_a_connection() -> None:
    gate = Gate()
    async with serving(gate, gate.links) as (rig, backend):
        peers = [await asked(rig) for _ in range(20)]
        await soon(lambda: len(gate.waiting) == 20)
        assert backend.connections == 1
        assert rig.counters.fixed()["streams_upstream"] == 20
        statistics = rig.engine.statistics()
        assert (statistics.upstream_active, statistics.upstream_idle) == (1, 0)
        gate.open.set()
        assert [(await peer.response())[0] for peer in peers] == [200] * 20
        await soon(lambda: rig.counters.fixed()["streams_upstream"] == 0)
        fixed = rig.counters.fixed()
        assert (fixed["upstream_active"], fixed["upstream_idle"]) == (0, 1)
        assert gate.links[0].settings[SettingCodes.ENABLE_PUSH] == 0


async def test_trailers_of_http1_and_http2() -> None:
    """Both directions, from and to both protocols. A filter drops one of them, the protocol another one."""
    seen = []

    async def script(peer: Channel) -> None:
        await peer.request()
        seen.append(list(peer.trailers))
        await peer.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nok\r\n0\r\nX-After: 1\r\nX-Gone: 1\r\nHost: x\r\n\r\n"
        )

    async with serving(script, rule=rule("b", filters=GONE)) as (rig, _):
        peer = await asked(
            rig,
            b"POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nab\r\n0\r\nX-Su",
        )
        await quiet()
        await peer.send(b"m: 1\r\nX-Gone: 1\r\nHost: x\r\n\r\n")
        assert b"transfer-encoding: chunked" in (await peer.head()).lower()
        assert await peer.until(b"\r\n\r\n") == b"2\r\nok\r\n0\r\nx-after: 1\r\n\r\n"
        assert seen.pop() == [("x-sum", "1")]
        async with client(rig.port) as session:
            ask = await session.ask("POST", body=b"ab", end=False)
            await ask.finish([("x-sum", "2"), ("x-gone", "1"), ("host", "x")])
            assert (await ask.response())[2] == b"ok"
            assert ask.trailers == [("x-after", "1")]
        assert seen == [[("x-sum", "2")]]


async def test_what_is_sent() -> None:
    found = []

    async def script(peer: Channel) -> None:
        await peer.request()
        found.append(peer.fields)
        await peer.send(OK)

    async with serving(script) as (rig, _):
        peer = await asked(
            rig,
            b"GET /a%2Fb?c HTTP/1.1\r\nHost: A.com\r\nTE: trailers, gzip\r\nConnection: TE, X-Hop\r\nX-Hop: 1\r\n"
            b"Keep-Alive: 1\r\nX-Mixed: Case\r\nUpgrade: foo\r\n\r\n",
        )
        assert (await peer.response())[0] == 200
        [fields] = found
        assert fields[:4] == [(":method", "GET"), (":scheme", "http"), (":authority", "A.com"), (":path", "/a%2Fb?c")]
        names = {name for name, _ in fields[4:]}
        assert names == {"te", "x-mixed", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id"}
        assert ("te", "trailers") in fields
        assert ("x-mixed", "Case") in fields


@pytest.mark.parametrize("sealed", [False, True], ids=["without TLS", "TLS"])
@pytest.mark.parametrize("transport", ["plain", "tls"])
async def test_the_scheme_is_that_of_the_connection_to_the_backend(transport: str, sealed: bool) -> None:
    """Some servers refuse a request whose scheme is not that of its connection. X-Forwarded-Proto has the client's."""
    found = []
    to = tls_to()

    async def script(peer: Channel) -> None:
        await peer.request()
        found.append(dict(peer.fields))
        await peer.send(OK)

    served = spoken(script)
    token = TRANSPORT.set(transport)
    async with (
        backends(*[secured(showing(alpn=("h2",)), served) if sealed else served] * 2) as [backend, copied],
        running(rule("b", filters=[snapshot.Mirror(backend="m")])) as rig,
    ):
        for name, port in (("b", backend.port), ("m", copied.port)):
            rig.upstreams.speak(name, snapshot.Backend(protocol="h2", tls=to.tls if sealed else None))
            rig.put(name, port)
        async with client(rig.port) as session:
            ask = await session.ask()
            assert (await ask.response())[0] == 200
        await soon(lambda: len(found) == 2)
    TRANSPORT.reset(token)
    client_scheme = "https" if transport == "tls" else "http"
    for fields in found:
        assert fields[":scheme"] == ("https" if sealed else "http")
        assert fields["x-forwarded-proto"] == client_scheme


async def test_a_websocket_is_not_possible() -> None:
    async with serving(answering) as (rig, backend):
        peer = await asked(
            rig,
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n",
        )
        assert (await peer.response())[0] == 502
        assert rig.lines()[-1]["reason"] == "upgrade_unsupported"
        assert backend.connections == 0


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_a_client_that_goes_away_cancels_its_stream(request_: bytes) -> None:
    gate = Gate()
    async with serving(gate, gate.links) as (rig, backend):
        gone, stays = await asked(rig, request_), await asked(rig, request_)
        await soon(lambda: len(gate.waiting) == 2)
        await gone.reset()
        await soon(lambda: any(channel.cause is not None for channel in gate.waiting))
        assert [channel.cause for channel in gate.waiting if channel.cause is not None] == [CANCEL]
        gate.open.set()
        assert (await stays.response())[0] == 200
        assert backend.connections == 1


async def test_a_slow_backend_holds_the_upload() -> None:
    """The windows of the backend open as it reads, and what the client sends waits."""
    links: list[Link] = []
    body = bytes(range(256)) * (LARGE // 256)
    go = trio.Event()
    got = []

    async def script(peer: Channel) -> None:
        await peer.head()
        await go.wait()
        got.append(await peer.exactly(len(body)))
        await peer.send(OK)

    async with serving(script, links) as (rig, _):
        peer = await connect(rig.port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                peer.send, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await soon(lambda: bool(links and links[0].channels))
            await quiet()
            channel = links[0].channels[1]
            assert len(channel.arrived) <= 65535
            go.set()
            assert (await peer.response())[0] == 200
        assert got == [body]


@pytest.mark.parametrize("of", ["stream", "connection"])
async def test_the_end_of_an_upload_waits_for_a_window(of: str) -> None:
    """The content fills the window exactly, and its end is sent alone."""
    links: list[Link] = []
    size = 1000 if of == "stream" else 65535
    window = size if of == "stream" else 100_000

    async def script(peer: Channel) -> None:
        await peer.link.until(lambda: peer.ended)
        await peer.send(OK)

    async with serving(script, links, settings={SettingCodes.INITIAL_WINDOW_SIZE: window}, credits=False) as (rig, _):
        peer = await asked(rig, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await peer.send(b"%x\r\n%s\r\n" % (size, bytes(size)))
        await soon(lambda: bool(links) and 1 in links[0].channels and links[0].owed.get(1) == size)
        await peer.send(b"0\r\n\r\n")
        await quiet()
        assert not links[0].channels[1].ended
        links[0].h2.increment_flow_control_window(1, 1 if of == "stream" else None)
        await links[0].flush()
        assert (await peer.response())[0] == 200


async def test_a_slow_client_holds_only_its_own_answer() -> None:
    sent = 0

    async def script(peer: Channel) -> None:
        nonlocal sent
        head, _ = await peer.request()
        if b"/small" in head:
            await peer.send(OK)
            return
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            await peer.send(bytes(16384))
            sent += 16384

    async with serving(script) as (rig, backend), AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(client(rig.port, credits=False)) for _ in range(8)]
        slow = [await session.ask() for session in sessions]
        await soon(lambda: all(one.body for one in slow))
        await quiet()
        # Of each stream the client's window, one read, and the window of the backend's stream.
        assert sent <= 8 * (65535 + 65536 + STREAM_WINDOW + 16384)
        peer = await asked(rig, b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await peer.response())[2] == b"ok"
        assert backend.connections == 1


async def test_a_backend_that_opens_no_window_times_out() -> None:
    async def script(channel: Channel) -> None:
        await channel.link.until(lambda: False)

    limits = Limits(body_idle_timeout=8, min_body_rate=0)
    async with serving(script, credits=False, limits=limits, held=True) as (rig, _):
        peer = await connect(rig.port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send, POST.replace(b": 2", b": 99999") + bytes(99999))
            response, _ = await rig.timed(peer.response, step=0.5)
            nursery.cancel_scope.cancel()
        assert response[0] == 504
        await quiet()
        assert rig.engine.statistics().upstream_idle == 1  # its connection goes on


@pytest.mark.parametrize("code", [NO_ERROR, CANCEL])
@pytest.mark.parametrize("request_", [GET, POST, UNFINISHED], ids=["GET", "POST", "an unfinished POST"])
async def test_an_answer_that_was_complete_before_the_reset_arrives(request_: bytes, code: int) -> None:
    """A backend that needs no more of the request resets its stream (RFC 9113 section 8.1)."""

    async def script(channel: Channel) -> None:
        await channel.head()
        await channel.send(OK)
        await channel.link.raw(b"\0\0\4\3\0" + channel.id.to_bytes(4, "big") + code.to_bytes(4, "big"))

    async with serving(script) as (rig, backend):
        for _ in range(3):
            peer = await asked(rig, request_)
            assert (await peer.response())[2] == b"ok"
        assert backend.connections == 1
        assert [line["reason"] for line in rig.lines()] == [None] * 3


async def test_an_answer_that_is_reset_ends_alone() -> None:
    async def script(channel: Channel) -> None:
        head, _ = await channel.request()
        if b"/half" not in head:
            await channel.send(OK)
            return
        await channel.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await channel.reset()

    async with serving(script) as (rig, backend):
        half = await asked(rig, b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await half.rest()).endswith(b"\r\n\r\nhalf")
        assert (await (await asked(rig)).response())[2] == b"ok"
        assert backend.connections == 1
        assert [line["reason"] for line in rig.lines()] == ["upstream_truncated", None]


async def test_a_client_of_http_1_0_gets_content_without_chunks() -> None:
    async def script(channel: Channel) -> None:
        await channel.request()
        await channel.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX: 1\r\n\r\n"
        )

    async with serving(script) as (rig, _):
        peer = await asked(rig, b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        answer = await peer.rest()
        assert answer.endswith(b"\r\n\r\nabc")
        assert b"transfer-encoding" not in answer.lower()


async def test_streams_on_both_sides() -> None:
    """Large bodies on many streams of one connection, in both directions; afterwards nothing is held for them."""
    body = bytes(range(256)) * 400

    async def echo(channel: Channel) -> None:
        _, received = await channel.request()
        await channel.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(received) + received)

    async with serving(echo) as (rig, backend):
        async with client(rig.port) as session, trio.open_nursery() as nursery:

            async def one(ask: Ask) -> None:
                await ask.send(body, True)
                assert (await ask.response())[2] == body

            for _ in range(8):
                nursery.start_soon(one, await session.ask("POST", end=False))
        assert backend.connections == 1
        await soon(lambda: rig.engine.statistics().exchanges == 0)
        rig.put("b")
        rig.engine.wake()
        await soon(lambda: backend.open == 0)
        await soon(lambda: rig.buffered() < 1000)


@pytest.mark.parametrize("alpn", [("h2",), ("h2", "http/1.1"), ("http/1.1",), ()], ids=str)
async def test_tls_must_lead_to_http2(alpn: tuple[str, ...]) -> None:
    to = tls_to()
    async with (
        backends(secured(showing(alpn=alpn), spoken(answering))) as [backend],
        running(rule("b"), log=True) as rig,
    ):
        rig.upstreams.speak("b", snapshot.Backend(protocol="h2", tls=to.tls))
        rig.put("b", backend.port)
        peer = await asked(rig)
        status = (await peer.response())[0]
        if "h2" in alpn:
            assert status == 200
        else:
            assert status == 502
            assert rig.lines()[-1]["reason"] == "upstream_tls_failed"


async def test_an_answer_without_a_body_that_ends_with_its_head() -> None:
    """HTTP/2 needs no Content-Length for it, and HTTP/1.1 does."""

    async def script(peer: Channel) -> None:
        await peer.request()
        await peer.answer([(":status", "200"), ("x-a", "b")], end=True)

    async with serving(script) as (rig, _):
        peer = await asked(rig)
        status, fields, body = await peer.response()
        assert (status, fields["content-length"], fields["x-a"], body) == (200, "0", "b", b"")
        async with client(rig.port) as session:
            ask = await session.ask()
            status, fields, body = await ask.response()
            assert (status, body) == (200, b"")
            assert "content-length" not in fields
