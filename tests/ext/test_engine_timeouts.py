"""Every timeout, short: who has to move, what happens when he does not, and what is left afterwards."""

import pytest
import trio
from rig import GET, OK, PLAIN, Peer, answering, backends, connect, rule, running

from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")


async def never(peer: Peer) -> None:
    """A script: takes everything, says nothing."""
    while await peer.more():
        peer.buffer = b""


async def took(seconds: float, start: float) -> None:
    assert seconds * 0.95 <= trio.current_time() - start < seconds + 0.4


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
    async with running(rule("b"), limits=Limits(head_timeout=0.15), log=True) as rig:
        client = await connect(rig.port)
        await trio.sleep(0.2)
        start = trio.current_time()
        await client.send(sent)
        status, fields, _ = await client.response()
        await took(0.15, start)
        assert (status, fields["connection"]) == (408, "close")
        assert await client.rest() == b""
        [line] = rig.lines()
        assert (line["reason"], line["protocol"]) == ("head_timeout", protocol)
        assert line["duration_us"] >= 149_000


async def test_line_ends_alone_are_no_request() -> None:
    """Some clients send one too many after a body: nobody is told that his request was slow."""
    async with running(rule(), limits=Limits(head_timeout=0.15)) as rig:
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n")
        assert (await client.response())[0] == 500
        await trio.sleep(0.05)
        await client.send(GET)
        assert (await client.response())[0] == 500
        await client.send(b"\r\n")
        assert await client.rest() == b""


async def test_a_trickled_head_has_one_timeout_in_all() -> None:
    async with running(rule("b"), limits=Limits(head_timeout=0.3)) as rig:
        client = await connect(rig.port)
        start = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def trickle() -> None:
                for byte in b"GET / HTTP/1.1\r\nHost: " + b"a" * 1000:
                    await client.send(bytes([byte]))
                    await trio.sleep(0.02)

            nursery.start_soon(trickle)
            assert (await client.response())[0] == 408
            await took(0.3, start)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("requests", [0, 1])
async def test_an_idle_connection_is_closed(requests: int) -> None:
    async with backends(answering) as [backend], running(rule("b"), limits=Limits(idle_timeout=0.2)) as rig:
        rig.put("b", backend.port)
        start = trio.current_time()  # before what starts the engine's clock
        client = await connect(rig.port)
        for _ in range(requests):
            await trio.sleep(0.15)
            start = trio.current_time()
            await client.send(GET)
            await client.response()
        assert await client.rest() == b""
        await took(0.2, start)


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
async def test_a_body_that_stands_still_is_408(framing: bytes) -> None:
    async with backends(never) as [backend], running(rule("b"), limits=Limits(body_idle_timeout=0.2), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        start = trio.current_time()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
        await trio.sleep(0.1)
        await client.send(b"1")
        status, fields, _ = await client.response()
        await took(0.3, start)
        assert (status, fields["connection"]) == (408, "close")
        assert rig.lines()[0]["reason"] == "body_timeout"
        await trio.sleep(0.02)
        assert backend.open == 0


async def test_a_slow_backend_is_not_the_clients_fault() -> None:
    """Longer than every limit of the client's; no rule says how long an answer may take."""

    async def slowly(peer: Peer) -> None:
        await peer.request()
        await trio.sleep(0.5)
        await peer.send(OK[:40])
        await trio.sleep(0.5)
        await peer.send(OK[40:])

    limits = Limits(body_idle_timeout=0.1, idle_timeout=0.1, head_timeout=0.1, upstream_idle_timeout=0.1)
    async with backends(slowly) as [backend], running(rule("b"), limits=limits) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        assert (await client.response())[2] == b"ok"


async def test_a_client_that_does_not_read_is_left() -> None:
    big = b"x" * 8_000_000

    async def generous(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(big) + big)

    limits = Limits(body_idle_timeout=0.2)
    async with backends(generous) as [backend], running(rule("b"), limits=limits, log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        await client.head()
        await trio.sleep(0.6)
        assert rig.engine.statistics().exchanges == 0
        assert backend.open == 0
        [line] = rig.lines()
        assert (line["status"], line["reason"]) == (200, "body_timeout")


@pytest.mark.parametrize(
    ("timeouts", "reason"),
    [({"request_timeout_ms": 150}, "request_timeout"), ({"backend_timeout_ms": 150}, "backend_timeout")],
)
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-"])
async def test_the_rules_timeouts_are_504(timeouts: dict[str, int], reason: str, sent: bytes) -> None:
    """The client's connection stays, the backend's does not."""

    async def stuck(peer: Peer) -> None:
        await peer.request()
        await peer.send(sent) if sent else None
        await never(peer)

    async with backends(stuck) as [backend], running(rule("b", **timeouts), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for i in range(2):
            start = trio.current_time()
            await client.send(GET)
            status, fields, _ = await client.response()
            await took(0.15, start)
            assert status == 504
            assert "connection" not in fields
            assert rig.local(reason) == i + 1
        await trio.sleep(0.02)
        assert backend.open == 0
        assert rig.lines()[0]["reason"] == reason


@pytest.mark.parametrize("timeouts", [{"request_timeout_ms": 150}, {"backend_timeout_ms": 150}])
async def test_a_timeout_in_the_middle_of_an_answer_cuts_it(timeouts: dict[str, int]) -> None:
    async def stuck(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        await never(peer)

    async with backends(stuck) as [backend], running(rule("b", **timeouts), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        with pytest.raises(EOFError):
            await client.response()
        [line] = rig.lines()
        assert line["status"] == 200
        assert line["reason"] in ("request_timeout", "backend_timeout")


async def test_the_request_timeout_covers_a_slow_upload() -> None:
    async with backends(never) as [backend], running(rule("b", request_timeout_ms=200)) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        start = trio.current_time()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
        assert (await client.response())[0] == 504
        await took(0.2, start)


@pytest.mark.parametrize("early", [False, True])
async def test_an_answered_request_has_no_timeout(early: bool) -> None:
    """The rest of a body may come later than the rule's timeout: nothing is cut, and nothing spins meanwhile."""

    async def answering_early(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.end_of_writing()
        await never(peer)

    one = rule("b" if early else "empty", request_timeout_ms=50)
    async with backends(answering_early) as [backend], running(one) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            assert (await client.response())[0] == (200 if early else 503)
            turns = rig.engine.statistics().turns
            await trio.sleep(0.2)
            assert rig.engine.statistics().turns - turns < 10
            await client.send(b"hello")


async def test_fast_answers_know_no_timeout() -> None:
    """Deadlines end with what they were for: many exchanges on one connection, longer in all than any timeout."""
    both = rule("b", request_timeout_ms=100, backend_timeout_ms=100)
    async with backends(answering) as [backend], running(both, limits=Limits(upstream_idle_timeout=1)) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(10):
            await client.send(GET)
            assert (await client.response())[0] == 200
            await trio.sleep(0.04)
        assert backend.connections == 1


@PLAIN
async def test_timers_of_many_connections() -> None:
    """Each connection has its own deadline; all are kept, none early."""
    async with running(rule("b"), limits=Limits(idle_timeout=0.3)) as rig:
        late: list[float] = []

        async def one(delay: float) -> None:
            await trio.sleep(delay)
            start = trio.current_time()
            client = await connect(rig.port)
            assert await client.rest() == b""
            late.append(trio.current_time() - start - 0.3)

        async with trio.open_nursery() as nursery:
            for i in range(100):
                nursery.start_soon(one, i * 0.003)
        assert len(late) == 100
        assert min(late) > -0.02
        assert max(late) < 0.3
