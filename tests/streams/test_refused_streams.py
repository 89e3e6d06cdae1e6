"""Streams that a backend says that it has not processed: their requests are tried again, whatever the method."""

from collections.abc import Callable

import pytest
import trio
from rig import GET, OK, Peer, Rig, backends, connect, quiet, rule, running, soon
from streams.frames import LEAVE, REFUSED, Channel, Frames, framed

Use = Callable[..., None]
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
LONG = 100_000  # more than is kept of a body


def leaving(last: int) -> tuple[int, int, bytes]:
    """A frame after which the backend processes no stream above this one."""
    return 0, LEAVE, last.to_bytes(4, "big")


class Taking:
    """A backend that notes the requests, and answers when `open` is set."""

    def __init__(self) -> None:
        self.open = trio.Event()
        self.connections: list[Frames] = []
        self.taken: list[tuple[int, int, bytes]] = []  # connection, stream, body

    async def __call__(self, peer: Peer) -> None:
        assert isinstance(peer, Channel)
        _, body = await peer.request()
        self.taken.append((self.connections.index(peer.frames), peer.id, body))
        await self.open.wait()
        await peer.send(OK)


async def refusing(peer: Peer) -> None:
    assert isinstance(peer, Channel)
    await peer.request()
    await peer.reset(REFUSED)


async def answered(rig: Rig, request: bytes) -> int:
    peer = await connect(rig.port)
    await peer.send(request)
    status: int = (await peer.response())[0]
    await peer.close()
    return status


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_another_endpoint_is_tried(use: Use, request_: bytes) -> None:
    taking = Taking()
    taking.open.set()
    async with (
        backends(framed(refusing), framed(taking, taking.connections)) as [no, yes],
        running(rule("b"), held=True) as rig,
    ):
        use(rig, "b")
        rig.put("b", no.port, yes.port)
        assert [await answered(rig, request_) for _ in range(20)] == [200] * 20
        assert len(taking.taken) == 20
        assert (no.connections, yes.connections) == (1, 1)
        counted = rig.counters.fixed()
        assert 0 < counted["retries_refused"] < 20
        assert all(failures == 0 for _, _, failures in rig.upstreams.statistics()["b"])


async def test_the_only_endpoint_is_asked_again(use: Use) -> None:
    async with backends(framed(refusing)) as [backend], running(rule("b"), held=True, log=True) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        assert await answered(rig, GET) == 503
        assert [line["reason"] for line in rig.lines()] == ["upstream_refused"]
        assert rig.counters.fixed()["retries_refused"] == 2
        await quiet()
        assert rig.engine.statistics().upstream_idle == 1


async def test_a_backend_that_leaves_says_which_streams_it_processes(use: Use) -> None:
    """The others are tried again on a new connection. Those that it processes are not, also if the connection ends."""
    taking = Taking()
    async with backends(framed(taking, taking.connections)) as [backend], running(rule("b"), held=True) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        clients = [await connect(rig.port) for _ in range(4)]
        for number, client in enumerate(clients, 1):
            await client.send(POST)
            await soon(lambda number=number: len(taking.taken) == number)  # type: ignore[misc]
        await taking.connections[0].add(*leaving(2))
        await soon(lambda: len(taking.taken) == 6)
        assert sorted(stream for connection, stream, _ in taking.taken if connection == 1) == [1, 2]
        with trio.CancelScope() as scope:
            scope.cancel()
            await taking.connections[0].peer.stream.aclose()
        for client in clients[:2]:
            assert (await client.response())[0] == 502
        taking.open.set()
        for client in clients[2:]:
            assert (await client.response())[0] == 200
        assert backend.connections == 2


async def test_a_request_is_tried_three_times_at_most(use: Use) -> None:
    async def script(peer: Peer) -> None:
        assert isinstance(peer, Channel)
        await peer.request()
        await peer.frames.add(*leaving(0))

    async with backends(framed(script)) as [backend], running(rule("b"), held=True) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        assert await answered(rig, POST) == 503
        assert backend.connections == 3
        await soon(lambda: backend.open == 0)


async def test_the_part_of_the_body_that_was_sent_is_sent_again(use: Use) -> None:
    taking = Taking()
    taking.open.set()

    async def script(peer: Peer) -> None:
        assert isinstance(peer, Channel)
        if backend.connections > 1:
            await taking(peer)
            return
        await peer.head()
        assert await peer.exactly(2) == b"he"
        await peer.frames.add(*leaving(0))

    async with backends(framed(script, taking.connections)) as [backend], running(rule("b"), held=True) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        await soon(lambda: backend.connections == 2)
        await client.send(b"llo")
        assert (await client.response())[0] == 200
        assert [body for _, _, body in taking.taken] == [b"hello"]


@pytest.mark.parametrize("before", ["a long body", "an interim answer"])
async def test_what_cannot_be_taken_back_is_not_tried_again(use: Use, before: str) -> None:
    """Too much of the body was sent to keep it, or the backend has answered."""

    async def script(peer: Peer) -> None:
        assert isinstance(peer, Channel)
        await peer.head()
        if before == "a long body":
            await peer.exactly(LONG)
        else:
            await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await peer.reset(REFUSED)

    async with (
        backends(framed(script), framed(script)) as both,
        running(rule("b"), held=True, log=True) as rig,
    ):
        use(rig, "b")
        rig.put("b", *(one.port for one in both))
        body = bytes(LONG if before == "a long body" else 2)
        request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        client = await connect(rig.port)
        await client.send(request)
        assert (await client.response())[0] == 502
        assert sum(one.connections for one in both) == 1
        assert [line["reason"] for line in rig.lines()] == ["upstream_closed"]
