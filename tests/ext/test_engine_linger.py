"""Responses that end the connection while the client still sends: they arrive, and what the client sends is limited."""

import pytest
from rig import Peer, backends, connect, quiet, rule, running, soon

from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")

PIECE = b"x" * 65536


def post(size: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size


async def closing(peer: Peer) -> None:
    """Ends without a response after a part of the request."""
    await peer.head()


@pytest.mark.parametrize(("limits", "status"), [(Limits(max_body=1000), 413), (Limits(), 502)])
async def test_a_response_arrives_although_the_client_sends_much_more(limits: Limits, status: int) -> None:
    """The client reads only after it has sent 32 MiB."""
    size = 32 << 20
    async with backends(closing) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(post(size))
        for _ in range(size // len(PIECE)):
            await client.send(PIECE)
        assert (await client.response())[0] == status
        assert await client.rest() == b""
        await client.close()
        await soon(lambda: rig.engine.statistics().downstream_idle == 0)


async def test_a_client_that_sends_without_end_is_closed_in_time() -> None:
    """After 30 s, although it never stops for longer than 1 s."""
    async with running(rule("b"), limits=Limits(max_body=1000), held=True) as rig:
        client = await connect(rig.port)
        await client.send(post(1 << 40))
        await quiet()
        passed = 0
        while rig.engine.statistics().downstream_idle:
            await client.send(b"x")
            await rig.passes(1)
            passed += 1
        assert 29 <= passed <= 32


@pytest.mark.parametrize("draining", [False, True])
async def test_a_client_that_pauses_or_lingers_while_the_worker_drains_is_closed_soon(draining: bool) -> None:
    async with running(rule("b"), limits=Limits(max_body=1000), held=True) as rig:
        client = await connect(rig.port)
        await client.send(post(1 << 40))
        await quiet()
        if draining:
            rig.engine.drain()
        for _ in range(2):
            await rig.passes(0.9)
            assert rig.engine.statistics().downstream_idle == 1
            if draining:
                await client.send(b"x")
        await rig.passes(2.1 if not draining else 0.3)
        assert rig.engine.statistics().downstream_idle == 0
