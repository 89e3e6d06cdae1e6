"""What the kernel and the buffers hold for peers that do not read: limits of a socket and of a worker."""

import fcntl
import os
import socket
import struct
import termios
from collections.abc import Iterator

import pytest
import trio
from rig import GET, OK, PLAIN, Peer, backends, connect, quiet, rule, running, soon

from fastroute.settings import Limits

pytestmark = [pytest.mark.usefixtures("transport"), PLAIN]

MOST = 512 * 1024  # bytes that the kernel may hold for a peer
LARGE = 64 << 20


SO_MEMINFO = 55


def connections(port: int) -> Iterator[tuple[socket.socket, bool]]:
    """Each connection of this process with this port, and whether it is the local one."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
        except FileNotFoundError:  # the descriptor of the listing
            continue
        with socket.socket(fileno=os.dup(int(name))) as one:
            try:
                ports = one.getsockname()[1], one.getpeername()[1]
            except (OSError, IndexError):  # not connected, or not TCP
                continue
            if port in ports:
                yield one, ports[0] == port


def queues(port: int) -> list[int]:
    """Bytes that the kernel holds for the peer of each connection of this process with a local or remote `port`."""
    return [struct.unpack("i", fcntl.ioctl(one, termios.TIOCOUTQ, b"\0" * 4))[0] for one, _ in connections(port)]


def kernel_memory(port: int, *, local: bool) -> tuple[int, int]:
    """The most bytes of kernel memory that a connection with this local or remote port has for received bytes that were
    not read, and for bytes to be sent."""
    found = [
        struct.unpack("9I", one.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))
        for one, is_local in connections(port)
        if is_local is local
    ]
    return max(each[0] for each in found), max(each[5] for each in found)


async def generous(peer: Peer) -> None:
    """Answers with as much as its client takes."""
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
    with trio.move_on_after(float("inf")):
        for _ in range(LARGE >> 16):
            await peer.stream.send_all(b"x" * 65536)


async def lazy(peer: Peer) -> None:
    """Takes 20 MB of a request, then nothing more."""
    await peer.head()
    await peer.exactly(20_000_000)
    await trio.sleep_forever()


async def test_the_kernel_holds_little_for_a_client_that_stops_reading() -> None:
    async with backends(generous) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        await client.exactly(20_000_000)  # so that the kernel raises its limits, if it may
        client.buffer = b""
        await quiet(0.1)
        assert 100_000 < max(queues(rig.port)) <= MOST
        assert kernel_memory(rig.port, local=True)[1] <= MOST


async def test_the_kernel_holds_little_for_a_backend_that_stops_reading() -> None:
    async def upload() -> None:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LARGE)
        while True:
            await client.stream.send_all(b"x" * 65536)

    async with backends(lazy) as [backend], running(rule("b")) as rig, trio.open_nursery() as nursery:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        nursery.start_soon(upload)
        await soon(lambda: bool(backend.open) and max(queues(backend.port)) > 100_000)
        await quiet(0.1)
        assert max(queues(backend.port)) <= MOST
        assert kernel_memory(backend.port, local=False)[1] <= MOST
        nursery.cancel_scope.cancel()


# ------------------------------------------------------------------------------------------------- the budget

BUDGET = 1 << 20


async def test_above_the_budget_the_greediest_connections_end() -> None:
    """Forty clients do not read. The budget has no room for all of them, but for a request that holds little."""

    async def script(peer: Peer) -> None:
        head, _ = await peer.request()
        if b"/victim" in head:
            await victim_may.wait()
            await peer.send(OK)
        else:
            peer.buffer = head
            await generous(peer)

    victim_may = trio.Event()
    async with (
        backends(script) as [backend],
        running(rule("b"), limits=Limits(max_buffered=BUDGET), log=True) as rig,
    ):
        rig.put("b", backend.port)
        victim = await connect(rig.port)
        await victim.send(b"GET /victim HTTP/1.1\r\nHost: a\r\n\r\n" + b"GET / HTTP/1.1\r\n")
        clients = []
        for _ in range(40):
            clients.append(await connect(rig.port))
            await clients[-1].send(GET)
        await soon(lambda: rig.counters.fixed()["ended_buffers_full"] > 0)
        await quiet(0.05)
        assert rig.engine.statistics().buffered <= BUDGET
        assert rig.counters.fixed()["buffered"] <= BUDGET
        ended = rig.counters.fixed()["ended_buffers_full"]
        assert 1 <= ended < 40
        lines = rig.lines()
        assert [line["reason"] for line in lines] == ["buffers_full"] * ended
        assert {line["status"] for line in lines} == {200}
        victim_may.set()
        assert (await victim.response())[::2] == (200, b"ok")
        for client in clients:
            await client.close()


async def test_a_request_that_is_not_answered_yet_gets_503() -> None:
    """Heads that are not complete, and bytes behind a request, count as well."""

    async def silent(peer: Peer) -> None:
        while await peer.more():
            peer.buffer = b""

    part = b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 60_000
    async with (
        backends(silent) as [backend],
        running(rule("b"), limits=Limits(max_buffered=200_000), log=True) as rig,
    ):
        rig.put("b", backend.port)
        for request in (part, GET + part):
            clients = [await connect(rig.port) for _ in range(4)]
            for client in clients:
                await client.send(request)
                await quiet()
            ended = rig.counters.fixed()["ended_buffers_full"]
            assert ended >= 1
            assert rig.engine.statistics().buffered <= 200_000
            answers = [line for line in rig.lines() if line["reason"] == "buffers_full"]
            assert len(answers) == ended == rig.local("buffers_full")
            assert {line["status"] for line in answers} == {503}
            for client in clients:
                await client.reset()
            await quiet()
            assert rig.engine.statistics().buffered == 0


@pytest.mark.parametrize("count", [60, 300])
async def test_only_the_connections_of_a_namespace_that_holds_more_than_its_share_end(count: int) -> None:
    """Each of them holds less than the connections of another namespace."""
    held = 30_000 if count == 60 else 3000

    async def silent(peer: Peer) -> None:
        while await peer.more():
            peer.buffer = b""

    rules = (rule("b", path="/victim", route="victim/route"), rule("s", name="1", route="greedy/route"))
    async with (
        backends(generous, silent) as [backend, quiet_one],
        running(*rules, limits=Limits(max_buffered=BUDGET), log=True) as rig,
    ):
        rig.put("b", backend.port)
        rig.put("s", quiet_one.port)
        victims = [await connect(rig.port) for _ in range(4)]
        for victim in victims:
            await victim.send(b"GET /victim HTTP/1.1\r\nHost: a\r\n\r\n")
        await soon(lambda: rig.engine.statistics().buffered >= 65_536)  # each holds at most 64 KiB, often less
        clients = []
        for _ in range(count):
            clients.append(await connect(rig.port))
            await clients[-1].send(GET + b"GET / HTTP/1.1\r\nX: " + b"x" * held)
        await soon(lambda: rig.counters.fixed()["ended_buffers_full"] > 0)
        await quiet(0.05)
        assert rig.engine.statistics().buffered <= BUDGET
        # On a busy machine, requests of the victim may end because their client is slow.
        lines = [line for line in rig.lines() if line["reason"] == "buffers_full"]
        assert {line["route"] for line in lines} == {"greedy/route"}
        assert len(lines) == rig.counters.fixed()["ended_buffers_full"] < count
        for each in (*victims, *clients):
            await each.close()
