"""What backends of HTTP/2 may not do: their answers fail with a reason, other requests are served; all is bounded."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from h2.settings import SettingCodes
from http2.client import client
from http2.server import Channel, Link, spoken
from rig import GET, OK, Peer, Rig, answering, backends, connect, quiet, rule, running, soon

from fastroute import snapshot
from fastroute.settings import Limits

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END, WHOLE = 1, 4  # flags END_STREAM, END_HEADERS
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
HTTP2 = snapshot.Backend(protocol="h2")
GOOD = [(":status", "200")]
Answer = Callable[[Channel], Awaitable[None]]


def frame(type_: int, flags: int, id: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([type_, flags]) + id.to_bytes(4, "big") + payload


def block(channel: Channel, *fields: tuple[Any, Any]) -> bytes:
    """Fields that are not indexed, so that the block can be sent any number of times."""
    encoded = b""
    for name, value in fields:
        name, value = (part if isinstance(part, bytes) else part.encode() for part in (name, value))
        encoded += b"\0" + integer(len(name)) + name + integer(len(value)) + value
    return encoded


def integer(number: int) -> bytes:
    """A length of RFC 7541 section 5.1, with a prefix of 7 bits."""
    if number < 127:
        return bytes([number])
    encoded, number = b"\x7f", number - 127
    while number >= 128:
        encoded, number = encoded + bytes([number % 128 + 128]), number // 128
    return encoded + bytes([number])


def head(*fields: tuple[Any, Any], flags: int = END | WHOLE) -> Answer:
    async def answer(channel: Channel) -> None:
        await channel.link.raw(frame(HEADERS, flags, channel.id, block(channel, *fields)))

    return answer


def frames(*several: Callable[[Channel], bytes] | bytes) -> Answer:
    """All in one write; functions make frames of the stream."""

    async def answer(channel: Channel) -> None:
        await channel.link.raw(b"".join(one if isinstance(one, bytes) else one(channel) for one in several))

    return answer


def of(type_: int, flags: int = 0, payload: bytes = b"", times: int = 1) -> Callable[[Channel], bytes]:
    return lambda channel: frame(type_, flags, channel.id, payload) * times


def begun(*fields: tuple[Any, Any], flags: int = WHOLE) -> Callable[[Channel], bytes]:
    return lambda channel: frame(HEADERS, flags, channel.id, block(channel, *fields))


def long_head(channel: Channel) -> bytes:
    pieces = [block(channel, *GOOD), *(block(channel, (f"x-{i}", "x" * 15_000)) for i in range(5))]
    return b"".join(
        frame(CONTINUATION if i else HEADERS, WHOLE * (i == 5), channel.id, piece) for i, piece in enumerate(pieces)
    )


MALFORMED: dict[str, Answer] = {  # the stream fails, and the connection goes on
    "no status": head(("x", "y")),
    "a status twice": head(*GOOD, *GOOD),
    "a status of two digits": head((":status", "20")),
    "a status with a letter": head((":status", "2x0")),
    "101": head((":status", "101"), flags=WHOLE),
    "a pseudo-header field of requests": head(*GOOD, (":path", "/")),
    "an unknown pseudo-header field": head(*GOOD, (":x", "y")),
    "a status after a field": head(("x", "y"), *GOOD),
    "upper case": head(*GOOD, ("X-A", "b")),
    "a name with a space": head(*GOOD, ("x a", "b")),
    "no name": head(*GOOD, ("", "b")),
    "a NUL": head(*GOOD, ("x", b"a\0b")),
    "a line end": head(*GOOD, ("x", b"a\r\nb: c")),
    "Connection": head(*GOOD, ("connection", "close")),
    "Transfer-Encoding": head(*GOOD, ("transfer-encoding", "chunked")),
    "Upgrade": head(*GOOD, ("upgrade", "websocket")),
    "two lengths": head(*GOOD, ("content-length", "1"), ("content-length", "2")),
    "a length that is no number": head(*GOOD, ("content-length", "1x")),
    "a length without content": head(*GOOD, ("content-length", "3")),
    "too little content": frames(begun(*GOOD, ("content-length", "3")), of(DATA, END, b"ab")),
    "too much content": frames(begun(*GOOD, ("content-length", "1")), of(DATA, END, b"ab")),
    "an interim answer that ends the stream": head((":status", "103")),
    "trailers with a status": frames(begun(*GOOD), begun(*GOOD, flags=END | WHOLE)),
    "trailers that do not end": frames(begun(*GOOD), begun(("x", "y"))),
    "Connection in trailers": frames(begun(*GOOD), begun(("connection", "close"), flags=END | WHOLE)),
}
VIOLATIONS: dict[str, Answer] = {  # the connection ends
    "a pushed request": frames(of(PUSH_PROMISE, WHOLE, b"\0\0\0\2")),
    "content before the head": frames(of(DATA, 0, b"ab")),
    "content of no stream": frames(frame(DATA, 0, 0, b"ab")),
    "content of a stream to come": frames(frame(DATA, 0, 99, b"ab")),
    "fields of a stream to come": frames(frame(HEADERS, WHOLE, 99, b"\x88")),
    "fields of a stream of the backend": frames(frame(HEADERS, WHOLE, 2, b"\x88")),
    "a reset of a stream to come": frames(frame(RST_STREAM, 0, 99, bytes(4))),
    "fields that cannot be decoded": frames(of(HEADERS, WHOLE, b"\xff\xff\xff\xff\xff")),
    "a frame between fields": frames(of(HEADERS, 0, b"\x88"), frame(PING, 0, 0, bytes(8))),
    "more fields without a beginning": frames(of(CONTINUATION, WHOLE, b"\x88")),
    "SETTINGS of a wrong size": frames(frame(SETTINGS, 0, 0, bytes(5))),
    "SETTINGS that allow a push": frames(frame(SETTINGS, 0, 0, b"\0\2\0\0\0\7")),
    "a window that overflows": frames(frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff")),
    "a window of zero": frames(of(WINDOW_UPDATE, 0, bytes(4))),
    "a window of the connection of zero": frames(frame(WINDOW_UPDATE, 0, 0, bytes(4))),
    "a PING of a wrong size": frames(frame(PING, 0, 0, bytes(7))),
    "a frame that is too large": frames(of(DATA, 0, bytes(16385))),
}
FLOODS: dict[str, Answer] = {
    "PING": frames(frame(PING, 0, 0, bytes(8)) * 3000),
    "SETTINGS": frames(frame(SETTINGS, 0, 0) * 3000),
    "WINDOW_UPDATE": frames(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 3000),
    "unknown frames": frames(frame(0x77, 0, 0) * 10_000),
    "long unknown frames": frames(frame(0x77, 0, 0, bytes(16000)) * 30),
    "empty content": frames(begun(*GOOD), of(DATA, times=3000)),
    "padding": frames(begun(*GOOD), of(DATA, 8, b"\1\0", 3000)),
    "fields of a stream that has ended": frames(frame(HEADERS, END | WHOLE, 1, b"\x88") * 3000),
    "resets of a stream that has ended": frames(frame(RST_STREAM, 0, 1, bytes(4)) * 3000),
    "CONTINUATION": frames(begun(*GOOD, flags=0), of(CONTINUATION, times=3000)),
    "a head without end": frames(
        begun(*GOOD, flags=0), *[of(CONTINUATION, 0, b"\0\1x\x7f\x80\x7f" + b"y" * 16383)] * 40
    ),
    "an HPACK bomb": frames(
        lambda channel: frame(HEADERS, 0, channel.id, b"\x88\x40\1x\x7f\x81\x1e" + b"y" * 4000),
        *[of(CONTINUATION, 0, b"\xbe" * 16000)] * 20,
    ),
}


async def asked(rig: Rig, request: bytes = GET) -> Peer:
    peer = await connect(rig.port)
    await peer.send(request)
    return peer


def once(hostile: Answer, links: list[Link]) -> Callable[[Channel], Awaitable[None]]:
    """Answers the second request so, and the others with OK."""
    count = 0

    async def script(channel: Channel) -> None:
        nonlocal count
        await channel.request()
        count += 1
        if count == 2:
            await hostile(channel)
            return
        await channel.send(OK)

    return script


async def attacked(hostile: Answer) -> tuple[int, dict[str, Any], int]:
    """Status and line of the log of the request with the hostile answer, and the number of connections after another
    request, which was served."""
    links: list[Link] = []
    async with (
        backends(spoken(once(hostile, links), links)) as [backend],
        running(rule("b"), log=True, held=True) as rig,
    ):
        rig.upstreams.speak("b", HTTP2)
        rig.put("b", backend.port)
        for number, request in enumerate((GET, POST, GET)):
            peer = await asked(rig, request)
            status = (await peer.response())[0]
            if number != 1:
                assert status == 200
            else:
                found = status
        [_, line, _] = rig.lines()
        return found, line, backend.connections


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_answer_fails_alone(name: str) -> None:
    status, line, connections = await attacked(MALFORMED[name])
    assert (status, line["reason"], connections) == (502, "http2_answer_malformed", 1)


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_a_violation_ends_the_connection(name: str) -> None:
    status, line, connections = await attacked(VIOLATIONS[name])
    assert (status, line["reason"], connections) == (502, "http2_violation", 2)


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_ends_the_connection(name: str) -> None:
    """The head of an answer may have been sent before."""
    links: list[Link] = []
    async with (
        backends(spoken(once(FLOODS[name], links), links)) as [backend],
        running(rule("b"), held=True) as rig,
    ):
        rig.upstreams.speak("b", HTTP2)
        rig.put("b", backend.port)
        peers = [await asked(rig)]
        assert (await peers[0].response())[0] == 200
        peers.append(await asked(rig, POST))
        await soon(lambda: links[0].over)
        await quiet()
        assert rig.counters.fixed()["streams_upstream"] == 0
        assert (await (await asked(rig)).response())[0] == 200
        assert backend.connections == 2


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (frames(long_head), "head_too_large"),
        (head(*GOOD, *((f"x-{i}", "y") for i in range(201))), "fields_too_many"),
        (
            frames(lambda channel: begun((":status", "103"))(channel) * 101),
            "interim_too_many",
        ),
        (
            frames(lambda channel: begun((":status", "103"), ("x", "y" * 15_000))(channel) * 6),
            "interim_too_large",
        ),
    ],
    ids=["long", "many fields", "interim answers", "long interim answers"],
)
async def test_heads_have_the_limits_of_http1(hostile: Answer, reason: str) -> None:
    status, line, connections = await attacked(hostile)
    assert (status, line["reason"], connections) == (502, reason, 1)


async def test_a_server_of_http1() -> None:
    """It answers the preface with its own error, or closes the connection."""
    for data in (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b""):

        async def script(peer: Peer, data: bytes = data) -> None:
            await peer.head()
            await peer.send(data)

        async with backends(script) as [backend], running(rule("b"), log=True) as rig:
            rig.upstreams.speak("b", HTTP2)
            rig.put("b", backend.port)
            peer = await asked(rig)
            assert (await peer.response())[0] == 502
            assert rig.lines()[0]["reason"] == ("http2_violation" if data else "upstream_closed")


async def test_more_content_than_the_window() -> None:
    """The stream of the backend ends, and what its client has not taken is bounded."""

    async def script(channel: Channel) -> None:
        await channel.request()
        await frames(begun(*GOOD), *[of(DATA, 0, bytes(16384))] * 200)(channel)
        await trio.sleep_forever()

    links: list[Link] = []
    async with (
        backends(spoken(script, links)) as [backend],
        running(rule("b"), log=True) as rig,
    ):
        rig.upstreams.speak("b", HTTP2)
        rig.put("b", backend.port)
        async with client(rig.port, credits=False) as session:
            ask = await session.ask()
            await ask.answered()
            await soon(lambda: rig.counters.fixed()["streams_upstream"] == 0)
            assert rig.engine.statistics().buffered < 1_000_000


async def test_a_backend_that_accepts_no_more_streams() -> None:
    """Only one connection is opened to find that out, until it is idle for long enough."""

    async def script(channel: Channel) -> None:
        await channel.request()
        most = SettingCodes.MAX_CONCURRENT_STREAMS.to_bytes(2, "big") + bytes(4)
        await channel.link.raw(frame(SETTINGS, 0, 0, most))
        await channel.send(OK)

    limits = Limits(upstream_idle_timeout=5)
    async with backends(spoken(script)) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        rig.upstreams.speak("b", HTTP2)
        rig.put("b", backend.port)
        statuses = [(await (await asked(rig)).response())[0] for _ in range(10)]
        assert statuses == [200] + [503] * 9
        assert backend.connections == 1
        await rig.passes(6)
        await soon(lambda: backend.open == 0)
        assert (await (await asked(rig)).response())[0] == 200


async def test_a_limit_of_streams_is_known_to_later_connections() -> None:
    """Otherwise many requests that begin together would be refused."""
    async with (
        backends(spoken(answering, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1})) as [backend],
        running(rule("b")) as rig,
    ):
        rig.upstreams.speak("b", HTTP2)
        rig.put("b", backend.port)
        assert (await (await asked(rig)).response())[0] == 200
        peers = [await asked(rig) for _ in range(20)]
        assert [(await peer.response())[0] for peer in peers] == [200] * 20
        assert rig.counters.fixed()["retries_refused"] == 0


async def test_interim_answers_that_come_one_by_one_are_freed() -> None:
    async def script(channel: Channel) -> None:
        await channel.request()
        for _ in range(3):
            await channel.send(b"HTTP/1.1 103 Early Hints\r\nX: " + b"y" * 4000 + b"\r\n\r\n")
            await quiet()
        await channel.send(OK)

    async with backends(spoken(script)) as [backend], running(rule("b"), held=True) as rig:
        rig.upstreams.speak("b", HTTP2)
        rig.put("b", backend.port)
        buffered = []
        async with client(rig.port) as session:
            for _ in range(5):
                ask = await session.ask("POST", body=b"ab")
                assert (await ask.response())[0] == 200
                assert ask.interim == [103] * 3
                await quiet()
                buffered.append(rig.engine.statistics().buffered)
        assert buffered[-1] < buffered[0] + 10_000  # of 48,000 bytes of heads


async def test_a_stream_that_is_reset_within_a_block() -> None:
    """The block ends without a report of libnghttp2: the connection owes nothing."""
    links: list[Link] = []
    half = trio.Event()

    async def script(channel: Channel) -> None:
        await channel.request()
        if channel.id > 1:
            await channel.send(OK)
            return
        await channel.link.raw(frame(HEADERS, 0, channel.id, block(channel, *GOOD)))
        half.set()
        await trio.sleep_forever()

    async with backends(spoken(script, links)) as [backend], running(rule("b"), held=True) as rig:
        rig.upstreams.speak("b", HTTP2)
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask()
            await half.wait()
            await quiet()
            await ask.cancel()
            await soon(lambda: rig.engine.statistics().exchanges == 0)
            await quiet()
            await links[0].raw(frame(CONTINUATION, WHOLE, 1))
            await quiet()
            await rig.passes(15)
            assert backend.open == 1
            assert (await (await session.ask()).response())[0] == 200
        assert backend.connections == 1


async def test_frames_of_cancelled_streams() -> None:
    """They were on the way when a client cancelled its requests: answers to others on the same connection go on."""
    cancelled = trio.Event()

    async def script(channel: Channel) -> None:
        await channel.request()
        if channel.id > 1:
            await trio.sleep_forever()
        await cancelled.wait()
        late = b"".join(begun_at(id) + frame(DATA, 0, id, bytes(16000)) * 4 for id in range(3, 23, 2))
        await channel.link.raw(late)
        await channel.send(OK)

    def begun_at(id: int) -> bytes:
        return frame(HEADERS, WHOLE, id, b"\x88")

    async with backends(spoken(script)) as [backend], running(rule("b")) as rig:
        rig.upstreams.speak("b", HTTP2)
        rig.put("b", backend.port)
        async with client(rig.port) as patient, client(rig.port) as hasty:
            waits = await patient.ask()
            await soon(lambda: rig.counters.fixed()["streams_upstream"] == 1)
            asks = [await hasty.ask() for _ in range(10)]
            await soon(lambda: rig.counters.fixed()["streams_upstream"] == 11)
            for ask in asks:
                await ask.cancel()
            await soon(lambda: rig.counters.fixed()["streams_upstream"] == 1)
            cancelled.set()
            assert (await waits.response())[0] == 200
        assert backend.connections == 1
