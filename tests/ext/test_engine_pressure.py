"""The engine under load: slow peers, large bodies, resets at every point, fairness, limits of turns and memory."""

import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio
from rig import GET, OK, PATIENCE, PLAIN, Peer, Rig, answering, backends, connect, quiet, rule, running, soon

from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n01234567890123456789"


LOOK = 20e-6  # seconds by which each reading of the held clock advances it
BUDGET = 3500  # microseconds: the time budget of a turn (turn.pyx) and the work that it then completes

# A sanitizer keeps freed memory for a while, so the memory size is not significant.
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")


def resident() -> int:
    """Resident memory of this process in bytes; 0 with a sanitizer."""
    if SANITIZED:
        return 0
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def gone(rig: Rig) -> None:
    """Waits until no exchange and no client is left."""
    await soon(lambda: not sum(rig.engine.statistics()[:2]))


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_slow_reader_slows_its_backend(framing: str) -> None:
    """100 MiB for each of ten clients that do not read: the buffered data is limited, however much is left to send."""
    sent = 0

    async def generous(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        piece = b"x" * 65536
        if framing == "length":
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1600 * 65536))
        else:
            await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            piece = b"10000\r\n" + piece + b"\r\n"
        for _ in range(1600):
            await peer.stream.send_all(piece)
            sent += 65536

    async with backends(generous) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        clients = [await connect(rig.port) for _ in range(10)]
        before = resident()
        for client in clients:
            await client.send(GET)
        await quiet(0.1)
        assert resident() - before < 10 * 400_000 + 4_000_000
        stalled = sent
        await quiet(0.1)
        assert sent - stalled < 2_000_000
        assert sent < 10 * 800 * 65536
        for client in clients[1:]:
            await client.close()
        await clients[0].head()
        total = len(clients[0].buffer)
        while total < 20_000_000:
            with trio.fail_after(PATIENCE):
                total += len(await clients[0].stream.receive_some(1 << 20))
        await clients[0].close()
        await gone(rig)


async def test_a_slow_backend_slows_its_client() -> None:
    async def lazy(peer: Peer) -> None:
        await peer.head()
        await trio.sleep_forever()

    sent = 0

    async def upload(port: int) -> None:
        nonlocal sent
        client = await connect(port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
        while True:
            await client.stream.send_all(b"x" * 65536)
            sent += 65536

    async with backends(lazy) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        before = resident()
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(upload, rig.port)
            await quiet(0.1)
            assert resident() - before < 10 * 400_000 + 4_000_000
            nursery.cancel_scope.cancel()


async def test_one_byte_at_a_time_both_ways() -> None:
    async def trickle(peer: Peer) -> None:
        await peer.request()
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n":
            await peer.send(bytes([byte]))
            await trio.lowlevel.checkpoint()

    async with backends(trickle) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for byte in POST:
            await client.send(bytes([byte]))
            await trio.lowlevel.checkpoint()
        assert (await client.response())[2] == b"abc"


@pytest.mark.parametrize("request_bytes", [GET, POST], ids=["get", "post"])
@pytest.mark.parametrize("how", ["reset", "close", "half"])
async def test_clients_that_break_off_anywhere(request_bytes: bytes, how: str) -> None:
    """After any number of bytes, before and during the response: the engine closes the connection and serves the next
    client."""
    async with backends(answering) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        for size in range(len(request_bytes) + 1):
            client = await connect(rig.port)
            await client.send(request_bytes[:size])
            if size % 3:
                await trio.sleep(0.001)
            if how == "half":
                await client.end_of_writing()
                await client.rest()
            await (client.reset() if how == "reset" else client.close())
        await gone(rig)
        client = await connect(rig.port)
        await client.send(GET)
        assert (await client.response())[2] == b"ok"


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
async def test_backends_that_break_off_anywhere(answer: bytes, how: str) -> None:
    """A complete response, a 502 or a truncated response: no partial response looks complete, the engine survives."""
    size = 0

    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer[:size])
        await quiet(0.002)  # the engine has received it
        if how == "reset":
            await peer.reset()

    async with backends(cut) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        final = answer.index(b"HTTP/1.1 200")
        end_of_head = answer.index(b"\r\n\r\n", final) + 4
        for size in range(len(answer) + 1):
            client = await connect(rig.port)
            await client.send(GET)
            try:
                status, _, body = await client.response()
            except EOFError:
                assert end_of_head <= size < len(answer)
            else:
                assert (status == 200) == (size == len(answer))
                assert status == 502 or body == b"body"
            await client.close()
        await gone(rig)


async def test_nothing_is_lost_in_memory() -> None:
    """The same mixed load several times: after the first rounds, memory use does not grow."""

    async def mixed(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            if b"/reset" in head:
                return await peer.reset()
            size = 200_000 if b"/big" in head else 10
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)

    long = b"GET /%s HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (b"a" * 700, b"b" * 5000)
    requests = [
        GET,
        POST,
        GET * 3,
        long,
        b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n",
        b"nonsense\r\n\r\n",
        POST[:-3],
        GET[:9],
    ]
    requests += [
        b"POST /reset HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
    rules = rule("b"), rule("empty", name="1", path="/none")
    async with backends(mixed) as [backend], running(*rules, log=True) as rig:
        rig.put("b", backend.port)
        sizes = []
        for _ in range(5):
            for request in requests * 20:
                client = await connect(rig.port)
                await client.send(request)
                await client.end_of_writing()
                await client.rest()
                await client.close()
            rig.install(*rules)
            sizes.append(resident())
        assert sizes[-1] - sizes[2] < 600_000, sizes


@PLAIN
async def test_nobody_starves_and_turns_are_short() -> None:
    """Two endless downloads, two endless uploads and endless pipelines: a small request is still served soon.

    "Soon" is measured in turns; the length of a turn, with a clock that advances only when the engine reads it.
    """

    async def endless(peer: Peer) -> None:
        head = await peer.head()
        if b"POST" in head:
            while await peer.more():
                peer.buffer = b""
        if b"/big" in head:
            await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                await peer.stream.send_all(b"40000\r\n" + b"x" * 0x40000 + b"\r\n")
        while True:
            await peer.send(OK)
            await peer.head()

    async def download(port: int) -> None:
        client = await connect(port)
        await client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        while await client.stream.receive_some(1 << 20):
            pass

    async def upload(port: int) -> None:
        client = await connect(port)
        await client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
        while True:
            await client.stream.send_all(b"x" * (1 << 18))

    async def pipeline(port: int) -> None:
        client = await connect(port)
        async with trio.open_nursery() as both:

            async def ask() -> None:
                while True:
                    await client.stream.send_all(GET * 1000)

            both.start_soon(ask)
            while await client.stream.receive_some(1 << 20):
                pass

    async with backends(endless) as [backend], running(rule("b")) as rig, trio.open_nursery() as nursery:
        rig.engine.hold_clock(LOOK)
        rig.put("b", backend.port)
        for one in (download, download, upload, upload, pipeline, pipeline):
            nursery.start_soon(one, rig.port)
        await soon(lambda: rig.engine.statistics().exchanges == 6 and rig.engine.statistics().turns > 100)
        client = await connect(rig.port)
        turns = []
        for _ in range(30):
            begun = rig.engine.statistics().turns
            await client.send(GET)
            assert (await client.response())[2] == b"ok"
            turns.append(rig.engine.statistics().turns - begun)
        nursery.cancel_scope.cancel()
    assert sorted(turns)[15] <= 20
    assert rig.engine.statistics().worst_turn < BUDGET


@PLAIN
async def test_a_turn_is_short_when_everything_comes_at_once() -> None:
    """500 connections, 500 requests and 500 expired deadlines at once: the work is divided into many short turns."""
    rig = Rig(Limits(idle_timeout=60))
    rig.listen()
    rig.install(rule("b"))
    rig.engine.hold_clock(LOOK)
    async with backends(answering) as [backend]:
        rig.put("b", backend.port)
        clients = [await connect(rig.port) for _ in range(500)]
        for client in clients:
            await client.send(GET)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.turn_forever)
            for client in clients:
                assert (await client.response())[0] == 200
            await quiet()
            turns = rig.engine.statistics().turns
            assert turns > 10
            rig.engine.advance(61)
            for client in clients:
                assert await client.rest() == b""
            assert rig.engine.statistics().turns - turns > 3
            nursery.cancel_scope.cancel()
    assert rig.engine.statistics().worst_turn < BUDGET
    rig.close()


CLIENTS = r"""
import socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
clients = []
for _ in range(count):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.recv(1000).startswith(b"HTTP/1.1 404")
    clients.append(client)
sys.stdin.read()
"""


@PLAIN
async def test_idle_connections_are_cheap() -> None:
    """At most 1 KiB of this process for each (the benchmark allows 8); the clients run in another process."""
    count = 800
    async with running() as rig, trio.open_nursery() as nursery:
        before = resident()
        command = [sys.executable, "-c", CLIENTS, str(rig.port), str(count)]
        process = await nursery.start(partial(trio.run_process, command, stdin=subprocess.PIPE))
        assert process.stdin
        await soon(lambda: rig.engine.statistics().downstream_idle >= count)
        assert (resident() - before) / count < 1024
        await process.stdin.aclose()


def test_turns_do_not_wait_while_trio_has_something_to_do() -> None:
    """Turns in a row wait for more events, except after a watched descriptor became readable, until the pause has
    passed."""
    rig = Rig()
    rig.engine.hold_clock()
    ours, theirs = socket.socketpair()

    def waits() -> bool:
        """Whether turns wait for more events."""
        before = rig.engine.statistics().waits
        rig.engine.take_turns()
        return rig.engine.statistics().waits > before

    with ours, theirs:
        rig.engine.heed(ours.fileno())
        while rig.engine.turn():
            pass
        assert waits()
        theirs.send(b"x")
        assert not waits()
        assert not waits()
        rig.engine.advance(0.0015)
        assert waits()
        rig.engine.hurry()  # the descriptor was read before a turn could detect it
        assert not waits()
        rig.engine.advance(0.0015)
        assert waits()
    rig.engine.turn()
    with pytest.raises(OSError, match="Bad file"):
        rig.engine.heed(ours.fileno())
    rig.close()


def test_a_clock_that_is_not_held_cannot_be_moved() -> None:
    rig = Rig()
    with pytest.raises(ValueError, match="not held"):
        rig.engine.advance(1)
    rig.close()


def test_an_idle_engine_does_nothing() -> None:
    rig = Rig()
    rig.listen()
    for _ in range(3):
        rig.engine.turn()
    turns = rig.engine.statistics().turns

    async def main() -> None:
        with trio.move_on_after(0.3):
            await rig.turn_forever()

    trio.run(main)
    assert rig.engine.statistics().turns - turns <= 2
    rig.close()
