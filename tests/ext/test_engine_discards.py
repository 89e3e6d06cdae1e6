"""How many bytes a turn reads only to discard them: responses of mirrors, request bodies after an early response."""

import pytest
import trio
import trio.lowlevel
from rig import PATIENCE, Peer, Rig, backends, connect, quiet, rule

from fastroute.settings import Limits
from fastroute.snapshot import Mirror, Redirect

LOOK = 1e-3  # seconds by which each reading of the held clock advances it: a turn of 3 ms has at most four visits
READ = 131_072  # bytes that one visit reads (reactor.pxd)
VISITS = 5
CLIENTS = 24

pytestmark = pytest.mark.usefixtures("transport")


async def test_a_turn_reads_a_limited_part_of_the_responses_of_mirrors() -> None:
    """Each mirror answers with a megabyte in chunks of one byte, which cost the most."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 160_000 + b"0\r\n\r\n"
    begin = trio.Event()
    ready = done = 0

    async def talkative(peer: Peer) -> None:
        nonlocal ready, done
        await peer.request()
        ready += 1
        await begin.wait()
        await peer.send(answer)
        done += 1
        await peer.rest()

    async def silent(peer: Peer) -> None:
        await peer.rest()

    rig = Rig(Limits(max_connections=CLIENTS))
    rig.engine.hold_clock()
    rig.listen()
    rig.install(rule("b", filters=[Mirror(backend="m")]))
    async with backends(silent, talkative) as [backend, mirror], trio.open_nursery() as nursery:
        rig.put("b", backend.port)
        rig.put("m", mirror.port)
        async with trio.open_nursery() as turning:
            turning.start_soon(rig.turn_forever)
            clients = [await connect(rig.port) for _ in range(CLIENTS)]
            for client in clients:
                await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            with trio.fail_after(PATIENCE):
                while ready < CLIENTS:  # noqa: ASYNC110
                    await trio.sleep(0.002)
            turning.cancel_scope.cancel()
        begin.set()
        await quiet(0.05)
        rig.engine.hold_clock(LOOK)
        turns = 0
        with trio.fail_after(PATIENCE):
            while rig.engine.statistics().upstream_idle < CLIENTS:
                rig.engine.turn()
                await trio.lowlevel.checkpoint()
                turns += 1
        assert done == CLIENTS
        assert turns > CLIENTS * len(answer) / (1.25 * VISITS * READ)
        nursery.cancel_scope.cancel()
    rig.close()


@pytest.mark.parametrize("kept", [True, False])
async def test_a_turn_discards_a_limited_part_of_the_requests(kept: bool) -> None:
    """The response does not need the body: a short body is read so that the connection can be used again; of a long one
    the rest is read for a while, so that the response arrives."""
    size = 60_000 if kept else 900_000
    rig = Rig(Limits(max_connections=CLIENTS))
    rig.engine.hold_clock()
    rig.listen()
    rig.install(rule(filters=[Redirect(status=302, hostname="x")]))
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as turning:
            turning.start_soon(rig.turn_forever)
            clients = [await connect(rig.port) for _ in range(CLIENTS)]
            for client in clients:
                await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
                assert (await client.head()).startswith(b"HTTP/1.1 302 ")
            turning.cancel_scope.cancel()
        for client in clients:
            nursery.start_soon(client.send, b"x" * (size - 1))
        await quiet(0.05)
        rig.engine.hold_clock(LOOK)
        with trio.fail_after(PATIENCE):
            turns = await turns_until_sent(rig, nursery)
        assert turns >= CLIENTS * max(size / READ, 1) / (1.25 * VISITS)
    rig.close()


async def turns_until_sent(rig: Rig, nursery: trio.Nursery) -> int:
    """How many turns the engine needs until the other side could send everything, and nothing is left to read."""
    turns = idle = 0
    while nursery.child_tasks or idle < 20:
        more = rig.engine.turn()
        await trio.lowlevel.checkpoint()
        turns += 1
        idle = 0 if more or nursery.child_tasks else idle + 1
    return turns - idle
