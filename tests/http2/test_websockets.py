"""WebSockets over HTTP/2 (RFC 8441) to HTTP/1.1 backends: frames by wsproto at both ends, refusals, ends, limits."""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable

import h2.settings
import pytest
import trio
import wsproto.events
from http2.client import AUTHORITY, Ask, Fields, Session, client
from msgspec.structs import replace
from peer import Peer
from rig import OK, TRANSPORT, Rig, Script, backends, quiet, rule, running, soon
from wsproto.connection import Connection, ConnectionType
from wsproto.extensions import PerMessageDeflate

from fastroute.settings import Limits
from fastroute.snapshot import Backend, ValueMatch

pytestmark = pytest.mark.usefixtures("transport")

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MUCH = 4_000_000


def head(protocol: str | None = "websocket", more: Fields = ()) -> list[tuple[str, str]]:
    scheme = "http" if TRANSPORT.get() == "plain" else "https"
    asked = [(":protocol", protocol)] if protocol is not None else []
    where = [(":scheme", scheme), (":path", "/chat?a=b"), (":authority", AUTHORITY)] if asked else []
    return [(":method", "CONNECT"), *asked, *(where or [(":authority", AUTHORITY)]), *more]


def accepting(request: bytes) -> bytes:
    [key] = re.findall(rb"\r\nsec-websocket-key: (.*)\r\n", request, re.IGNORECASE)
    assert len(base64.b64decode(key)) == 16
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-A: 1\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def switching(then: Callable[[Peer], Awaitable[None]], heads: list[bytes] | None = None) -> Script:
    """A script that accepts the WebSocket, and goes on with `then`."""

    async def script(peer: Peer) -> None:
        request = await peer.head()
        if heads is not None:
            heads.append(request)
        await peer.send(accepting(request))
        await then(peer)

    return script


async def echo(peer: Peer) -> None:
    while True:
        data, peer.buffer = peer.buffer, b""
        if data:
            await peer.send(data)
        elif not await peer.more():
            return


async def silence(peer: Peer) -> None:
    await peer.rest()


async def opened(session: Session, more: Fields = ()) -> Ask:
    ask = await session.ask_with(head(more=more), end=False)
    assert await ask.answered() == 200
    return ask


async def received(ask: Ask, size: int) -> bytes:
    await ask.session.until(lambda: len(ask.body) >= size or ask.over)
    return ask.body


async def gone(rig: Rig) -> None:
    await soon(lambda: not rig.engine.statistics().exchanges and not rig.engine.statistics().upstream_active)


async def test_messages_of_websockets() -> None:
    async def server(peer: Peer) -> None:
        socket = wsproto.WSConnection(ConnectionType.SERVER)
        while True:
            if peer.buffer:
                data, peer.buffer = peer.buffer, b""
                socket.receive_data(data)
            elif not await peer.more():
                return
            for event in socket.events():
                match event:
                    case wsproto.events.Request():
                        reply = wsproto.events.AcceptConnection(subprotocol="chat", extensions=[PerMessageDeflate()])
                    case wsproto.events.TextMessage():
                        reply = wsproto.events.TextMessage(event.data.upper(), message_finished=event.message_finished)
                    case wsproto.events.Ping() | wsproto.events.CloseConnection():
                        reply = event.response()
                    case _:
                        continue
                await peer.send(socket.send(reply))

    offered = PerMessageDeflate()
    fields = [
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-extensions", f"permessage-deflate; {offered.offer()}"),
    ]
    async with backends(server) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await opened(session, fields)
            answer = dict(ask.fields)
            assert answer["sec-websocket-protocol"] == "chat"
            assert answer.keys().isdisjoint({"sec-websocket-accept", "upgrade", "connection", "content-length"})
            offered.finalize(answer["sec-websocket-extensions"])
            socket = Connection(ConnectionType.CLIENT, [offered])
            taken = 0
            for text in ("hello", "x" * 100_000, "the end"):
                await ask.send(socket.send(wsproto.events.TextMessage(text)))
                said = ""
                while len(said) < len(text):
                    await received(ask, taken + 1)
                    socket.receive_data(ask.body[taken:])
                    taken = len(ask.body)
                    said += "".join(e.data for e in socket.events() if isinstance(e, wsproto.events.TextMessage))
                assert said == text.upper()
            await ask.send(socket.send(wsproto.events.CloseConnection(1000)), end=True)
            await session.until(lambda: ask.over)
            assert ask.reset is None
        await gone(rig)
        [line] = rig.lines()
        assert (line["method"], line["status"], line["reason"], line["protocol"]) == ("GET", 200, None, "HTTP/2")
        assert rig.counters.request_counts(1) == {200: 1}


async def test_the_backend_gets_an_upgrade_with_a_key_of_the_gateway() -> None:
    heads: list[bytes] = []
    asked = [("sec-websocket-key", "mine"), ("sec-websocket-version", "13"), ("content-length", "5")]
    async with backends(switching(echo, heads)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            for _ in range(2):
                ask = await opened(session, asked[:2])
                await ask.cancel()
    assert heads[0].startswith(b"GET /chat?a=b HTTP/1.1\r\nHost: a\r\n")
    assert heads[0].count(b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n") == 1
    assert b"mine" not in heads[0]
    assert b"Transfer-Encoding" not in heads[0]
    assert accepting(heads[0]) != accepting(heads[1])


async def test_rules_see_an_upgrade() -> None:
    only = replace(rule("b").matches[0], method="GET", headers=(ValueMatch("upgrade", "websocket"),))
    async with backends(switching(echo)) as [backend], running(replace(rule("b"), matches=(only,))) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            await opened(session)
            assert (await (await session.ask()).response())[0] == 404


@pytest.mark.parametrize("protocol", [None, "", "websocket2", "connect-udp"])
async def test_other_protocols_are_not_served(protocol: str | None) -> None:
    async with running(rule("b"), log=True) as rig:
        async with client(rig.port) as session:
            ask = await session.ask_with(head(protocol), end=False)
            await ask.response()
            assert (ask.status, ask.reset) in ((501, 0), (0, 1))  # the library refuses an empty value
            assert session.settings[8] == 1  # SETTINGS_ENABLE_CONNECT_PROTOCOL
        assert [line["reason"] for line in rig.lines()] in (["connect_unsupported"], ["http2_malformed"])


def wrongly(answer: bytes) -> bytes:
    return re.sub(rb"(Accept: )....", rb"\1AAAA", answer)


ANSWERS: dict[str, tuple[Callable[[bytes], bytes], int]] = {
    "another key accepted": (lambda head: wrongly(accepting(head)), 502),
    "no key accepted": (lambda head: accepting(head).replace(b"Sec-WebSocket-Accept", b"X-B"), 502),
    "the key accepted twice": (lambda head: accepting(head).replace(b"X-A: 1", b"Sec-WebSocket-Accept: x"), 502),
    "another protocol": (lambda head: accepting(head).replace(b"Upgrade: websocket", b"Upgrade: chat"), 502),
    "an ordinary answer": (lambda head: OK, 502),
    "a refusal": (lambda head: b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403),
    "a redirect": (lambda head: b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 302),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_backend_that_does_not_accept(name: str) -> None:
    answer, status = ANSWERS[name]

    async def script(peer: Peer) -> None:
        await peer.send(answer(await peer.head()))
        await peer.rest()

    async with backends(script) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask_with(head(), end=False)
            assert (await ask.response())[0] == status
            await session.until(lambda: ask.reset is not None)  # the client has not ended the stream
        await gone(rig)
        assert rig.lines()[0]["reason"] == ("upstream_malformed" if status == 502 else None)


async def test_a_backend_that_speaks_http2() -> None:
    async with backends(silence) as [backend], running(rule("b"), log=True) as rig:
        rig.upstreams.speak("b", Backend(protocol="h2"))
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            assert (await (await session.ask_with(head(), end=False)).response())[0] == 502
            assert backend.connections == 0
        assert [line["reason"] for line in rig.lines()] == ["upgrade_unsupported"]


async def test_what_comes_before_the_answer_goes_through() -> None:
    release = trio.Event()

    async def late(peer: Peer) -> None:
        request = await peer.head()
        await release.wait()
        await peer.send(accepting(request) + b"first ")
        await echo(peer)

    async with backends(late) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask_with(head(), end=False)
            await ask.send(b"early")
            await quiet()
            release.set()
            assert await received(ask, 11) == b"first early"


async def test_the_end_of_the_client_reaches_the_backend() -> None:
    async def counting(peer: Peer) -> None:
        await peer.send(b"%d" % len(await peer.rest()))

    async with backends(switching(counting)) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await opened(session)
            await ask.send(bytes(300_000), end=True)
            assert (await ask.response())[2] == b"300000"
            assert (ask.ended, ask.reset) == (True, None)
        await gone(rig)
        assert [(line["status"], line["reason"]) for line in rig.lines()] == [(200, None)]


async def test_a_reset_of_the_client_closes_towards_the_backend() -> None:
    ended = trio.Event()

    async def waiting(peer: Peer) -> None:
        try:
            await peer.rest()
        finally:
            ended.set()

    async with backends(switching(waiting)) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await opened(session)
            await ask.cancel()
            with trio.fail_after(60):
                await ended.wait()
            await gone(rig)
            assert [line["reason"] for line in rig.lines()] == ["client_closed"]


async def test_the_end_of_the_backend_reaches_the_client() -> None:
    rest: list[bytes] = []

    async def parting(peer: Peer) -> None:
        await peer.send(b"bye")
        await peer.end_of_writing()
        rest.append(await peer.rest())

    async with backends(switching(parting)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await opened(session)
            await session.until(lambda: ask.ended)
            assert ask.body == b"bye"
            session.link.send_data(ask.id, b"and you", end_stream=True)  # the other direction is still open
            await session.flush()
            await gone(rig)
            await soon(lambda: rest == [b"and you"])


async def test_an_idle_tunnel_ends() -> None:
    limits = Limits(tunnel_idle_timeout=30.0)
    async with backends(switching(silence)) as [backend], running(rule("b"), limits=limits, held=True, log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await opened(session)
            await rig.passes(20)
            await ask.send(b"x")
            await rig.passes(20)
            assert not ask.over
            await rig.passes(11)
            await session.until(lambda: ask.over)
            assert [line["reason"] for line in rig.lines()] == ["tunnel_idle"]


async def test_a_tunnel_outlives_the_goaways_of_a_drain() -> None:
    async with backends(switching(echo)) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await opened(session)
            rig.engine.drain()
            await rig.passes(1.5)
            await session.until(lambda: len(session.goaways) == 2)
            await ask.send(b"still here", end=True)
            assert (await ask.response())[2] == b"still here"
            await session.until(lambda: session.closed)


@pytest.mark.parametrize("slow", ["client", "backend"])
async def test_the_faster_side_waits(slow: str) -> None:
    release = trio.Event()

    async def pouring(peer: Peer) -> None:
        if slow == "client":
            await peer.stream.send_all(bytes(MUCH))
            return
        await release.wait()
        await peer.exactly(MUCH)

    settings = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10_000}
    async with backends(switching(pouring)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port, settings=settings, credits=False) as session, trio.open_nursery() as nursery:
            ask = await opened(session)
            if slow == "backend":
                nursery.start_soon(ask.send, bytes(MUCH), True)
            await quiet(0.1)
            assert rig.engine.statistics().buffered < 1 << 20
            if slow == "client":
                assert len(ask.body) == 10_000
                session.credits = True
                session.link.acknowledge_received_data(10_000, ask.id)
                await session.flush()
                await received(ask, MUCH)
                await ask.send(b"", end=True)
            release.set()
            await session.until(lambda: ask.over)
            assert len(ask.body) == (MUCH if slow == "client" else 0)
