"""How long a client connection is kept: --max-connection-age and --max-requests-per-connection, with a held clock."""

import pytest
import trio
from rig import GET, PLAIN, Peer, answering, backends, chunked, connect, quiet, rule, running, soon

from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")

AGE = 100.0  # seconds; up to a tenth more
LIMITS = Limits(max_connection_age=AGE, idle_timeout=3600)


@pytest.mark.parametrize("backend_answers", [True, False])
async def test_the_next_response_after_that_age_closes(backend_answers: bool) -> None:
    async with backends(answering) as [backend], running(rule("b"), limits=LIMITS, held=True) as rig:
        if backend_answers:
            rig.put("b", backend.port)
        client = await connect(rig.port)
        await quiet()
        await rig.passes(AGE - 1)
        closing = False
        while not closing:
            assert rig.clock <= AGE * 1.1 + 1
            await rig.passes(0.5)
            await client.send(GET)
            status, fields, _ = await client.response()
            assert status == (200 if backend_answers else 503)
            closing = fields.get("connection") == "close"
        assert rig.clock >= AGE
        assert await client.rest() == b""


async def test_an_idle_connection_of_that_age_is_closed() -> None:
    async with backends(answering) as [backend], running(rule("b"), limits=LIMITS, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        await client.response()
        rest, took = await rig.timed(client.rest, 0.5)
        assert rest == b""
        assert AGE - 1 <= took <= AGE * 1.1 + 2


async def test_a_response_in_progress_is_not_cut() -> None:
    """Its head was sent before that age; the connection closes a second after its end, unless there is a request."""
    more = trio.Event()

    async def long(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await more.wait()
        await peer.send(chunked(b"world"))
        await answering(peer)

    async with backends(long) as [backend], running(rule("b"), limits=LIMITS, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        await client.until(b"hello\r\n")
        await rig.passes(2 * AGE)
        assert rig.engine.statistics().exchanges == 1
        more.set()
        await client.until(b"world\r\n0\r\n\r\n")
        await quiet()
        client.buffer = b""
        await client.send(GET)
        status, fields, _ = await client.response()
        assert (status, fields["connection"]) == (200, "close")


@PLAIN
async def test_connections_of_the_same_age_leave_one_after_the_other() -> None:
    async with running(rule(), limits=LIMITS, held=True) as rig:
        clients = [await connect(rig.port) for _ in range(60)]
        await soon(lambda: rig.engine.statistics().downstream_idle == 60)
        await rig.passes(AGE - 0.1)
        assert rig.engine.statistics().downstream_idle == 60
        left = []
        while rig.engine.statistics().downstream_idle:
            await rig.passes(AGE / 50)
            left.append(rig.engine.statistics().downstream_idle)
        assert len(left) <= 7
        assert len(set(left)) >= 4
        for client in clients:
            assert await client.rest() == b""


@PLAIN
async def test_an_upgraded_connection_stays() -> None:
    async def switching(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        await peer.rest()

    async with backends(switching) as [backend], running(rule("b"), limits=LIMITS, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        await client.head()
        await rig.passes(5 * AGE)
        assert rig.engine.statistics().exchanges == 1


@pytest.mark.parametrize("backend_answers", [True, False])
@pytest.mark.parametrize("pipelined", [True, False])
async def test_the_last_request_closes(backend_answers: bool, pipelined: bool) -> None:
    """Requests behind it are not served: the client repeats them on another connection."""
    limits = Limits(max_requests_per_connection=3)
    async with backends(answering) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        if backend_answers:
            rig.put("b", backend.port)
        client = await connect(rig.port)
        if pipelined:
            await client.send(GET * 9)
        closing = []
        for _ in range(3):
            if not pipelined:
                await client.send(GET)
            status, fields, _ = await client.response()
            assert status == (200 if backend_answers else 503)
            closing.append(fields.get("connection") == "close")
        assert closing == [False, False, True]
        assert await client.rest() == b""
