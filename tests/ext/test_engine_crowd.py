"""All client connections are in use, and another client comes: whose connection ends, and whose never does."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from rig import GET, OK, PATIENCE, Peer, Rig, backends, connect, quiet, rule, running

from fastroute.settings import Limits

ROOM = 90
CROWD = 80  # connections of the attacker's address
SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def answering(peer: Peer) -> None:
    """Does not answer requests for /slow, and switches protocols when asked to."""
    while True:
        head = await peer.head()
        if b"/slow" in head:
            await peer.rest()
            return
        await peer.send(SWITCH if b"Upgrade" in head else OK)


async def idle(client: Peer) -> None:
    await client.send(GET)
    assert (await client.response())[0] == 200


async def tunnel(client: Peer) -> None:
    await client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
    assert (await client.head()).startswith(b"HTTP/1.1 101 ")


async def half_a_head(client: Peer) -> None:
    await client.send(GET[:10])


async def waiting(client: Peer) -> None:
    await client.send(SLOW)


Use = Callable[[Peer], Awaitable[None]]


async def fill(rig: Rig, count: int, use: Use, source: str) -> list[Peer]:
    """`count` connections of a client address."""
    clients = []
    for _ in range(count):
        client = await connect(rig.port, source=source)
        await use(client)
        clients.append(client)
    await quiet()
    return clients


def ended(rig: Rig) -> int:
    return rig.counters.fixed()["ended_connections_full"]


async def served(rig: Rig, client: Peer) -> None:
    """Lets time pass until the client is answered; a sample may have found no connection."""
    async with trio.open_nursery() as nursery:

        async def passing() -> None:
            while True:
                rig.advance(0.1)
                await trio.sleep(0.01)

        nursery.start_soon(passing)
        with trio.fail_after(PATIENCE):
            assert (await client.response())[0] == 200
        nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize(
    ("use", "seconds"), [(idle, 2), (half_a_head, 2), (waiting, 11), (waiting, 0), (tunnel, 11), (tunnel, 0)]
)
async def test_a_crowd_makes_room(use: Use, seconds: int) -> None:
    limits = Limits(max_connections=ROOM)
    async with backends(answering) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        rig.put("b", backend.port)
        others = await fill(rig, ROOM - CROWD - 1, waiting, "127.0.0.3")
        [friend] = await fill(rig, 1, idle, "127.0.0.4")
        crowd = await fill(rig, CROWD, use, "127.0.0.2")
        rig.advance(seconds)
        if seconds:
            await idle(friend)
        client = await connect(rig.port, source="127.0.0.5")
        await client.send(GET)
        assert (await client.response())[0] == 200
        await idle(friend)
        assert ended(rig) == 1
        requests = len(crowd) - 1 if use in (waiting, tunnel) else 0
        assert rig.engine.statistics().exchanges == len(others) + requests


async def test_with_a_low_limit_few_connections_are_a_crowd() -> None:
    limits = Limits(max_connections=20)
    async with backends(answering) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        rig.put("b", backend.port)
        others = await fill(rig, 7, waiting, "127.0.0.3")
        crowd = await fill(rig, 13, tunnel, "127.0.0.2")
        rig.advance(11)
        client = await connect(rig.port)
        await client.send(GET)
        await served(rig, client)
        assert ended(rig) == 1
        assert rig.engine.statistics().exchanges == len(others) + len(crowd) - 1


async def test_an_idle_connection_makes_room() -> None:
    limits = Limits(max_connections=5)
    async with backends(answering) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        rig.put("b", backend.port)
        others = await fill(rig, 4, waiting, "127.0.0.2")
        [one] = await fill(rig, 1, idle, "127.0.0.3")
        client = await connect(rig.port)
        await client.send(GET)
        await quiet()
        assert ended(rig) == 0, "it was used just now"
        await served(rig, client)
        assert await one.rest() == b""
        assert ended(rig) == 1
        assert rig.engine.statistics().exchanges == len(others)


async def test_a_request_of_a_small_client_is_not_ended() -> None:
    limits = Limits(max_connections=5)
    async with backends(answering) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        rig.put("b", backend.port)
        first, *others = await fill(rig, 5, waiting, "127.0.0.2")
        client = await connect(rig.port)
        await client.send(GET)
        for _ in range(50):
            rig.advance(0.5)
            await trio.sleep(0.01)
        assert ended(rig) == 0
        assert rig.engine.statistics().exchanges == 5
        await first.close()
        await served(rig, client)
        assert len(others) == 4
