"""Every timeout, with a held clock: who has to act, what happens otherwise, and what is left afterwards."""

import socket
from contextlib import suppress

import pytest
import trio
from rig import GET, OK, PLAIN, Peer, answering, backends, connect, quiet, rule, running, soon

from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")


async def never(peer: Peer) -> None:
    """A script that reads everything and sends nothing."""
    while await peer.more():
        peer.buffer = b""


def about(seconds: float, took: float) -> bool:
    """Never too early; late by some steps of the held clock, while bytes are in flight."""
    return seconds <= took + 1e-6 < 1.5 * seconds


@pytest.mark.parametrize(
    ("sent", "protocol"),
    [
        (b"G", None),
        (b"GET / HTTP/1.1", None),
        (b"GET / HTTP/1.1\r\n", "HTTP/1.1"),
        (b"GET / HTTP/1.0\r\nHost:", "HTTP/1.0"),
        (b"\r\nG", None),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r", "HTTP/1.1"),
    ],
)
async def test_a_slow_head_is_408(sent: bytes, protocol: str | None) -> None:
    """The time counts from the first byte, not from the connection."""
    async with running(rule("b"), limits=Limits(head_timeout=1), log=True, held=True) as rig:
        client = await connect(rig.port)
        await rig.passes(5)
        await client.send(sent)
        (status, fields, _), took = await rig.timed(client.response, 0.05)
        assert about(1, took)
        assert (status, fields["connection"]) == (408, "close")
        assert await client.rest() == b""
        [line] = rig.lines()
        assert (line["reason"], line["protocol"]) == ("head_timeout", protocol)
        assert 999_000 <= line["duration_us"] < 1_500_000


async def test_line_ends_alone_are_no_request() -> None:
    """Some clients send an extra CRLF after a body: they must not get a 408."""
    async with running(rule(), limits=Limits(head_timeout=1), held=True) as rig:
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n")
        assert (await client.response())[0] == 500
        await rig.passes(0.5)
        await client.send(GET)
        assert (await client.response())[0] == 500
        await client.send(b"\r\n")
        rest, _ = await rig.timed(client.rest, 0.1)
        assert rest == b""


async def test_a_trickled_head_has_one_timeout_in_all() -> None:
    async with running(rule("b"), limits=Limits(head_timeout=1), held=True) as rig:
        client = await connect(rig.port)
        start = rig.clock
        for byte in b"GET / HTTP/1.1\r\nHost":
            await client.send(bytes([byte]))
            await rig.passes(0.04)
        (status, _, _), _ = await rig.timed(client.response, 0.04)
        assert status == 408
        assert about(1, rig.clock - start)


@pytest.mark.parametrize("requests", [0, 1])
async def test_an_idle_connection_is_closed(requests: int) -> None:
    """Including one without any request; a request restarts the timeout."""
    async with backends(answering) as [backend], running(rule("b"), limits=Limits(idle_timeout=1), held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(requests):
            await rig.passes(0.8)
            await client.send(GET)
            await client.response()
        rest, took = await rig.timed(client.rest, 0.05)
        assert rest == b""
        assert about(1, took)


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
async def test_a_body_that_stands_still_is_408(framing: bytes) -> None:
    limits = Limits(body_idle_timeout=1)
    async with backends(never) as [backend], running(rule("b"), limits=limits, log=True, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
        await rig.passes(0.8)
        await client.send(b"1")
        await quiet()
        (status, fields, _), took = await rig.timed(client.response, 0.05)
        assert about(1, took)
        assert (status, fields["connection"]) == (408, "close")
        assert rig.lines()[0]["reason"] == "body_timeout"
        await soon(lambda: backend.open == 0)


async def test_a_slow_backend_is_not_the_clients_fault() -> None:
    """Longer than all timeouts of the client; no timeout of a rule limits the response."""
    limits = Limits(body_idle_timeout=1, idle_timeout=1, head_timeout=1, upstream_idle_timeout=1)
    async with running(rule("b"), limits=limits, held=True) as rig:

        async def slowly(peer: Peer) -> None:
            await peer.request()
            await rig.passes(5)
            await peer.send(OK[:40])
            await rig.passes(5)
            await peer.send(OK[40:])

        async with backends(slowly) as [backend]:
            rig.put("b", backend.port)
            client = await connect(rig.port)
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
            assert (await client.response())[2] == b"ok"


async def test_a_client_that_does_not_read_is_left() -> None:
    big = b"x" * 8_000_000

    async def generous(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(big) + big)

    limits = Limits(body_idle_timeout=1)
    async with backends(generous) as [backend], running(rule("b"), limits=limits, log=True, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        await client.head()
        await rig.passes(0.9)
        assert rig.engine.statistics().exchanges == 1
        # Longer if its kernel holds more than 60 KiB (test_engine_readers.py).
        assert await rig.timed_until(lambda: rig.engine.statistics().exchanges == 0, 0.05) < 8
        await soon(lambda: backend.open == 0)
        [line] = rig.lines()
        assert (line["status"], line["reason"]) == (200, "body_timeout")


async def slow_client(port: int) -> Peer:
    """A client whose kernel takes little before the client reads it, and in small packets."""
    one = trio.socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
    await one.connect(("127.0.0.1", port))
    return Peer(trio.SocketStream(one))


@PLAIN
async def test_a_client_that_reads_slowly_and_steadily_is_served() -> None:
    """20 KB in half of the time limit: much less than the kernel accepts at once."""
    big = b"x" * 4_000_000

    async def generous(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(big) + big)

    limits = Limits(body_idle_timeout=1)
    async with backends(generous) as [backend], running(rule("b"), limits=limits, log=True, held=True) as rig:
        rig.put("b", backend.port)
        client = await slow_client(rig.port)
        await client.send(GET)
        for _ in range(40):
            taken = 0
            while taken < 20_000:
                taken += len(await client.stream.receive_some(2_000))
            for _ in range(10):
                await rig.passes(0.05)
            assert rig.engine.statistics().exchanges == 1
        # Its kernel may hold 128 KiB, so it may take 2.2 s from the last acknowledgement (test_engine_readers.py).
        assert 0.4 < await rig.timed_until(lambda: rig.engine.statistics().exchanges == 0, 0.05) < 4
        [line] = rig.lines()
        assert (line["status"], line["reason"]) == (200, "body_timeout")
        assert line["bytes_sent"] < 2_500_000
        with pytest.raises(trio.BrokenResourceError):
            await client.rest()


async def test_a_backend_that_takes_nothing_of_an_upload_is_504() -> None:
    """The time counts from the last byte that its kernel has acknowledged. The client is not to blame."""

    async def stuck(peer: Peer) -> None:
        await peer.head()
        await trio.sleep_forever()

    async def upload() -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            for _ in range(1000):
                await client.stream.send_all(b"x" * 65_536)

    limits = Limits(body_idle_timeout=1)
    async with backends(stuck) as [backend], running(rule("b"), limits=limits, log=True, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (1000 * 65_536))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upload)
            await quiet(0.1)
            await rig.passes(0.9)
            assert rig.engine.statistics().exchanges == 1
            (status, fields, body), took = await rig.timed(client.response, 0.05)
            nursery.cancel_scope.cancel()
        assert took < 20
        assert (status, fields["connection"]) == (504, "close")
        assert body == b"504 Gateway Timeout: upload_timeout (--body-idle-timeout)\n"
        assert rig.local("upload_timeout") == 1
        [line] = rig.lines()
        assert (line["status"], line["reason"]) == (504, "upload_timeout")
        assert rig.engine.statistics().upstream_active == 0


@PLAIN
async def test_a_backend_that_takes_an_upload_slowly_goes_on() -> None:
    """3 KB/s, with the default limits. Its kernel acknowledges in steps."""
    permits = trio.Semaphore(0)

    async def slow(peer: Peer) -> None:
        await peer.head()
        while True:
            await permits.acquire()
            left = 15_000
            while left:
                left -= len(await peer.stream.receive_some(left))

    async def upload() -> None:
        for _ in range(1000):
            await client.stream.send_all(b"x" * 65_536)

    async with backends(slow) as [backend], running(rule("b"), held=True) as rig, trio.open_nursery() as nursery:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (1000 * 65_536))
        nursery.start_soon(upload)
        for _ in range(60):
            permits.release()
            await rig.passes(5)
            assert rig.engine.statistics().exchanges == 1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("timeouts", "reason"),
    [({"request_timeout_ms": 1000}, "request_timeout"), ({"backend_timeout_ms": 1000}, "backend_timeout")],
)
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-"])
async def test_the_rules_timeouts_are_504(timeouts: dict[str, int], reason: str, sent: bytes) -> None:
    """The client connection stays open, the backend connection is closed."""

    async def stuck(peer: Peer) -> None:
        await peer.request()
        await peer.send(sent) if sent else None
        await never(peer)

    async with backends(stuck) as [backend], running(rule("b", **timeouts), log=True, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for i in range(2):
            await client.send(GET)
            await quiet()
            (status, fields, _), took = await rig.timed(client.response, 0.05)
            assert about(1, took)
            assert status == 504
            assert "connection" not in fields
            assert rig.local(reason) == i + 1
        await soon(lambda: backend.open == 0)
        assert rig.lines()[0]["reason"] == reason


@pytest.mark.parametrize("timeouts", [{"request_timeout_ms": 1000}, {"backend_timeout_ms": 1000}])
async def test_a_timeout_in_the_middle_of_an_answer_cuts_it(timeouts: dict[str, int]) -> None:
    async def stuck(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        await never(peer)

    async with backends(stuck) as [backend], running(rule("b", **timeouts), log=True, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        await client.until(b"12345")
        rest, _ = await rig.timed(client.rest, 0.1)
        assert rest == b""
        [line] = rig.lines()
        assert line["status"] == 200
        assert line["reason"] in ("request_timeout", "backend_timeout")


async def test_the_request_timeout_covers_a_slow_upload() -> None:
    async with backends(never) as [backend], running(rule("b", request_timeout_ms=1000), held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
        (status, _, _), took = await rig.timed(client.response, 0.05)
        assert status == 504
        assert about(1, took)


@pytest.mark.parametrize("early", [False, True])
async def test_an_answered_request_has_no_timeout(early: bool) -> None:
    """The rest of a body may arrive after the timeout of the rule: nothing is cut, and the engine does not spin."""

    async def answering_early(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.end_of_writing()
        await never(peer)

    one = rule("b" if early else "empty", request_timeout_ms=1000)
    async with backends(answering_early) as [backend], running(one, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            assert (await client.response())[0] == (200 if early else 503)
            await quiet()
            turns = rig.engine.statistics().turns
            await rig.passes(1.5)
            await rig.passes(1.5)
            assert rig.engine.statistics().turns - turns < 10
            await client.send(b"hello")


async def test_fast_answers_know_no_timeout() -> None:
    """Deadlines end with their exchange: many exchanges on one connection take longer in total than any timeout."""
    both = rule("b", request_timeout_ms=1000, backend_timeout_ms=1000)
    limits = Limits(upstream_idle_timeout=2)
    async with backends(answering) as [backend], running(both, limits=limits, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(10):
            await client.send(GET)
            assert (await client.response())[0] == 200
            await rig.passes(0.7)
        assert backend.connections == 1


@PLAIN
async def test_timers_of_many_connections() -> None:
    """Every connection has its own deadline; all expire, none early."""
    async with running(rule("b"), limits=Limits(idle_timeout=1), held=True) as rig:
        took: list[float] = []

        async def one() -> None:
            begun = rig.clock
            client = await connect(rig.port)
            assert await client.rest() == b""
            took.append(rig.clock - begun)

        async with trio.open_nursery() as nursery:
            for accepted in range(1, 101):
                nursery.start_soon(one)
                await soon(lambda accepted=accepted: rig.engine.statistics().downstream_idle == accepted)  # type: ignore[misc]
                rig.advance(0.007)
            for _ in range(100):
                await quiet(0.002)
                rig.advance(0.012)
        assert len(took) == 100
        assert min(took) >= 1
        assert max(took) < 1.05
