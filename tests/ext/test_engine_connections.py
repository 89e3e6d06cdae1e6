"""Connections of clients on real sockets: pipelining, half-close, 100 (Continue), and early responses."""

import contextlib

import pytest
import trio
import trio.lowlevel
from rig import (
    GET,
    OK,
    PATIENCE,
    Peer,
    answering,
    backends,
    connect,
    quiet,
    rule,
    running,
    soon,
)

pytestmark = pytest.mark.usefixtures("transport")


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def naming(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            path = head.split(b" ")[1] + body
            if path == b"/0":
                await quiet()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))

    requests = b"".join(
        b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i
        if i % 3
        else b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" % i
        for i in range(50)
    )
    async with backends(naming) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        for cut in (len(requests), 13):
            client = await connect(rig.port)
            for i in range(0, len(requests), cut):
                await client.send(requests[i : i + cut])
            got = [(await client.response())[2] for _ in range(50)]
            assert got == [b"/%d" % i + (b"" if i % 3 else b"abc") for i in range(50)]


async def test_pipelining_and_closing_at_once() -> None:
    """A client that sends all requests, closes its side, and reads only then."""
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET * 5)
        await client.end_of_writing()
        assert (await client.rest()).count(b"HTTP/1.1 200 OK") == 5


@pytest.mark.parametrize("request_head", [b"Connection: close\r\n", b"Connection: keep-alive, Close\r\n"])
async def test_the_client_says_close(request_head: bytes) -> None:
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        for _ in range(3):
            client = await connect(rig.port)
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + request_head + b"\r\n")
            _, fields, _ = await client.response()
            assert fields["connection"] == "close"
            assert await client.rest() == b""
        assert backend.connections == 1


@pytest.mark.parametrize("late", [False, True])
async def test_a_half_closed_client_gets_its_answer(late: bool) -> None:
    async def slowly(peer: Peer) -> None:
        await peer.request()
        if late:
            await quiet()
        await peer.send(OK)

    async with backends(slowly) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        await client.end_of_writing()
        assert (await client.rest()).endswith(b"\r\n\r\nok")


async def test_a_half_closed_client_is_asked_if_it_reads() -> None:
    async def slowly(peer: Peer) -> None:
        await peer.request()
        await rig.passes(0.8)
        await peer.send(OK)

    async with running(rule("b"), held=True) as rig, backends(slowly) as [backend]:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        await client.end_of_writing()
        everything = await client.rest()
        assert everything.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_client_that_is_gone_frees_its_backend(how: str) -> None:
    gone = trio.Event()

    async def never(peer: Peer) -> None:
        await peer.request()
        with contextlib.suppress(trio.BrokenResourceError):
            assert not await peer.more()
        gone.set()

    async with backends(never) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        await soon(lambda: backend.connections == 1)
        await (client.reset() if how == "reset" else client.close())
        with trio.fail_after(PATIENCE):
            await gone.wait()
        assert rig.engine.statistics()[:5] == (0, 0, 0, 0, 0)
        [line] = rig.lines()
        assert (line["status"], line["reason"]) == (None, "client_closed")


async def test_expect_continue() -> None:
    async def careful(peer: Peer) -> None:
        while True:
            head = await peer.head()
            assert b"expect: 100-continue" in head.lower()
            await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert await peer.exactly(5) == b"hello"
            await peer.send(OK)

    async with backends(careful) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send(b"hello")
            assert (await client.response())[2] == b"ok"


async def test_expectation_refused() -> None:
    """The backend responds at once. The body may or may not follow, so the connection closes after the response."""
    answer = b"HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno"

    async def refusing(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer)
        await peer.more()

    async with backends(refusing) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert (await client.response())[0] == 417
        assert await client.rest() == b""


@pytest.mark.parametrize(
    ("size", "sent", "stays"),
    [(10, 10, True), (60_000, 30_000, True), (200_000, 100, False), (10_000_000, 3_000_000, False)],
)
async def test_an_early_answer(size: int, sent: int, stays: bool, transport: str) -> None:
    """The backend responds after the head and closes. A small rest of the body is read and discarded, a large one is
    not."""

    async def early(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too much\r\nContent-Length: 2\r\n\r\nno")
        await peer.end_of_writing()
        while await peer.more():
            peer.buffer = b""

    async with backends(early) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        async with trio.open_nursery() as nursery:

            async def upload() -> None:
                try:
                    await client.send(b"x" * sent)
                    if stays:
                        await client.send(b"x" * (size - sent))
                except trio.BrokenResourceError:
                    assert not stays

            nursery.start_soon(upload)
            status, _, body = await client.response()
            assert (status, body) == (413, b"no")
        if stays:
            await client.send(GET)
            assert (await client.response())[0] == 413
        elif transport == "plain":  # with TLS, the client cannot read after a failed send
            assert await client.rest() == b""


async def test_a_body_that_goes_on_while_the_answer_comes() -> None:
    """Both directions at once: a response that began early does not stop the body of the request."""

    async def both(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            piece = await peer.exactly(1000)
            await peer.send(b"3e8\r\n" + piece + b"\r\n")
        await peer.send(b"0\r\n\r\n")
        await peer.more()

    async with backends(both) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n")
        await client.head()
        for i in range(20):
            await client.send(bytes([65 + i]) * 1000)
            assert await client.until(b"\r\n") == b"3e8\r\n"
            assert await client.exactly(1002) == bytes([65 + i]) * 1000 + b"\r\n"
        assert await client.exactly(5) == b"0\r\n\r\n"
        await client.send(GET)
        await client.head()
