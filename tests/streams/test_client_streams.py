"""Many exchanges on one connection of a client: framing.pyx towards clients, HTTP/1.1 towards backends."""

from collections.abc import Callable

import pytest
import trio
from rig import GET, OK, Peer, answering, backends, quiet, reporting, rule, running, soon
from streams.frames import (
    BROKEN,
    DONE,
    REFUSED,
    RESET,
    STREAM_WINDOW,
    VIOLATION,
    Frames,
    ResetError,
    client,
    frame,
)

pytestmark = pytest.mark.usefixtures("transport")

Use = Callable[..., None]
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
LARGE = 300_000


def post(body: bytes, size: int | None = None) -> bytes:
    size = len(body) if size is None else size
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (size, body)


async def large(peer: Peer) -> None:
    """A backend whose responses to /large do not fit into a window."""
    while True:
        head, _ = await peer.request()
        if b"/large" in head:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (LARGE, bytes(LARGE)))
        else:
            await peer.send(OK)


async def silent(peer: Peer) -> None:
    await peer.request()
    await peer.rest()


def get(path: bytes) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path


async def works(frames: Frames, request: bytes = GET) -> None:
    assert (await (await frames.ask(request)).response())[2] == b"ok"


async def test_many_requests_on_one_connection(use: Use) -> None:
    async with backends(answering) as [backend], running(rule("b"), held=True) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            for _ in range(3):
                channels = [await frames.ask(GET) for _ in range(50)]
                for channel in channels:
                    assert (await channel.response())[2] == b"ok"
                    assert await channel.rest() == b""
            await soon(lambda: rig.engine.statistics().downstream_active == 0)
            statistics = rig.engine.statistics()
            assert (statistics.downstream_idle, statistics.exchanges) == (1, 0)
            fixed = rig.counters.fixed()
            assert (fixed["downstream_idle"], fixed["connections_accepted"]) == (1, 1)
        await soon(lambda: rig.engine.statistics().downstream_idle == 0)
        assert rig.counters.fixed()["downstream_idle"] == 0
        assert rig.counters.request_counts(1) == {200: 150}


async def test_streams_are_answered_in_any_order(use: Use) -> None:
    release = trio.Event()

    async def script(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            if b"/slow" in head:
                await release.wait()
            await peer.send(OK)

    async with backends(script) as [backend], running(rule("b"), held=True) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            slow = await frames.ask(get(b"/slow"))
            for _ in range(5):
                await works(frames)
            assert rig.engine.statistics().exchanges == 1
            release.set()
            assert (await slow.response())[2] == b"ok"


async def test_a_closed_window_stops_only_its_stream(use: Use) -> None:
    async with backends(large) as [backend], running(rule("b"), held=True) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            stopped = await frames.ask(get(b"/large"))
            await frames.until(lambda: len(stopped.arrived) == STREAM_WINDOW)
            for _ in range(5):
                await works(frames)
            await quiet()
            assert len(stopped.arrived) == STREAM_WINDOW
            assert rig.buffered() < 20_000
            _, _, body = await stopped.response()
            assert body == bytes(LARGE)


async def test_a_closed_window_of_the_connection_stops_content_alone(use: Use) -> None:
    async with backends(large) as [backend], running(rule("b"), held=True) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            channels = [await frames.ask(get(b"/large")) for _ in range(8)]
            await quiet()
            assert sum(len(channel.arrived) for channel in channels) == 131072
            assert rig.buffered() < 8 * 20_000
            (cancelled := channels.pop()).arrived = b""
            await cancelled.reset()
            async with trio.open_nursery() as nursery:

                async def one(channel: Peer) -> None:
                    assert (await channel.response())[2] == bytes(LARGE)

                for channel in channels:
                    nursery.start_soon(one, channel)


async def test_an_upload_waits_for_a_backend_that_does_not_read(use: Use) -> None:
    release = trio.Event()
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.head()
        await release.wait()
        got.append(await peer.exactly(8_000_000))
        await peer.send(OK)

    async with (
        backends(script, answering) as [backend, other],
        running(rule("b", name="0", path="/up"), rule("o", name="1"), held=True) as rig,
    ):
        use(rig, downstream=True)
        rig.put("b", backend.port)
        rig.put("o", other.port)
        async with client(rig.port) as frames, trio.open_nursery() as nursery:
            upload = frames.open()

            async def send() -> None:
                await upload.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n" + bytes(8_000_000))

            nursery.start_soon(send)
            await soon(lambda: upload.window == 0)
            await quiet()
            assert upload.window == 0
            assert rig.buffered() < 300_000
            await works(frames)
            release.set()
            assert (await upload.response())[2] == b"ok"
        assert got == [bytes(8_000_000)]


async def test_more_than_the_window_resets_the_stream(use: Use) -> None:
    async with (
        backends(silent, answering) as [backend, other],
        running(rule("b", name="0", path="/up"), rule("o", name="1"), held=True) as rig,
    ):
        use(rig, downstream=True)
        rig.put("b", backend.port)
        rig.put("o", other.port)
        async with client(rig.port) as frames:
            stream = frames.open()
            await frames.peer.send(b"".join(frame(1, 0, bytes(16000)) for _ in range(3)))
            assert await stream.until_reset() == VIOLATION
            await works(frames)


async def test_content_after_the_end_resets_the_stream(use: Use) -> None:
    async with backends(silent) as [backend], running(rule("b"), held=True) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            stream = await frames.ask(GET)
            await frames.add(stream.id, 0, b"x")
            assert await stream.until_reset() == VIOLATION
            await soon(lambda: rig.engine.statistics().exchanges == 0)


async def test_a_client_resets_one_stream(use: Use) -> None:
    async with (
        backends(silent, answering) as [backend, other],
        running(rule("b", name="0", path="/silent"), rule("o", name="1"), held=True, log=True) as rig,
    ):
        use(rig, downstream=True)
        rig.put("b", backend.port)
        rig.put("o", other.port)
        async with client(rig.port) as frames:
            stream = await frames.ask(get(b"/silent"))
            await soon(lambda: backend.open == 1)
            await stream.reset()
            await soon(lambda: backend.open == 0)
            await works(frames)
        assert [line["reason"] for line in rig.lines()] == ["client_closed", None]


async def test_a_response_that_is_cut_short_resets_its_stream(use: Use) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    async with (
        backends(script, answering) as [backend, other],
        running(rule("b", name="0", path="/cut"), rule("o", name="1"), held=True) as rig,
    ):
        use(rig, downstream=True)
        rig.put("b", backend.port)
        rig.put("o", other.port)
        async with client(rig.port) as frames:
            stream = await frames.ask(get(b"/cut"))
            assert (await stream.head()).startswith(b"HTTP/1.1 200")
            with pytest.raises(ResetError) as caught:
                await stream.rest()
            assert caught.value.cause == BROKEN
            await works(frames)


async def test_an_early_answer_ends_the_stream_and_stops_the_upload(use: Use) -> None:
    async with running(rule(name="0", path="/nothing"), held=True) as rig:
        use(rig, downstream=True)
        async with client(rig.port) as frames:
            stream = frames.open()
            await stream.send(post(b"some", size=1_000_000))
            assert (await stream.response())[0] == 404
            assert await stream.rest() == b""
            assert await stream.until_reset() == DONE
            assert rig.engine.statistics().exchanges == 0


async def test_the_end_of_the_connection_ends_each_exchange(use: Use) -> None:
    async with backends(silent) as [backend], running(rule("b"), held=True, log=True) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            for _ in range(7):
                await frames.ask(GET)
            await soon(lambda: backend.open == 7)
        await soon(lambda: backend.open == 0)
        await soon(lambda: rig.engine.statistics().exchanges == 0)
        assert [line["reason"] for line in rig.lines()] == ["client_closed"] * 7
        assert rig.engine.statistics()[:4] == (0, 0, 0, 0)
        fixed = rig.counters.fixed()
        assert (fixed["downstream_active"], fixed["downstream_idle"]) == (0, 0)


@pytest.mark.parametrize("bad", [frame(0, RESET), frame(1, 0)[:5] + b"\xff\xff\xff"])
async def test_a_violation_of_the_framing_ends_the_connection(use: Use, bad: bytes) -> None:
    async with backends(silent) as [backend], running(rule("b"), held=True) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            await frames.ask(GET)
            await soon(lambda: backend.open == 1)
            await frames.peer.send(bad)
            await soon(lambda: frames.over)
            await soon(lambda: backend.open == 0)


async def test_too_many_streams_are_refused(use: Use, framing: object) -> None:
    most: int = framing.MOST  # type: ignore[attr-defined]
    async with backends(silent) as [backend], running(rule("b"), held=True) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            for _ in range(most):
                await frames.ask(GET)
            refused = await frames.ask(GET)
            assert await refused.until_reset() == REFUSED
            assert rig.engine.statistics().exchanges == most
            await frames.channels[1].reset()
            await soon(lambda: rig.engine.statistics().exchanges == most - 1)
            await frames.ask(GET)
            await soon(lambda: rig.engine.statistics().exchanges == most)


async def test_upgraded_streams(use: Use) -> None:
    async def echo(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        while peer.buffer or await peer.more():
            data, peer.buffer = peer.buffer, b""
            await peer.send(data)
        await peer.send(b"end")

    async with backends(echo) as [backend], running(rule("b"), held=True) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            streams = [frames.open() for _ in range(3)]
            for stream in streams:
                await stream.send(UPGRADE)
                assert (await stream.head()).startswith(b"HTTP/1.1 101")
            for stream in streams:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(stream.send, bytes(100_000))
                    assert await stream.exactly(100_000) == bytes(100_000)
                await stream.end_of_writing()
                assert await stream.rest() == b"end"
            await soon(lambda: rig.engine.statistics().exchanges == 0)
            assert rig.engine.statistics().downstream_idle == 1


async def test_requests_and_bodies_arrive_unchanged(use: Use) -> None:
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b"), held=True) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            for size in (0, 1, 16384, 50_000, 200_000):
                await works(frames, post(b"x" * size))
    assert [len(body) for body in report[1::2]] == [0, 1, 16384, 50_000, 200_000]
