"""How much one turn relays when every connection has as much as possible to relay."""

import fcntl
import struct
import termios

import pytest
import trio
import trio.lowlevel
from rig import GET, PATIENCE, PLAIN, Peer, Rig, backends, connect, quiet, rule, soon
from steps import client, is_readable, standing

LOOK = 1e-3  # seconds by which each reading of the held clock advances it: a turn of 3 ms has at most four visits
READ = 131_072  # bytes that one visit reads in each direction (reactor.pxd)
VISITS = 5
CLIENTS = 32

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
# What a backend sends, forever: the start, then the same piece again and again.
ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 65536),
    "until the end": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
    "large chunks": (CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    "chunks of one byte": (CHUNKED, b"1\r\nx\r\n" * 10_000),
    "tunnel": (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", b"x" * 65536),
}

pytestmark = pytest.mark.usefixtures("transport")


def waiting(peers: list[Peer]) -> int:
    """The bytes that the engine has sent and these peers have not read."""
    return sum(
        struct.unpack("i", fcntl.ioctl(peer.stream.socket.fileno(), termios.FIONREAD, b"\0" * 4))[0] for peer in peers
    )


async def bytes_per_turn(rig: Rig, receivers: list[Peer]) -> float:
    """The average number of bytes that a turn sends to the receivers, until they take no more."""
    rig.engine.hold_clock(LOOK)
    turns = idle = 0
    before = first = waiting(receivers)
    while idle < 20:
        rig.engine.turn()
        await trio.lowlevel.checkpoint()
        after = waiting(receivers)
        idle = idle + 1 if after == before else 0
        before = after
        turns += 1
    assert before - first > 2 * VISITS * READ
    return (before - first) / (turns - idle)


@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_turn_relays_a_limited_part_of_the_responses(answer: str, minor: int) -> None:
    start, piece = ANSWERS[answer]
    if answer == "tunnel" and minor == 0:
        pytest.skip("HTTP/1.0 has no upgrades")
    ready = 0
    begin = trio.Event()

    async def endless(peer: Peer) -> None:
        nonlocal ready
        await peer.request()
        ready += 1
        await begin.wait()
        await peer.stream.send_all(start)
        while True:
            await peer.stream.send_all(piece)

    rig = Rig()
    rig.listen()
    rig.install(rule("b"))
    async with backends(endless) as [backend], trio.open_nursery() as nursery:
        rig.put("b", backend.port)
        async with trio.open_nursery() as turning:
            turning.start_soon(rig.turn_forever)
            clients = [await connect(rig.port) for _ in range(CLIENTS)]
            for client in clients:
                upgrade = b"Connection: upgrade\r\nUpgrade: x\r\n" if answer == "tunnel" else b""
                await client.send(b"GET / HTTP/1.%d\r\nHost: a\r\n%s\r\n" % (minor, upgrade))
            await soon(lambda: ready == CLIENTS)
            turning.cancel_scope.cancel()
        begin.set()
        await quiet(0.05)
        with trio.fail_after(PATIENCE):
            assert await bytes_per_turn(rig, clients) < 1.25 * VISITS * READ
        nursery.cancel_scope.cancel()
    rig.close()


async def test_a_turn_relays_a_limited_part_of_the_interim_responses() -> None:
    """Each backend sends as many as are permitted before a response, at once."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: %s\r\n\r\n" % (b"x" * 600)
    ready = 0
    begin = trio.Event()

    async def hinting(peer: Peer) -> None:
        nonlocal ready
        await peer.request()
        ready += 1
        await begin.wait()
        await peer.stream.send_all(interim * (65_536 // len(interim)))
        await trio.sleep_forever()

    rig = Rig()
    rig.listen()
    rig.install(rule("b"))
    async with backends(hinting) as [backend], trio.open_nursery() as nursery:
        rig.put("b", backend.port)
        async with trio.open_nursery() as turning:
            turning.start_soon(rig.turn_forever)
            clients = [await connect(rig.port) for _ in range(CLIENTS)]
            for client in clients:
                await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await soon(lambda: ready == CLIENTS)
            turning.cancel_scope.cancel()
        begin.set()
        await quiet(0.05)
        with trio.fail_after(PATIENCE):
            assert await bytes_per_turn(rig, clients) < 1.25 * VISITS * 65_536
        nursery.cancel_scope.cancel()
    rig.close()


@pytest.mark.parametrize("chunk", [0, 1, 65536])
async def test_a_turn_relays_a_limited_part_of_the_requests(chunk: int) -> None:
    """`chunk`: content bytes in each chunk, 0 for a body with a length."""
    taken: list[Peer] = []

    async def lazy(peer: Peer) -> None:
        await peer.head()
        taken.append(peer)
        await trio.sleep_forever()

    framing = b"Transfer-Encoding: chunked" if chunk else b"Content-Length: 99999999999"
    piece = b"%x\r\n%s\r\n" % (chunk, b"x" * chunk) if chunk else b"x" * 65536

    async def upload(client: Peer) -> None:
        while True:
            await client.stream.send_all(piece * (65536 // len(piece) or 1))

    rig = Rig()
    rig.listen()
    rig.install(rule("b"))
    async with backends(lazy) as [backend], trio.open_nursery() as nursery:
        rig.put("b", backend.port)
        async with trio.open_nursery() as turning:
            turning.start_soon(rig.turn_forever)
            clients = [await connect(rig.port) for _ in range(CLIENTS)]
            for client in clients:
                await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % framing)
            await soon(lambda: len(taken) == CLIENTS)
            turning.cancel_scope.cancel()
        for client in clients:
            nursery.start_soon(upload, client)
        await quiet(0.05)
        with trio.fail_after(PATIENCE):
            assert await bytes_per_turn(rig, taken) < 1.25 * VISITS * READ
        nursery.cancel_scope.cancel()
    rig.close()


@PLAIN
def test_a_turn_without_time_for_a_visit_is_followed_by_one_with_a_visit() -> None:
    """Each reading of the clock takes as long as a turn, so what precedes the visits takes all of the time."""
    with standing() as (rig, stack):
        rig.engine.hold_clock(3e-3)
        one = client(rig, stack, GET * 3)
        received = b""
        for _ in range(100):
            rig.engine.turn()
            if is_readable(one.fileno()):
                received += one.recv(65_536)
        assert received.count(b"HTTP/1.1 503") == 3
