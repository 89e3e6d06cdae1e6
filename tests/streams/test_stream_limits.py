"""Deadlines, drains, limits and memory of connections that carry the streams of clients."""

import socket
from collections.abc import Callable
from typing import Any

import pytest
from rig import GET, OK, PLAIN, Peer, Rig, answering, backends, quiet, rule, running, soon
from streams.frames import BROKEN, CANCELLED, REFUSED, Frames, client, frame

from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")

Use = Callable[..., None]


async def silent(peer: Peer) -> None:
    await peer.request()
    await peer.rest()


async def large(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))
    await peer.rest()


async def works(frames: Frames) -> None:
    assert (await (await frames.ask(GET)).response())[2] == b"ok"


async def test_a_connection_without_streams_is_idle(use: Use) -> None:
    async with backends(answering) as [backend], running(rule("b"), held=True, limits=Limits(idle_timeout=10)) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            await rig.passes(9)
            await works(frames)
            await rig.passes(9)
            assert not frames.over
            await rig.passes(2)
            await soon(lambda: frames.over)


async def test_a_connection_with_streams_is_not_idle(use: Use) -> None:
    async with backends(silent) as [backend], running(rule("b"), held=True, limits=Limits(idle_timeout=10)) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            stream = await frames.ask(GET)
            for _ in range(5):
                await rig.passes(9)
            assert not frames.over
            await stream.reset()
            await rig.passes(9)
            assert not frames.over
            await rig.passes(2)
            await soon(lambda: frames.over)


async def test_each_stream_has_its_own_deadlines(use: Use) -> None:
    async with (
        backends(silent, large, answering) as [slow, bulk, quick],
        running(
            rule("s", name="0", path="/slow", request_timeout_ms=5000),
            rule("l", name="1", path="/large"),
            rule("q", name="2"),
            held=True,
            limits=Limits(head_timeout=3, body_idle_timeout=8, min_body_rate=0),
        ) as rig,
    ):
        use(rig, downstream=True)
        rig.put("s", slow.port)
        rig.put("l", bulk.port)
        rig.put("q", quick.port)
        async with client(rig.port) as frames:
            nothing, part, timed, unread, unsent = (frames.open() for _ in range(5))
            await frames.add(nothing.id, 0)
            await part.send(b"GET / HTTP/1.1\r\nHo")
            await timed.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            await unread.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            await unsent.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
            await quiet()
            await rig.passes(3.5)
            assert await nothing.until_reset() == CANCELLED
            assert (await part.response())[0] == 408
            await rig.passes(2)
            assert (await timed.response())[0] == 504
            assert unread.cause is None
            for _ in range(12):
                await rig.passes(1)
            assert (await unsent.response())[0] == 408
            for _ in range(30):
                await rig.passes(1)
            assert await unread.until_reset() == BROKEN
            await works(frames)
            assert rig.engine.statistics().exchanges == 0


async def test_a_drain_lets_streams_finish(use: Use) -> None:
    async def script(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            if b"/wait" in head:
                await soon(lambda: released)
            await peer.send(OK)

    released = False
    async with backends(script) as [backend], running(rule("b"), held=True) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames, client(rig.port) as other:
            await other.add(0, 4, bytes(4))
            waiting = await frames.ask(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            await soon(lambda: backend.open == 1)
            await quiet()
            rig.engine.drain()
            await frames.until(lambda: frames.left)
            await works(frames)  # it was opened before the client knew
            await rig.passes(1.1)
            await soon(lambda: other.over)
            late = await frames.ask(GET)
            assert await late.until_reset() == REFUSED
            assert not frames.over
            released = True
            assert (await waiting.response())[2] == b"ok"
            await rig.passes(1.1)
            await soon(lambda: frames.over)
        await soon(lambda: rig.engine.statistics().drained)


async def test_a_connection_leaves_after_its_number_of_requests(use: Use) -> None:
    async with (
        backends(answering) as [backend],
        running(rule("b"), held=True, limits=Limits(max_requests_per_connection=3)) as rig,
    ):
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            for _ in range(2):
                await works(frames)
            assert not frames.left
            await works(frames)
            await frames.until(lambda: frames.left)
            await rig.passes(1.1)
            await soon(lambda: frames.over)


async def test_a_connection_leaves_at_its_age(use: Use) -> None:
    async with (
        backends(silent) as [backend],
        running(rule("b"), held=True, limits=Limits(max_connection_age=100)) as rig,
    ):
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            stream = await frames.ask(GET)
            await soon(lambda: backend.open == 1)
            await rig.passes(99)
            assert not frames.left
            await rig.passes(12)
            await frames.until(lambda: frames.left)
            assert not frames.over
            await stream.reset()
            await rig.passes(1.1)
            await soon(lambda: frames.over)


@PLAIN
async def test_frames_behind_a_proxy_header(use: Use) -> None:
    async with running(held=True, proxy_protocol=True, trusted_proxies=("127.0.0.0/8",)) as rig:
        use(rig, downstream=True)
        async with client(rig.port) as frames:
            stream = frames.open()
            await frames.peer.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + frame(1, 1, GET))
            assert (await stream.response())[0] == 404


@PLAIN
async def test_answers_to_a_client_that_does_not_read_are_limited(use: Use) -> None:
    async with running(held=True) as rig:
        use(rig, downstream=True)
        stream = socket.create_connection(("127.0.0.1", rig.port))
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream.setblocking(False)
        id = refused = 0
        while refused < 20:
            id += 1
            try:
                stream.send(frame(id, 1, GET))
                refused = 0
            except BlockingIOError:
                refused += 1
                await quiet()
        assert rig.buffered() < 1_000_000
        stream.close()
        await soon(lambda: rig.engine.statistics().exchanges == 0)


async def test_the_memory_of_all_buffers_is_limited(use: Use) -> None:
    """The connections whose streams hold the most lose these streams."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))
        await peer.rest()

    async with backends(script) as [backend], running(rule("b"), held=True, limits=Limits(max_buffered=200_000)) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            streams = [await frames.ask(GET) for _ in range(90)]
            await quiet()
            await rig.passes(0.2)
            assert rig.buffered() <= 200_000
            assert rig.counters.fixed()["ended_buffers_full"] > 0
            assert any(stream.cause == BROKEN for stream in streams)
            assert not frames.over


@PLAIN
def test_a_client_with_many_streams_has_no_larger_share_of_the_turns(use: Use) -> None:
    """Counted in visits: each time the engine reads its clock, 0.1 ms pass."""
    rig = Rig()
    rig.engine.hold_clock(look=0.0001)
    rig.listen()
    rig.install()

    def connected() -> socket.socket:
        one = socket.create_connection(("127.0.0.1", rig.port))
        one.setblocking(False)
        return one

    def received(one: socket.socket) -> bytes:
        try:
            return one.recv(1 << 20)
        except BlockingIOError:
            return b""

    try:
        plain = connected()
        for _ in range(5):
            rig.engine.turn()
        use(rig, downstream=True)
        many = connected()
        for _ in range(5):
            rig.engine.turn()
        many.sendall(b"".join(frame(id, 1, GET) for id in range(1, 101)))
        plain.sendall(GET * 8)
        data, others = b"", b""
        for _ in range(1000):
            rig.engine.turn()
            data += received(plain)
            others += received(many)
            if data.count(b"HTTP/1.1 404") == 8:
                break
        assert data.count(b"HTTP/1.1 404") == 8
        assert 8 <= others.count(b"HTTP/1.1 404") <= 50
        for _ in range(1000):
            rig.engine.turn()
            others += received(many)
        assert others.count(b"HTTP/1.1 404") == 100
    finally:
        plain.close()
        many.close()
        rig.close()


@PLAIN
def test_a_plain_connection_pays_little_for_streams(framing: Any) -> None:
    connection, stream, parent = framing.sizes()
    assert connection <= 512
    assert stream <= 160
    assert parent <= 160
