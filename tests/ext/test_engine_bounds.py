"""What one client or one backend may make the engine hold or pass on, whatever its peer does."""

import pytest
from rig import PLAIN, backends, connect, quiet, reporting, rule, running, saying

from fastroute.settings import Limits

pytestmark = [pytest.mark.usefixtures("transport"), PLAIN]

CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
POST_CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\n" + CHUNKED
END = b"0\r\n\r\n"


# ------------------------------------------------------------------------------------------------------ chunk framing

WASTEFUL = b"1;" + b"a" * 99 + b"\r\nx\r\n"


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


async def test_an_answer_in_wasteful_chunks_is_502() -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + CHUNKED + WASTEFUL * 170 + END
    async with backends(saying(answer)) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.response())[0] == 502
        await quiet()
        assert rig.lines()[0]["reason"] == "chunk_overhead"
