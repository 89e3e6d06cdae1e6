"""Many requests on one connection to a backend: HTTP/1.1 towards clients, framing.pyx towards backends."""

from collections.abc import Callable

import pytest
import trio
from rig import (
    GET,
    OK,
    PLAIN,
    Peer,
    answering,
    backends,
    connect,
    free_port,
    no_descriptor,
    quiet,
    reporting,
    rule,
    running,
    soon,
)
from securebackend import either, like
from streams.frames import CANCELLED, LEAVE, STREAM_WINDOW, Channel, Frames, client, framed

from fastroute import snapshot
from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")

Use = Callable[..., None]
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
LARGE = 1_000_000


def get(path: bytes) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path


class Gate:
    """A backend that answers requests for /wait when `open` is set, and notes which streams they are on."""

    def __init__(self) -> None:
        self.open = trio.Event()
        self.waiting = 0
        self.connections: list[Frames] = []

    async def answer(self, peer: Peer) -> None:
        head, _ = await peer.request()
        if b"/wait" in head:
            self.waiting += 1
            await self.open.wait()
        await peer.send(OK)


async def works(port: int, request: bytes = GET) -> None:
    peer = await connect(port)
    await peer.send(request)
    assert (await peer.response())[2] == b"ok"
    await peer.close()


async def test_one_connection_carries_many_requests(use: Use) -> None:
    gate = Gate()
    async with backends(framed(gate.answer)) as [backend], running(rule("b"), held=True) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        clients = [await connect(rig.port) for _ in range(20)]
        for peer in clients:
            await peer.send(get(b"/wait"))
        await soon(lambda: gate.waiting == 20)
        assert backend.connections == 1
        statistics = rig.engine.statistics()
        assert (statistics.upstream_active, statistics.upstream_idle) == (1, 0)
        gate.open.set()
        for peer in clients:
            assert (await peer.response())[2] == b"ok"
            await peer.send(GET)
            assert (await peer.response())[2] == b"ok"
        await quiet()
        assert backend.connections == 1
        statistics = rig.engine.statistics()
        assert (statistics.upstream_active, statistics.upstream_idle) == (0, 1)
        fixed = rig.counters.fixed()
        assert (fixed["upstream_active"], fixed["upstream_idle"]) == (0, 1)
        assert rig.counters.request_counts(1) == {200: 40}


async def test_a_full_connection_is_followed_by_another(use: Use, framing: object) -> None:
    most: int = framing.MOST  # type: ignore[attr-defined]
    gate = Gate()
    async with backends(framed(gate.answer)) as [backend], running(rule("b"), held=True) as rig:
        use(rig, "b", downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as one, client(rig.port) as two:
            streams = [await one.ask(get(b"/wait")) for _ in range(most)]
            streams += [await two.ask(get(b"/wait")) for _ in range(20)]
            await soon(lambda: gate.waiting == most + 20)
            assert backend.connections == 2
            gate.open.set()
            for stream in streams:
                assert (await stream.response())[2] == b"ok"


async def test_a_slow_client_closes_the_window_of_its_stream_alone(use: Use) -> None:
    async def script(peer: Peer) -> None:
        head, _ = await peer.request()
        if b"/large" not in head:
            await peer.send(OK)
            return
        channels.append(peer)  # type: ignore[arg-type]
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (20 * LARGE) + bytes(20 * LARGE))

    channels: list[Channel] = []
    async with backends(framed(script)) as [backend], running(rule("b"), held=True) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        slow = await connect(rig.port)
        await slow.send(get(b"/large"))
        await soon(lambda: bool(channels) and channels[0].window == 0)
        await quiet()
        assert channels[0].window == 0
        assert rig.buffered() < 300_000
        for _ in range(3):
            await works(rig.port)
        assert (await slow.response())[2] == bytes(20 * LARGE)
        assert backend.connections == 1


async def test_an_upload_waits_for_the_window_of_its_stream(use: Use) -> None:
    release = trio.Event()
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.head()
        channels.append(peer)  # type: ignore[arg-type]
        await release.wait()
        got.append(await peer.exactly(LARGE))
        await peer.send(OK)

    channels: list[Channel] = []
    async with backends(framed(script), answering) as [backend, _], running(rule("b"), held=True) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        async with trio.open_nursery() as nursery:
            request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LARGE + bytes(LARGE)
            nursery.start_soon(peer.send, request)
            await soon(lambda: bool(channels))
            await quiet()
            assert len(channels[0].arrived) <= STREAM_WINDOW
            assert rig.buffered() < 100_000
            release.set()
            assert (await peer.response())[2] == b"ok"
        assert got == [bytes(LARGE)]


async def test_a_backend_that_opens_no_window_times_out(use: Use) -> None:
    async def script(peer: Peer) -> None:
        await peer.frames.until(lambda: False)  # type: ignore[attr-defined]

    limits = Limits(body_idle_timeout=8, min_body_rate=0)
    async with backends(framed(script)) as [backend], running(rule("b"), held=True, limits=limits) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send, POST.replace(b": 2", b": 99999") + bytes(99999))
            response = (await rig.timed(peer.response, step=0.5))[0]
            nursery.cancel_scope.cancel()
        assert response[0] == 504
        await quiet()
        assert rig.engine.statistics().upstream_idle == 1  # its connection goes on


async def test_a_client_that_leaves_cancels_its_stream(use: Use) -> None:
    gate = Gate()
    async with backends(framed(gate.answer, gate.connections)) as [backend], running(rule("b"), held=True) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        await peer.send(get(b"/wait"))
        await soon(lambda: gate.waiting == 1)
        await peer.reset()
        assert await gate.connections[0].channels[1].until_reset() == CANCELLED
        await works(rig.port)
        assert backend.connections == 1


async def test_a_backend_resets_one_stream(use: Use) -> None:
    async def script(peer: Peer) -> None:
        head, _ = await peer.request()
        if b"/reset" in head:
            await peer.reset()
        elif b"/half" in head:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            await peer.reset()
        else:
            await peer.send(OK)

    async with backends(framed(script)) as [backend], running(rule("b"), held=True, log=True) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        await peer.send(get(b"/reset"))
        assert (await peer.response())[0] == 502
        await works(rig.port)
        await peer.send(get(b"/reset"))  # tried again, because the connection was used before
        assert (await peer.response())[0] == 502
        await peer.send(get(b"/half"))
        assert await peer.rest() != b""
        await works(rig.port)
        assert backend.connections == 1
        assert [line["reason"] for line in rig.lines()] == [
            "upstream_closed",
            None,
            "upstream_closed",
            "upstream_truncated",
            None,
        ]


async def test_an_answer_that_was_complete_before_the_reset_arrives(use: Use) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.end_of_writing()
        await peer.reset()

    async with backends(framed(script)) as [backend], running(rule("b"), held=True) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        await works(rig.port)
        await works(rig.port, POST)
        await works(rig.port, POST)
        assert backend.connections == 1


async def test_the_end_of_the_connection_ends_each_exchange(use: Use) -> None:
    gate = Gate()
    async with (
        backends(framed(gate.answer, gate.connections)) as [backend],
        running(rule("b"), held=True, log=True) as rig,
    ):
        use(rig, "b")
        rig.put("b", backend.port)
        await works(rig.port)
        fresh = [await connect(rig.port) for _ in range(6)]
        for peer in fresh[:3]:
            await peer.send(POST.replace(b"/", b"/wait", 1))
        for peer in fresh[3:]:
            await peer.send(get(b"/wait"))
        await soon(lambda: gate.waiting == 6)
        gate.open.set()
        with trio.CancelScope() as scope:
            scope.cancel()
            await gate.connections[0].peer.stream.aclose()
        for peer in fresh[:3]:
            assert (await peer.response())[0] == 502
        for peer in fresh[3:]:  # they may be repeated, on a new connection
            assert (await peer.response())[2] == b"ok"
        assert backend.connections == 2
        reasons = sorted(str(line["reason"]) for line in rig.lines())
        assert reasons == ["None"] * 4 + ["upstream_closed"] * 3


async def test_complete_answers_survive_the_end_of_the_connection(use: Use) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.end_of_writing()
        await peer.frames.peer.stream.aclose()  # type: ignore[attr-defined]

    async with backends(framed(script)) as [backend], running(rule("b"), held=True) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        for _ in range(3):
            await works(rig.port, POST)


async def test_a_refused_connection_fails_the_streams_that_wait_for_it(use: Use) -> None:
    async with running(rule("b"), held=True) as rig:
        use(rig, "b")
        rig.put("b", free_port())
        for _ in range(2):
            peer = await connect(rig.port)
            await peer.send(GET)
            assert (await peer.response())[0] == 503
        await quiet()
        assert rig.engine.statistics()[2:5] == (0, 0, 0)


async def test_a_backend_that_leaves_gets_no_more_streams(use: Use) -> None:
    gate = Gate()
    async with backends(framed(gate.answer, gate.connections)) as [backend], running(rule("b"), held=True) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        await peer.send(get(b"/wait"))
        await soon(lambda: gate.waiting == 1)
        await gate.connections[0].add(0, LEAVE)
        await quiet()
        await works(rig.port)
        assert backend.connections == 2
        gate.open.set()
        assert (await peer.response())[2] == b"ok"
        await soon(lambda: backend.open == 1)


async def test_connections_without_streams_close(use: Use) -> None:
    async with (
        backends(framed(answering)) as [backend],
        running(rule("b"), held=True, limits=Limits(upstream_idle_timeout=10)) as rig,
    ):
        use(rig, "b")
        rig.put("b", backend.port)
        await works(rig.port)
        await rig.passes(9)
        assert backend.open == 1
        await rig.passes(2)
        await soon(lambda: backend.open == 0)
        await works(rig.port)
        await quiet()
        rig.put("b")
        rig.engine.wake()
        await soon(lambda: backend.open == 0)


@PLAIN
@pytest.mark.usefixtures("framing")
async def test_the_oldest_idle_connections_make_room() -> None:
    """Sixteen at most. Each backend has its own pool key, and so its own connection."""
    names = [f"b{number}" for number in range(20)]
    rules = [rule(name, name=str(number), path=f"/{name}") for number, name in enumerate([*names, "other"])]
    gate = Gate()
    async with backends(either(framed(answering)), gate.answer) as [backend, other], running(*rules, held=True) as rig:
        rig.put("other", other.port)
        for name in names:
            rig.upstreams.speak(name, snapshot.Backend(protocol="framed", tls=like(name)))
            rig.put(name, backend.port)
            await works(rig.port, get(f"/{name}".encode()))
        await quiet()
        assert (backend.connections, rig.engine.statistics().upstream_idle) == (20, 20)
        client = await connect(rig.port)
        with no_descriptor():
            await client.send(get(b"/other/wait"))
            await soon(lambda: gate.waiting == 1)
        assert rig.engine.statistics().upstream_idle == 4
        gate.open.set()
        assert (await client.response())[2] == b"ok"


async def test_a_drain_closes_connections_after_their_streams(use: Use) -> None:
    gate = Gate()
    async with (
        backends(framed(gate.answer), framed(answering)) as [backend, idle],
        running(rule("b", name="0", path="/wait"), rule("i", name="1"), held=True) as rig,
    ):
        use(rig, "b", "i")
        rig.put("b", backend.port)
        rig.put("i", idle.port)
        await works(rig.port)
        peer = await connect(rig.port)
        await peer.send(get(b"/wait"))
        await soon(lambda: gate.waiting == 1)
        rig.engine.drain()
        await soon(lambda: idle.open == 0)
        assert backend.open == 1
        gate.open.set()
        assert (await peer.response())[2] == b"ok"
        await soon(lambda: backend.open == 0)
        await peer.close()
        await soon(lambda: rig.engine.statistics().drained)


async def test_mirrors_are_streams_too(use: Use) -> None:
    got: list[bytes] = []
    copied: list[bytes] = []
    mirrored = rule("b", filters=[snapshot.Mirror(backend="m")])
    async with (
        backends(framed(reporting(got)), framed(reporting(copied))) as [backend, mirror],
        running(mirrored, held=True) as rig,
    ):
        use(rig, "b", "m")
        rig.put("b", backend.port)
        rig.put("m", mirror.port)
        for _ in range(5):
            await works(rig.port, POST)
        await soon(lambda: len(copied) == 10)
        assert copied[1::2] == got[1::2] == [b"ab"] * 5
        assert (backend.connections, mirror.connections) == (1, 1)
        await soon(lambda: rig.counters.fixed()["mirrored"] == 5)


async def test_streams_on_both_sides(use: Use) -> None:
    body = bytes(range(256)) * 1000

    async def echo(peer: Peer) -> None:
        _, received = await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(received) + received)
        await peer.end_of_writing()

    async with backends(framed(echo)) as [backend], running(rule("b"), held=True) as rig:
        use(rig, "b", downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames, trio.open_nursery() as nursery:

            async def one() -> None:
                stream = frames.open()
                await frames.add(stream.id, 0)  # before those of later streams, which wait for the window
                await stream.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await stream.end_of_writing()
                assert (await stream.response())[2] == body

            for _ in range(20):
                nursery.start_soon(one)
        assert backend.connections == 1
        await soon(lambda: rig.engine.statistics().exchanges == 0)
        await soon(lambda: rig.buffered() < 1000)
