"""Limits on the bytes that the engine holds or forwards for one client or backend."""

import pytest
import trio
from rig import GET, PLAIN, Peer, backends, connect, quiet, reporting, rule, running, saying

from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")

CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
POST_CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\n" + CHUNKED
END = b"0\r\n\r\n"


# ------------------------------------------------------------------------------------------------------ chunk framing

WASTEFUL = b"1;" + b"a" * 99 + b"\r\nx\r\n"


@PLAIN
async def test_a_limited_body_in_wasteful_chunks_is_400() -> None:
    """Without a limit for extensions, 1,000 allowed bytes would be more than 100,000."""
    report: list[bytes] = []
    async with (
        backends(reporting(report)) as [backend],
        running(rule("b"), limits=Limits(max_body=1000), log=True) as rig,
    ):
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(POST_CHUNKED + WASTEFUL * 900 + END)
        assert (await client.response())[0] == 400
        await quiet()
        assert report == []
        assert rig.local("chunk_overhead") == 1
        assert rig.lines()[0]["reason"] == "chunk_overhead"


@PLAIN
@pytest.mark.parametrize("size", [900, 60_000])
async def test_a_body_in_small_chunks_passes(size: int) -> None:
    report: list[bytes] = []
    body = b"1\r\nx\r\n" * size + END
    async with (
        backends(reporting(report)) as [backend],
        running(rule("b"), limits=Limits(max_body=size)) as rig,
    ):
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(POST_CHUNKED + body)
        assert (await client.response())[0] == 200
        assert report[1] == b"x" * size


@PLAIN
async def test_an_answer_in_wasteful_chunks_is_502() -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + CHUNKED + WASTEFUL * 170 + END
    async with backends(saying(answer)) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.response())[0] == 502
        await quiet()
        assert rig.lines()[0]["reason"] == "chunk_overhead"


# --------------------------------------------------------------------------------------------- behind a request

HEAD = 65_536  # --max-head
LONG = b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 60_000
BEHIND = GET * 12_000  # 300 KB


@pytest.mark.parametrize(
    "pieces",
    [
        (GET + BEHIND,),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000 + BEHIND,),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", b"abc" + BEHIND),
        (POST_CHUNKED + b"4\r\nabcd\r\n", END + BEHIND),
        (LONG, b"\r\n\r\n" + BEHIND),
    ],
    ids=["head", "long body", "short body", "chunks", "long head"],
)
async def test_at_most_one_head_is_read_ahead(pieces: tuple[bytes, ...], transport: str) -> None:
    async def silent(peer: Peer) -> None:
        while await peer.more():
            peer.buffer = b""

    async def send(client: Peer) -> None:
        for piece in pieces:
            await client.send(piece)
            await quiet()

    async with backends(silent) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        clients = [await connect(rig.port) for _ in range(4)]
        await quiet()
        before = rig.engine.statistics().buffered
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(send, client)
            await quiet(0.1)
            assert rig.engine.statistics().exchanges == 4
            request = 0 if pieces[0] is not LONG else len(LONG) + 1000  # is kept to be sent again
            record = 17 * 1024 if transport == "tls" else 0  # libssl keeps a part of a record
            small = 1024  # a part of the body, if the backend has not taken it yet
            assert 0 < rig.engine.statistics().buffered - before <= 4 * (HEAD + request + record + small)
            nursery.cancel_scope.cancel()
        for client in clients:
            await client.reset()
        await quiet()
        assert rig.engine.statistics()[:5] == (0, 0, 0, 0, 0)
        assert rig.engine.statistics().buffered == 0
