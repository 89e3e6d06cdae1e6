"""Calls of gRPC that cannot be completed after their response has begun: trailers with a status end it."""

from collections.abc import Awaitable, Callable

import pytest
from http2.client import client
from http2.server import Channel, spoken
from msgspec.structs import replace
from rig import backends, rule, running, soon

from fastroute.settings import Limits
from fastroute.snapshot import Backend

CALL = [("content-type", "application/grpc"), ("te", "trailers")]
HEAD = [(":status", "200"), ("content-type", "application/grpc")]


@pytest.fixture(params=["plain"])
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


async def resets(channel: Channel) -> None:
    await channel.reset()


async def leaves(channel: Channel) -> None:
    await channel.link.peer.close()


BREAKS: dict[str, Callable[[Channel], Awaitable[None]]] = {"a reset": resets, "the end of the connection": leaves}
REASON = "upstream_truncated"


@pytest.mark.parametrize("name", BREAKS)
async def test_a_backend_breaks_off(name: str) -> None:

    async def script(channel: Channel) -> None:
        await channel.request()
        await channel.answer(HEAD)
        await channel.content(b"first")
        await BREAKS[name](channel)

    async with backends(spoken(script)) as [backend], running(replace(rule("b"), calls=True), log=True) as rig:
        rig.upstreams.speak("b", Backend(protocol="h2"))
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask("POST", "/a.B/C", CALL, b"hello")
            status, fields, body = await ask.response()
            assert (status, fields["content-type"], body, ask.reset) == (200, "application/grpc", b"first", None)
            assert dict(ask.trailers) == {"grpc-status": "14", "grpc-message": REASON}
        await soon(lambda: len(rig.lines()) == 1)
        [line] = rig.lines()
        assert (line["status"], line["grpc_status"], line["reason"]) == (200, 14, REASON)
        assert rig.counters.used_calls() == [(1, 14, 1)]


async def test_a_response_of_a_declared_length_is_reset() -> None:
    """Trailers would come before its end."""

    async def script(channel: Channel) -> None:
        await channel.request()
        await channel.answer([*HEAD, ("content-length", "10")])
        await channel.content(b"first")
        await channel.reset()

    async with backends(spoken(script)) as [backend], running(replace(rule("b"), calls=True), log=True) as rig:
        rig.upstreams.speak("b", Backend(protocol="h2"))
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask("POST", "/a.B/C", CALL, b"hello")
            await ask.response()
            assert ask.reset is not None


async def test_a_call_becomes_too_large_after_its_response_has_begun() -> None:
    async def script(channel: Channel) -> None:
        await channel.answer(HEAD)
        await channel.content(b"early")
        await channel.until_reset()

    limits = Limits(max_body=1000)
    served = replace(rule("b"), calls=True)
    async with backends(spoken(script)) as [backend], running(served, log=True, limits=limits) as rig:
        rig.upstreams.speak("b", Backend(protocol="h2"))
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask("POST", "/a.B/C", CALL, b"x" * 500, end=False)
            assert await ask.answered() == 200
            await ask.send(b"x" * 600)
            await ask.response()
            assert dict(ask.trailers) == {"grpc-status": "8", "grpc-message": "body_too_large (--max-body)"}
        await soon(lambda: rig.engine.statistics().exchanges == 0)
        [line] = rig.lines()
        assert (line["grpc_status"], line["reason"]) == (8, "body_too_large")
