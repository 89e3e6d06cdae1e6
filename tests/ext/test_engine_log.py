"""What the access log takes from a request and from its tries, on real sockets."""

import pytest
from rig import GET, answering, backends, connect, free_port, rule, running, saying


def head(*fields: bytes) -> bytes:
    return b"GET /a HTTP/1.1\r\nHost: a\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


@pytest.mark.parametrize(
    ("fields", "agent", "referer"),
    [
        ([b"User-Agent: x/1", b"Referer: http://b/?q"], "x/1", "http://b/?q"),
        ([b"USER-AGENT: x/1"], "x/1", None),
        ([b"Referer: 1", b"Referer: 2", b"User-Agent: 3", b"user-agent: 4"], "3", "1"),
        ([b"User-Agent:", b"Referers: 1"], None, None),
        ([b"User-Agent: " + b"x" * 3_000], "x" * 3_000, None),
        ([b'User-Agent: \xff"\\\t'], '\ufffd"\\', None),
    ],
    ids=["both", "any case", "the first", "empty", "long", "hostile"],
)
async def test_user_agent_and_referer(fields: list[bytes], agent: str | None, referer: str | None) -> None:
    async with backends(answering) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(head(*fields))
        await client.response()
        [line] = rig.lines()
        assert (line["user_agent"], line["referer"], line["path"]) == (agent, referer, "/a")


async def test_a_local_answer_has_no_tries() -> None:
    async with running(rule("b"), log=True) as rig:
        rig.put("b")
        client = await connect(rig.port)
        await client.send(GET)
        assert (await client.response())[0] == 503
        [line] = rig.lines()
        assert (line["reason"], line["tries"]) == ("no_endpoint", None)


async def test_endpoints_that_refuse_are_tries() -> None:
    async with running(rule("b"), log=True) as rig:
        rig.put("b", *(free_port() for _ in range(3)))
        client = await connect(rig.port)
        await client.send(GET)
        assert (await client.response())[0] == 503
        [line] = rig.lines()
        assert (line["reason"], line["tries"]) == ("connect_failed", 3)


async def test_a_new_connection_after_a_reused_one_that_closed_is_a_try() -> None:
    once = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    asked = []

    async def closing(peer):
        asked.append(peer)
        if len(asked) > 1:
            await once(peer)
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await peer.request()  # it has arrived: the connection closes without an answer

    async with backends(closing) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(GET)
            assert (await client.response())[0] == 200
        assert [line["tries"] for line in rig.lines()] == [1, 2]
        assert backend.connections == 2
