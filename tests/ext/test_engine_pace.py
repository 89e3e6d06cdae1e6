"""The minimum rate of bodies, with a held clock: which peers are too slow, which are not, and what happens."""

import pytest
import trio
from rig import GET, OK, Peer, Rig, backends, chunked, connect, quiet, rule, running, soon

from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")

PATIENT = Limits(body_idle_timeout=3600)  # only the rate ends a body
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
FRAMINGS = [b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"]
WINDOW = 10  # seconds
LATEST = 2 * WINDOW + 2  # a window, after a grace of a second; the body may become slow within one


async def never(peer: Peer) -> None:
    """A script that reads everything and sends nothing."""
    while await peer.more():
        peer.buffer = b""


def piece(framing: bytes, size: int) -> bytes:
    """Some bytes of a body, `size` on the wire."""
    return b"x" * size if b"Length" in framing else (b"%04x\r\n" % (size - 8) + b"x" * (size - 8) + b"\r\n")


async def ends_after(rig: Rig, client: Peer, data: bytes, pause: float) -> float:
    """Sends `data` again and again, with pauses; returns after how many seconds the exchange ended."""
    begun = rig.clock
    while rig.engine.statistics().exchanges and rig.clock - begun < 60:
        try:
            await client.send(data)
        except (trio.BrokenResourceError, OSError):
            break
        await rig.passes(pause)
    return rig.clock - begun


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_slow_upload_is_408(framing: bytes) -> None:
    async with backends(never) as [backend], running(rule("b"), limits=PATIENT, log=True, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(POST + framing)
        await quiet()
        assert WINDOW <= await ends_after(rig, client, piece(framing, 300), 0.5) <= LATEST
        status, fields, body = await client.response()
        assert (status, fields["connection"]) == (408, "close")
        assert body == b"408 Request Timeout: body_too_slow (--min-body-rate)\n"
        [line] = rig.lines()
        assert (line["status"], line["reason"]) == (408, "body_too_slow")
        assert rig.local("body_too_slow") == 1
        await soon(lambda: backend.open == 0)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(("size", "pause"), [(1100, 1), (10_500, 9.5)])
async def test_a_steady_upload_goes_on(framing: bytes, size: int, pause: float) -> None:
    async with backends(never) as [backend], running(rule("b"), limits=PATIENT, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(POST + framing)
        await quiet()
        assert await ends_after(rig, client, piece(framing, size), pause) >= 60
        assert rig.engine.statistics().exchanges == 1


async def test_an_upload_that_becomes_slow_is_cut() -> None:
    """A fast beginning does not compensate for a slow end."""
    async with backends(never) as [backend], running(rule("b"), limits=PATIENT, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(POST + FRAMINGS[0])
        for _ in range(5):
            await client.send(b"x" * 50_000)
            await rig.passes(3)
        assert await ends_after(rig, client, b"x", 0.5) <= LATEST


async def test_without_a_minimum_nothing_is_cut() -> None:
    limits = Limits(body_idle_timeout=3600, min_body_rate=0)
    async with backends(never) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(POST + FRAMINGS[0])
        await quiet()
        assert await ends_after(rig, client, b"x", 5) >= 60


async def test_a_client_that_waits_for_100_is_not_slow() -> None:
    """Only once the backend wants the body."""
    wants = trio.Event()

    async def second(peer: Peer) -> None:
        await peer.head()
        await wants.wait()
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await never(peer)

    async with backends(second) as [backend], running(rule("b"), limits=PATIENT, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(POST + b"Expect: 100-continue\r\n" + FRAMINGS[0])
        for _ in range(8):
            await rig.passes(WINDOW)
        assert rig.engine.statistics().exchanges == 1
        wants.set()
        assert (await client.head()).startswith(b"HTTP/1.1 100 ")
        for _ in range(8):
            await rig.passes(WINDOW / 4)
        assert rig.engine.statistics().exchanges == 0


async def test_the_rest_of_an_unwanted_body_must_come_too() -> None:
    """The response was sent; the body is only read so that the connection can be kept."""
    async with running(rule("empty"), limits=PATIENT, held=True) as rig:
        client = await connect(rig.port)
        await client.send(POST + b"Content-Length: 60000\r\n\r\n")
        assert (await client.response())[0] == 503
        assert WINDOW <= await ends_after(rig, client, b"x", 0.5) <= LATEST
        assert await client.rest() == b""


async def trickle(rig: Rig, peer: Peer, data: bytes, pause: float) -> None:
    while True:
        await rig.passes(pause)
        await peer.send(data)


async def test_a_slow_backend_is_cut() -> None:
    async with running(rule("b"), limits=PATIENT, log=True, held=True) as rig:

        async def slowly(peer: Peer) -> None:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            await trickle(rig, peer, b"x" * 300, 0.5)

        async with backends(slowly) as [backend]:
            rig.put("b", backend.port)
            client = await connect(rig.port)
            await client.send(GET)
            await client.head()
            await client.rest()
            assert WINDOW <= rig.clock <= LATEST
            [line] = rig.lines()
            assert (line["status"], line["reason"]) == (200, "upstream_too_slow")
            assert rig.counters.fixed()["ended_upstream_too_slow"] == 1
            await soon(lambda: backend.open == 0)


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked\r\n\r\n", b"Connection: close\r\n\r\n"])
async def test_a_stream_of_events_may_pause(framing: bytes) -> None:
    """A response of unknown length can be an event stream: its backend may pause, and so may an upload beside it."""
    async with running(rule("b"), limits=PATIENT, held=True) as rig:

        async def events(peer: Peer) -> None:
            await peer.head()
            await peer.send(b"HTTP/1.1 200 OK\r\n" + framing)
            await trickle(rig, peer, chunked(b"event")[:-5] if b"chunked" in framing else b"event", 30)

        async with backends(events) as [backend]:
            rig.put("b", backend.port)
            client = await connect(rig.port)
            await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
            await client.head()
            await soon(lambda: rig.clock > 200)
            assert rig.engine.statistics().exchanges == 1


BIG = b"x" * 8_000_000


async def generous(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG) + BIG)


async def test_a_client_that_takes_enough_gets_everything() -> None:
    """The kernel holds so much of the response that the gateway writes nothing for minutes. This does not mean that the
    client is slow. The client's kernel acknowledges in steps that can take longer than a window."""
    async with backends(generous) as [backend], running(rule("b"), limits=PATIENT, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        await client.head()
        taken = len(client.buffer)
        while taken < len(BIG):
            client.buffer = b""
            until = taken + 150_000
            while taken < min(until, len(BIG)):
                await client.more()
                taken += len(client.buffer)
                client.buffer = b""
            await rig.passes(WINDOW - 1)
        assert taken == len(BIG)
        assert rig.clock > 300


async def test_a_short_exchange_is_not_concerned() -> None:
    """A backend may think about its response for as long as it wants."""
    async with running(rule("b"), limits=PATIENT, held=True) as rig:

        async def thinking(peer: Peer) -> None:
            await peer.request()
            await rig.passes(100)
            await peer.send(OK)

        async with backends(thinking) as [backend]:
            rig.put("b", backend.port)
            client = await connect(rig.port)
            await client.send(POST + b"Content-Length: 2\r\n\r\nhi")
            assert (await client.response())[0] == 200
