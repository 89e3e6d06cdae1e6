"""Interim responses (1xx): how many a backend may send, and what relaying them costs."""

import pytest
import trio
from certificates import trusting
from https import SHOWN, of, serving, tls
from rig import GET, OK, PATIENCE, backends, connect, rule, running, saying

from fastroute.settings import Limits

HINT = b"HTTP/1.1 103 Early Hints\r\n\r\n"
LONG = b"HTTP/1.1 103 Early Hints\r\nLink: %s\r\n\r\n" % (b"x" * 1000)

pytestmark = pytest.mark.usefixtures("transport")


@pytest.mark.parametrize("final", [OK, b"nonsense\r\n\r\n"])
async def test_interim_heads_are_limited_in_number(final: bytes) -> None:
    async with backends(saying(HINT * 100 + final), saying(HINT * 8000 + final)) as [few, many]:
        rules = (rule("few", path="/few"), rule("many", path="/many", name="1"))
        async with running(*rules, log=True) as rig:
            rig.put("few", few.port)
            rig.put("many", many.port)
            client = await connect(rig.port)
            await client.send(GET.replace(b"/ ", b"/few "))
            assert await client.exactly(100 * len(HINT)) == HINT * 100
            assert (await client.response())[0] == (200 if final == OK else 502)
            client = await connect(rig.port)
            await client.send(GET.replace(b"/ ", b"/many "))
            assert await client.exactly(100 * len(HINT)) == HINT * 100
            status, _, body = await client.response()
            assert (status, body) == (502, b"502 Bad Gateway: upstream_malformed\n")
            assert rig.lines()[1]["reason"] == "interim_too_many"


async def test_interim_heads_are_limited_in_bytes() -> None:
    """Also over several reads, and for clients that get none of them."""
    pieces = [LONG] * 9
    script = saying(b"".join(pieces) + OK)
    async with backends(script) as [backend], running(rule("b"), limits=Limits(max_head=8192)) as rig:
        rig.put("b", backend.port)
        for minor in (1, 0):
            client = await connect(rig.port)
            await client.send(b"GET / HTTP/1.%d\r\nHost: a\r\n\r\n" % minor)
            status, _, body = await client.response()
            assert (status, body) == (502, b"502 Bad Gateway: upstream_malformed: interim_too_large (--max-head)\n")


async def test_the_interim_heads_of_a_read_are_sealed_together() -> None:
    """A TLS record has 22 bytes of its own: a record for each head would nearly double the bytes that are sent."""
    async with backends(saying(HINT * 100)) as [backend], serving({"": tls("a")}, SHOWN, of("", "b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port, "a.example.com", trusting())
        sealed = 0
        plain = client.stream.tls.transport_stream
        receive = plain.receive_some

        async def counting(most: int | None = None) -> bytes:
            nonlocal sealed
            data = await receive(most)
            sealed += len(data)
            return bytes(data)

        plain.receive_some = counting
        await client.send(GET.replace(b"Host: a", b"Host: a.example.com"))
        with trio.fail_after(PATIENCE):
            assert await client.exactly(100 * len(HINT)) == HINT * 100
        assert sealed < 100 * len(HINT) + 500
