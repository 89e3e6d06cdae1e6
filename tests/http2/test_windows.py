"""Windows of streams and of connections: content waits for them, and nothing else does."""

import h2.settings
import pytest
import trio
from http2.client import Ask, Session, client
from peer import Peer
from rig import OK, backends, quiet, rule, running, saying, soon

pytestmark = pytest.mark.usefixtures("transport")

STREAM_WINDOW = 262144
CONNECTION_FIRST = 65535  # window of a connection until it is opened further
NO_ERROR = 0
WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
LARGE = 300_000


async def test_a_window_opens_when_the_backend_takes_the_content() -> None:
    release = trio.Event()

    async def slow(peer: Peer) -> None:
        head = await peer.head()
        if b"POST" in head:
            await release.wait()
            await peer.exactly(6_000_000)
        await peer.send(OK)
        await slow(peer)

    async with backends(slow) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session, trio.open_nursery() as nursery:
            ask = await session.ask("POST", fields=[("content-length", "6000000")], end=False)
            nursery.start_soon(ask.send, bytes(6_000_000), True)
            await quiet(0.1)
            # What the kernels hold for the backend, one read of the gateway, and what the windows allow.
            assert rig.engine.statistics().buffered < 2 * STREAM_WINDOW + 400_000
            assert session.link.local_flow_control_window(ask.id) == 0
            for _ in range(3):
                assert (await (await session.ask()).response())[0] == 200
            release.set()
            assert (await ask.response())[0] == 200


async def test_an_answer_waits_for_the_window_of_its_stream() -> None:
    large = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000))
    async with backends(large) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port, settings={WINDOW: 1000}, credits=False) as session:
            asks = [await session.ask() for _ in range(10)]
            await session.until(lambda: all(len(ask.body) == 1000 for ask in asks))
            await quiet()
            assert [len(ask.body) for ask in asks] == [1000] * 10
            session.credits = True
            for ask in asks:
                session.link.acknowledge_received_data(1000, ask.id)
            session.link.update_settings({WINDOW: 100_000})  # opens the windows of all streams
            await session.flush()
            for ask in asks:
                assert (await ask.response())[2] == bytes(300_000)


async def open_window(session: Session, ask: Ask, of: str) -> None:
    """Opens the window of the stream or of the connection by one byte."""
    session.link.increment_flow_control_window(1, ask.id if of == "stream" else None)
    await session.flush()


@pytest.mark.parametrize("of", ["stream", "connection"])
@pytest.mark.parametrize("upload", [False, True], ids=["request complete", "request goes on"])
async def test_an_end_waits_for_a_window(of: str, upload: bool) -> None:
    """The content fills a window exactly, and the end of the answer comes later."""
    release = trio.Event()
    size = 1000 if of == "stream" else 65535

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (size, bytes(size)))
        await release.wait()
        await peer.send(b"0\r\n\r\n")

    async with backends(script) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        window = {WINDOW: size if of == "stream" else 100_000}
        async with client(rig.port, settings=window, credits=False) as session:
            ask = await session.ask("POST", body=b"x", end=not upload)
            await session.until(lambda: len(ask.body) == size)
            release.set()
            await soon(lambda: rig.engine.statistics().exchanges == 0)
            await quiet()
            assert not ask.over
            await open_window(session, ask, of)
            await session.until(lambda: ask.ended or session.closed)
            if upload:
                await session.until(lambda: ask.reset is not None)
            assert (ask.ended, len(ask.body), ask.reset) == (True, size, NO_ERROR if upload else None)


@pytest.mark.parametrize("of", ["stream", "connection"])
async def test_trailers_need_no_window(of: str) -> None:
    size = 1000 if of == "stream" else 65535
    head = b"HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = saying(head + b"%x\r\n%s\r\n0\r\nX-T: yes\r\n\r\n" % (size, bytes(size)))
    async with backends(answer) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        window = {WINDOW: size if of == "stream" else 100_000}
        async with client(rig.port, settings=window, credits=False) as session:
            ask = await session.ask(fields=[("te", "trailers")])
            assert (await ask.response())[2] == bytes(size)
            assert (ask.ended, ask.trailers) == (True, [("x-t", "yes")])


async def test_the_window_of_a_connection_stops_only_content() -> None:
    """Heads and resets need none."""

    async def script(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            if b"/large" in head:
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE + bytes(LARGE))
            else:
                await peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with backends(script) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port, settings={WINDOW: 1 << 20}, credits=False) as session:
            asks = [await session.ask(path="/large") for _ in range(8)]
            await session.until(lambda: sum(len(ask.body) for ask in asks) == CONNECTION_FIRST)
            await quiet()
            assert rig.buffered() < 8 * 20_000 + 100_000
            assert (await (await session.ask()).response())[0] == 204
            await asks.pop().cancel()
            await soon(lambda: rig.engine.statistics().exchanges == 7)
            session.link.increment_flow_control_window(16 << 20)
            await session.flush()
            for ask in asks:
                assert (await ask.response())[2] == bytes(LARGE)
