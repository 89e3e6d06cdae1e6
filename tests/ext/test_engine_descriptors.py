"""The namespaces share the descriptors for connections to backends: one that uses many leaves some for the others."""

import resource
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from rig import OK, PATIENCE, Backend, Peer, Rig, backends, connect, hanging, quiet, rule, soon

from fastroute.settings import Limits

CLIENTS = 160  # --max-connections
ROOM = 143  # descriptors for connections to backends
OTHERS = 256 + 1  # of the worker, and its listening socket
HELD = 128  # the most that one namespace may have of 143: about eight for each of those that remain free


class Answering:
    """A backend that answers while it is released, and closes connections after a request when it has had enough."""

    def __init__(self) -> None:
        self.released = trio.Event()
        self.enough = False

    async def __call__(self, peer: Peer) -> None:
        while await peer.head() and not self.enough:
            await self.released.wait()
            await peer.send(OK)


@asynccontextmanager
async def worker() -> AsyncIterator[tuple[Rig, Backend, Answering]]:
    """With a backend of the namespace `crowd` that does not answer, and one of `small` that answers when released."""
    answering = Answering()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (CLIENTS + ROOM + OTHERS, before[1]))
    try:
        rig = Rig(Limits(max_connections=CLIENTS))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    rig.listen()
    rig.install(
        rule("crowd", route="crowd/route", path="/crowd"),
        rule("small", route="small/route", path="/small", name="1"),
        rule("small", route="crowd/other", path="/other", name="2"),
    )
    async with backends(hanging, answering) as (crowd, small), trio.open_nursery() as nursery:
        rig.put("crowd", crowd.port)
        rig.put("small", small.port)
        nursery.start_soon(rig.turn_forever)
        try:
            yield rig, crowd, answering
        finally:
            nursery.cancel_scope.cancel()
            rig.close()


async def reset(client: Peer) -> None:
    client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await client.close()


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


async def asking(rig: Rig, path: str, count: int) -> list[Peer]:
    clients = [await connect(rig.port) for _ in range(count)]
    for client in clients:
        await client.send(request(path))
    await quiet()
    return clients


@pytest.mark.parametrize("wanted", [HELD + 1, HELD + 15])
async def test_a_namespace_with_many_connections_leaves_some_to_others(wanted: int) -> None:
    async with worker() as (rig, crowd, small):
        small.released.set()
        clients = await asking(rig, "/crowd", wanted)
        await soon(lambda: crowd.open == HELD)
        with trio.fail_after(PATIENCE):
            statuses = [(await client.response())[0] for client in clients[HELD:]]
        assert statuses == [503] * (wanted - HELD)
        assert rig.engine.shortages()["share"][0] == wanted - HELD
        assert rig.engine.shortages()["connect"][0] == 0
        assert rig.local("overloaded") == wanted - HELD
        assert rig.engine.failures(10) == []
        for client in await asking(rig, "/small", ROOM - HELD):
            assert (await client.response())[0] == 200


async def test_a_closed_connection_gives_its_share_back() -> None:
    async with worker() as (rig, crowd, _):
        for client in await asking(rig, "/crowd", HELD):
            await reset(client)
        await quiet()
        assert crowd.open == 0
        await asking(rig, "/crowd", HELD)
        await soon(lambda: crowd.open == HELD)


async def test_only_idle_connections_of_the_same_namespace_give_way() -> None:
    """The kernel has descriptors left, so idle connections of the others stay open."""
    async with worker() as (rig, crowd, small):
        clients = await asking(rig, "/small", 10) + await asking(rig, "/other", 20)
        small.released.set()
        for client in clients:
            assert (await client.response())[0] == 200
            await client.close()
        assert rig.engine.statistics().upstream_idle == 30
        await asking(rig, "/crowd", HELD)
        await soon(lambda: crowd.open == HELD - 9)  # eight ninths of the descriptors that `small` leaves
        assert rig.engine.statistics().upstream_idle == 10


async def test_a_reused_connection_counts_for_the_namespace_that_uses_it() -> None:
    """The namespace `crowd` opened the connections to a backend that `small` uses too, and `small` uses all of them."""
    async with worker() as (rig, crowd, small):
        clients = await asking(rig, "/other", 40)
        small.released.set()
        for client in clients:
            assert (await client.response())[0] == 200
            await client.close()
        small.released = trio.Event()
        await asking(rig, "/small", 40)
        await asking(rig, "/crowd", 100)
        await soon(lambda: rig.local("overloaded") > 0 and crowd.open + rig.local("overloaded") == 100)
        assert crowd.open == 92  # eight ninths of the 103 that are left; 88 if the 40 counted for `crowd`


async def test_many_idle_connections_of_others_do_not_protect_own_ones() -> None:
    """The namespace `small` has the 70 idle ones that are older."""
    async with worker() as (rig, crowd, small):
        first = await asking(rig, "/small", 70)
        second = await asking(rig, "/other", 5)
        small.released.set()
        for client in [*first, *second]:
            assert (await client.response())[0] == 200
            await client.close()
        assert rig.engine.statistics().upstream_idle == 75
        await asking(rig, "/crowd", 65)
        await soon(lambda: crowd.open == 65)  # eight ninths of the 73 that are left
        assert rig.engine.statistics().upstream_idle == 70


async def test_a_request_whose_kept_connection_has_ended_is_refused_without_a_share() -> None:
    async with worker() as (rig, crowd, small):
        small.released.set()
        [client] = await asking(rig, "/other", 1)
        assert (await client.response())[0] == 200
        await asking(rig, "/crowd", HELD - 1)
        await soon(lambda: crowd.open == HELD - 1)
        small.released = trio.Event()
        await asking(rig, "/small", ROOM - HELD)
        small.enough = True
        await client.send(request("/other"))
        assert (await client.response())[0] == 503
        assert rig.local("overloaded") == 1
        assert rig.engine.failures(10) == []
