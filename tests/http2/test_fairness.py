"""Streams of one connection share it: by counts of bytes, because times depend on the machine."""

import h2.settings
import pytest
import trio
from http2.client import Session, client
from peer import Peer
from rig import OK, backends, rule, running

pytestmark = pytest.mark.usefixtures("transport")

BULK = 4 << 20
SETTINGS = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20}
BESIDE = 2 << 20  # bytes of content of other streams that may come before a small answer: windows, batch, kernel


async def bulk(peer: Peer) -> None:
    while True:
        head, _ = await peer.request()
        if b"/bulk" in head:
            await peer.stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BULK + bytes(BULK))
        else:
            await peer.send(OK)


async def widen(session: Session) -> None:
    """The window of the connection is larger than those of its streams together."""
    session.link.increment_flow_control_window(16 << 20)
    await session.flush()


@pytest.mark.parametrize("number", [2, 5])
async def test_bulk_answers_share_a_connection(number: int) -> None:
    async with backends(bulk) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port, settings=SETTINGS) as session:
            await widen(session)
            asks = [await session.ask(path="/bulk") for _ in range(number)]
            await session.until(lambda: all(ask.body for ask in asks))
            before = [len(ask.body) for ask in asks]
            await session.until(
                lambda: any(len(ask.body) > BULK // 2 + size for ask, size in zip(asks, before, strict=True))
            )
            gained = [len(ask.body) - size for ask, size in zip(asks, before, strict=True)]
            assert min(gained) > max(gained) / 3, (before, gained)
            for ask in asks:
                assert len((await ask.response())[2]) == BULK


async def test_a_small_answer_beside_a_large_one() -> None:
    async with backends(bulk) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port, settings=SETTINGS) as session:
            await widen(session)
            large = await session.ask(path="/bulk")
            await session.until(lambda: len(large.body) > 1 << 20)
            passed = []
            while not large.over and len(passed) < 8:
                before = len(large.body)
                assert (await (await session.ask()).response())[0] == 200
                passed.append(len(large.body) - before)
            assert sorted(passed)[len(passed) // 2] < BESIDE


async def test_uploads_share_a_connection() -> None:
    taken = [0, 0]

    async def taking(peer: Peer) -> None:
        head = await peer.head()
        which = 1 if b" /1 " in head else 0
        while taken[which] < BULK:
            taken[which] += len(peer.buffer)
            peer.buffer = b""
            if taken[which] < BULK:
                await peer.more()
        await peer.send(OK)

    async with backends(taking) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session, trio.open_nursery() as nursery:
            fields = [("content-length", str(BULK))]
            asks = [await session.ask("POST", f"/{i}", fields, end=False) for i in range(2)]
            for ask in asks:
                nursery.start_soon(ask.send, bytes(BULK), True)
            while max(taken) < BULK // 2:
                await trio.lowlevel.checkpoint()
            assert min(taken) > max(taken) / 3
            for ask in asks:
                assert (await ask.response())[0] == 200
