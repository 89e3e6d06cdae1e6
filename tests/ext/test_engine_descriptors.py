"""The namespaces share the descriptors for connections to backends: one that uses many leaves some for the others."""

import resource
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from rig import OK, PATIENCE, Backend, Peer, Rig, backends, connect, quiet, rule

from fastroute.settings import Limits

CLIENTS = 100  # --max-connections
ROOM = 27  # descriptors for connections to backends
OTHERS = 256 + 1  # of the worker, and its listening socket
HELD = 24  # the most that one namespace may have of 27: eight for each of the three that remain free


async def hanging(peer: Peer) -> None:
    while await peer.head():
        pass


class Answering:
    """A backend that answers while it is released."""

    def __init__(self) -> None:
        self.released = trio.Event()

    async def __call__(self, peer: Peer) -> None:
        while await peer.head():
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
        rule("crowd", route="crowd/route", path="/crowd"), rule("small", route="small/route", path="/small", name="1")
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


@pytest.mark.parametrize("wanted", [HELD + 1, 3 * HELD])
async def test_a_namespace_with_many_connections_leaves_some_to_others(wanted: int) -> None:
    async with worker() as (rig, crowd, small):
        small.released.set()
        clients = await asking(rig, "/crowd", wanted)
        assert crowd.open == HELD
        with trio.fail_after(PATIENCE):
            statuses = [(await client.response())[0] for client in clients[HELD:]]
        assert statuses == [503] * (wanted - HELD)
        assert rig.engine.shortages()["connect"][0] > 0
        for client in await asking(rig, "/small", ROOM - HELD):
            assert (await client.response())[0] == 200


async def test_a_closed_connection_gives_its_share_back() -> None:
    async with worker() as (rig, crowd, _):
        for client in await asking(rig, "/crowd", HELD):
            await reset(client)
        await quiet()
        assert crowd.open == 0
        await asking(rig, "/crowd", HELD)
        assert crowd.open == HELD


async def test_idle_connections_give_way_to_a_namespace_without_room() -> None:
    async with worker() as (rig, crowd, small):
        clients = await asking(rig, "/small", 10)
        small.released.set()
        for client in clients:
            assert (await client.response())[0] == 200
        assert rig.engine.statistics().upstream_idle == 10
        await asking(rig, "/crowd", HELD)
        assert crowd.open == HELD
