"""Clients that only cause work: each kind is limited, counted by its reason, and does not concern other connections."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice

import h2.settings
import hpack
import pytest
import trio
from http2.client import Session, client, head
from peer import Peer
from rig import PLAIN, answering, backends, quiet, rule, running, saying, soon
from securebackend import tls_to

from fastroute.settings import Limits

pytestmark = [pytest.mark.usefixtures("transport"), PLAIN]

DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
UNKNOWN = 0xBB
PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, ENHANCE_YOUR_CALM = 1, 2, 3, 5, 11
STREAM_WINDOW, PAYLOAD = 262144, 16384
END_STREAM, END_HEADERS = 1, 4
MANY = 20_000


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def block(**more: str) -> bytes:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode([*head(), *more.items()])


BLOCK = block()


def resets() -> Iterator[bytes]:
    """Rapid reset (CVE-2023-44487)."""
    for stream in range(3, MANY, 2):
        yield frame(HEADERS, END_STREAM | END_HEADERS, stream, BLOCK) + frame(RST, 0, stream, struct.pack(">I", 8))


def resets_by_the_gateway() -> Iterator[bytes]:
    """Streams that the gateway must reset, because the client violates the protocol on them (CVE-2025-8671)."""
    for stream in range(3, MANY, 2):
        yield frame(HEADERS, END_HEADERS, stream, BLOCK) + frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 2**31 - 1))


def malformed() -> Iterator[bytes]:
    upper = BLOCK + b"\0\1X\1y"
    for stream in range(3, MANY, 2):
        yield frame(HEADERS, END_STREAM | END_HEADERS, stream, upper)


def more_streams_than_allowed() -> Iterator[bytes]:
    for stream in range(3, MANY, 2):
        yield frame(HEADERS, END_HEADERS, stream, BLOCK)


def repeated(one: bytes) -> Iterator[bytes]:
    for _ in range(MANY):
        yield one


def continuations() -> Iterator[bytes]:
    """CVE-2024-27316."""
    yield frame(HEADERS, END_STREAM, 3, BLOCK)
    yield from repeated(frame(CONTINUATION, 0, 3, b"\0\1x\1y"))


def empty_continuations() -> Iterator[bytes]:
    yield frame(HEADERS, END_STREAM, 3, BLOCK)
    yield from repeated(frame(CONTINUATION, 0, 3))


def bomb() -> Iterator[bytes]:
    """One field of 4 KB in the table of HPACK, to which each further octet refers."""
    start = b"\x82\x86\x84\1\1a"  # head(), which leaves the table as it is
    yield frame(HEADERS, END_HEADERS, 3, start + b"\x40\1x" + b"\x7f\xa1\x1e" + b"y" * 4000)
    yield frame(HEADERS, END_HEADERS, 5, start + b"\xbe" * 16_000)


def trailers_without_end() -> Iterator[bytes]:
    yield frame(HEADERS, END_HEADERS, 3, BLOCK) + frame(HEADERS, END_STREAM, 3, b"\0\1x\1y")
    for _ in range(MANY):
        yield frame(CONTINUATION, 0, 3, b"\0\1x\1y" * 1000)


def empty_data() -> Iterator[bytes]:
    yield frame(HEADERS, END_HEADERS, 3, BLOCK)
    yield from repeated(frame(DATA, 0, 3))


def padding() -> Iterator[bytes]:
    yield frame(HEADERS, END_HEADERS, 3, BLOCK)
    yield from repeated(frame(DATA, 8, 3, b"\x04\0\0\0\0"))


FLOODS = {
    "rapid reset": (resets, "resets"),
    "resets by the gateway": (resets_by_the_gateway, "resets"),
    "malformed requests": (malformed, "resets"),
    "refused streams": (more_streams_than_allowed, "resets"),
    "CONTINUATION": (continuations, "block_too_large"),
    "empty CONTINUATION": (empty_continuations, "block_too_large"),
    "HPACK bomb": (bomb, "block_too_large"),
    "trailers without end": (trailers_without_end, "block_too_large"),
    "empty DATA": (empty_data, "chores"),
    "padding": (padding, "chores"),
    "PING": (lambda: repeated(frame(PING, payload=bytes(8))), "chores"),
    "SETTINGS": (lambda: repeated(frame(SETTINGS, payload=struct.pack(">HI", 4, 70_000))), "chores"),
    "empty SETTINGS": (lambda: repeated(frame(SETTINGS)), "chores"),
    "WINDOW_UPDATE": (lambda: repeated(frame(WINDOW_UPDATE, payload=struct.pack(">I", 1))), "chores"),
    "PRIORITY": (lambda: repeated(frame(PRIORITY, 0, 3, struct.pack(">IB", 0, 1))), "chores"),
    "unknown frames": (lambda: repeated(frame(UNKNOWN)), "chores"),
}
PATIENT = {"resets by the gateway", "malformed requests"}  # no more of these at once than a client may have streams
DEAF = {"refused streams"}  # a client that does not acknowledge the limit of streams


async def flood(session: Session, frames: Iterator[bytes], patient: bool) -> None:
    """Sends the frames until the connection is closed."""
    with suppress(trio.BrokenResourceError):
        while not session.closed and (data := b"".join(islice(frames, 50))):
            await session.raw(data)
            if patient:
                await quiet(0.002)
    await session.until(lambda: session.closed)


async def silent(peer: Peer) -> None:
    await peer.request()
    await peer.rest()


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_ends_the_connection(name: str) -> None:
    frames, reason = FLOODS[name]
    async with backends(silent) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port, deaf=name in DEAF) as session, client(rig.port) as other:
            ask = await session.ask()  # the connection has been useful
            await soon(lambda: backend.connections == 1)
            await flood(session, frames(), name in PATIENT)
            del ask
            await soon(lambda: rig.engine.statistics().exchanges == 0)
            fixed = rig.counters.fixed()
            assert fixed[f"http2_{reason}"] == 1, {one: count for one, count in fixed.items() if count}
            assert ENHANCE_YOUR_CALM in [code for _, code in session.goaways] or not session.goaways
            assert rig.engine.statistics().buffered < 1_000_000
            await other.ask()
            await soon(lambda: rig.engine.statistics().exchanges == 1)


async def test_more_streams_than_a_client_has_accepted() -> None:
    """It knows the limit (RFC 9113 section 5.1.2)."""
    async with backends(silent) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            asks = [await session.ask() for _ in range(128)]
            await soon(lambda: rig.engine.statistics().exchanges == 128)
            await session.raw(frame(HEADERS, END_HEADERS, 257, BLOCK))
            await session.until(lambda: session.closed)
            assert session.goaways == [(asks[-1].id, PROTOCOL_ERROR)]
        await soon(lambda: rig.engine.statistics().exchanges == 0)
        assert rig.counters.fixed()["http2_violation"] == 1


async def test_more_content_than_the_window() -> None:
    """The stream ends when more arrives than the gateway keeps for a backend that takes nothing."""
    async with backends(silent) as [backend], running(rule("b"), held=True) as rig:
        rig.upstreams.speak("b", tls_to())  # its handshake is not answered
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask("POST", body=b"", end=False)
            await soon(lambda: backend.connections == 1)
            sent = 0
            while not ask.over:
                await session.raw(frame(DATA, 0, ask.id, bytes(PAYLOAD)))
                sent += PAYLOAD
                await quiet(0.002)
                assert sent < 2 * STREAM_WINDOW
            assert (ask.status, ask.reset, session.closed) == (0, FLOW_CONTROL_ERROR, False)
            await soon(lambda: rig.engine.statistics().exchanges == 0)
            await session.ask()  # the connection goes on
            await soon(lambda: rig.engine.statistics().exchanges == 1)


async def test_content_after_the_end_of_a_request() -> None:
    async with backends(silent) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask()
            await soon(lambda: backend.connections == 1)
            await session.raw(frame(DATA, 0, ask.id, b"x"))
            await ask.response()
            assert ask.reset == STREAM_CLOSED or session.goaways[-1][1] == STREAM_CLOSED
            await soon(lambda: rig.engine.statistics().exchanges == 0)


async def test_ordinary_clients_may_ping_and_cancel() -> None:
    """A client that pings each second, and cancels a few requests of each page, goes on for hours."""
    async with backends(answering) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            for _ in range(40):
                for _ in range(20):
                    ask = await session.ask()
                    await ask.cancel()
                session.link.ping(bytes(8))
                assert (await (await session.ask()).response())[0] == 200
                rig.advance(1)
            await session.until(lambda: session.pongs == 40)


async def test_ordinary_clients_may_open_windows_often() -> None:
    """Clients of Go open two windows for each 4 KiB that they read, which may be long after it was sent."""
    size = 8_000_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    wide = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 4_000_000}
    async with backends(saying(answer)) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port, settings=wide, credits=False) as session:
            session.link.increment_flow_control_window(4_000_000)
            ask = await session.ask()

            def has(size: int) -> Callable[[], bool]:
                return lambda: ask.over or len(ask.body) >= size

            for read in range(0, size, 2_000_000):
                await session.until(has(read + 2_000_000))
                for _ in range(0 if ask.over else 2_000_000 // 4000):  # all at once, some time after it was sent
                    session.link.increment_flow_control_window(4000, ask.id)
                    session.link.increment_flow_control_window(4000)
                await session.flush()
            await session.until(lambda: ask.over)
            assert (ask.ended, len(ask.body)) == (True, size)
        assert rig.counters.fixed()["http2_chores"] == 0


async def test_a_window_that_never_opens() -> None:
    """The answer waits, for as long as for a client that does not read."""
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)
    async with backends(saying(large)) as [backend], running(rule("b"), held=True, log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}) as session:
            asks = [await session.ask() for _ in range(100)]
            await quiet()
            assert rig.engine.statistics().buffered < 2_000_000
            await rig.timed_until(lambda: rig.engine.statistics().exchanges == 0, 1)
            assert rig.clock < 90
            assert {line["reason"] for line in rig.lines()} <= {"body_timeout", "body_too_slow"}
            await session.until(lambda: all(ask.over for ask in asks))


async def test_the_memory_of_a_connection() -> None:
    """128 streams with heads as large as allowed, content that no backend takes, and answers that nobody reads."""

    async def stubborn(peer: Peer) -> None:
        await peer.head()
        head = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 60_000 + b"\r\nContent-Length: 1000000\r\n\r\n"
        await peer.stream.send_all(head + bytes(1_000_000))  # without a limit of time
        await trio.sleep_forever()

    async with (
        backends(stubborn) as [backend],
        running(rule("b"), limits=Limits(max_buffered=1 << 30), held=True) as rig,
    ):
        rig.put("b", backend.port)
        async with client(rig.port, credits=False) as session:
            # Without Huffman coding, which takes the library 0.3 s for each of these heads.
            session.link.encoder.encode = partial(session.link.encoder.encode, huffman=False)  # type: ignore[method-assign]
            most = 0
            for _ in range(128):
                await session.ask("POST", fields=[("x", "y" * 60_000)], body=b"", end=False)
                await quiet(0.002)
                most = max(most, rig.engine.statistics().buffered)
            asks = [ask for ask in session.asks.values() if ask.reset is None]
            async with trio.open_nursery() as nursery:
                for ask in asks:
                    nursery.start_soon(ask.send, bytes(100_000))
                await quiet(0.1)
                most = max(most, rig.engine.statistics().buffered)
                nursery.cancel_scope.cancel()
            assert most < 16 << 20
            assert len(asks) == 128


async def test_the_memory_of_all_buffers_is_limited() -> None:
    """The streams that hold the most end, and their connection goes on."""
    most = 400_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000)
    limits = Limits(max_buffered=most)
    async with backends(saying(answer)) as [backend], running(rule("b"), limits=limits, held=True, log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port, credits=False) as session:
            asks = [await session.ask() for _ in range(90)]
            await quiet()
            await rig.passes(0.2)
            await session.until(lambda: any(ask.reset == INTERNAL_ERROR for ask in asks))
            assert rig.buffered() <= most
            assert 0 < rig.counters.fixed()["ended_buffers_full"] < 90
            assert {line["reason"] for line in rig.lines()} == {"buffers_full"}
            assert not session.closed


async def test_a_client_that_reads_no_answers_is_not_read_either() -> None:
    """The gateway itself answers the requests, with heads, which need no window. The last read may have so many
    requests above the limit of streams that the connection ends."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    ask = encoder.encode(head("HEAD"))
    async with running(limits=Limits(max_requests_per_connection=1 << 30), held=True) as rig:
        one = socket.socket()
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            one.setsockopt(socket.SOL_SOCKET, option, 4096)
        one.connect(("127.0.0.1", rig.port))
        one.setblocking(False)
        data = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS)
        streams = iter(range(1, 1 << 21, 2))  # an answer has few bytes, and the kernel keeps many
        blocked = 0
        while blocked < 20 and not rig.counters.fixed()["http2_resets"]:
            data = data or b"".join(frame(HEADERS, END_STREAM | END_HEADERS, next(streams), ask) for _ in range(100))
            try:
                data = data[one.send(data) :]
                blocked = 0
            except BlockingIOError:
                blocked += 1
            await quiet()
        # One read of 128 KiB has about 2,300 requests above the limit of streams; the frames that refuse them need
        # 0.5 MB in libnghttp2. How many reads there are until the client is blocked depends on the load of the machine.
        assert rig.buffered() < 8 << 20
        one.close()
        await soon(lambda: rig.engine.statistics().downstream_idle == 0)


async def test_answers_wait_for_a_client_that_reads_nothing() -> None:
    large = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 60_000 + b"\r\n\r\n" + b"z" * 1000
    async with backends(saying(large, close=True)) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            release = trio.Event()
            receive = session.peer.stream.receive_some

            async def later(size: int) -> bytes:
                await release.wait()
                return await receive(size)

            session.peer.stream.receive_some = later  # type: ignore[method-assign]  # until `release`
            await trio.sleep(0.01)
            asks = [await session.ask() for _ in range(100)]
            await quiet(0.1)
            assert rig.engine.statistics().buffered < 4 << 20
            release.set()
            for ask in asks:
                assert (await ask.response())[2] == b"z" * 1000
