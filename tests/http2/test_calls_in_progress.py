"""Calls of gRPC that last: how long a client may wait between messages, and what it gets if the time for a call passes
after its answer has begun."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from http2.client import Session, client
from http2.server import spoken
from msgspec.structs import replace
from peer import Peer
from rig import Rig, backends, connect, rule, running, soon

from fastroute import snapshot

CALL = [("content-type", "application/grpc"), ("te", "trailers")]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=["plain"])
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


@asynccontextmanager
async def serving(script: Any, protocol: str = "h1", calls: bool = False, **options: Any) -> AsyncIterator[Rig]:
    """A rig whose rule has one backend of this protocol; `calls`: the rule is one of a GRPCRoute."""
    served = replace(rule("b", **options), calls=calls)
    script = spoken(script) if protocol == "h2" else script
    async with backends(script) as [backend], running(served, log=True, held=True) as rig:
        rig.upstreams.speak("b", snapshot.Backend(protocol=protocol))
        rig.put("b", backend.port)
        yield rig


async def talking(peer: Peer) -> None:
    await peer.head()
    await peer.until(b"one")
    await peer.send(CHUNKED)
    await peer.until(b"two")
    await peer.send(b"3\r\nabc\r\n0\r\ngrpc-status: 0\r\n\r\n")


@pytest.mark.parametrize(("calls", "protocol"), [(True, "h1"), (True, "h2"), (False, "h2")])
async def test_a_client_may_wait_between_messages(calls: bool, protocol: str) -> None:
    """A call may be open for hours without a message, before and after the head of its answer."""
    async with serving(talking, protocol, calls) as rig, client(rig.port) as session:
        ask = await session.ask("POST", "/a.B/C", CALL, end=False)
        await rig.passes(7200)
        await ask.send(b"one")
        assert await ask.answered() == 200
        await rig.passes(7200)
        await ask.send(b"two", end=True)
        _, _, body = await ask.response()
        assert (body, dict(ask.trailers)) == (b"abc", {"grpc-status": "0"})


@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "after its head"])
async def test_but_not_if_only_its_content_type_says_that_it_is_a_call(begun: bool) -> None:
    """An HTTPRoute takes the request, and a backend of HTTP/1.1 gets it."""
    async with serving(talking) as rig, client(rig.port) as session:
        ask = await session.ask("POST", "/a.B/C", CALL, end=False)
        if begun:
            await ask.send(b"one")
            assert await ask.answered() == 200
        await rig.passes(7200)
        _, fields, _ = await ask.response()
        assert (ask.reset is not None) if begun else (fields["grpc-status"] == "4")
        await soon(lambda: len(rig.lines()) == 1)
        assert rig.lines()[0]["reason"] == "body_timeout"


async def begun(rig: Rig, session: Session, fields: list[tuple[str, str]]) -> Any:
    ask = await session.ask("POST", "/a.B/C", [*CALL, *fields], b"hello")
    await session.until(lambda: ask.body or ask.over)
    await rig.passes(2)
    await ask.response()
    await soon(lambda: len(rig.lines()) == 1)
    return ask


def starting(answer: bytes) -> Any:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        await peer.rest()

    return script


LIMITS: dict[str, tuple[dict[str, int], list[tuple[str, str]], str]] = {
    "of the client": ({}, [("grpc-timeout", "1S")], "request_timeout"),
    "of the rule": ({"request_timeout_ms": 1000}, [], "request_timeout"),
    "of a try": ({"backend_timeout_ms": 1000}, [], "backend_timeout"),
}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("protocol", ["h1", "h2"])
async def test_trailers_say_that_the_time_has_passed(name: str, protocol: str) -> None:
    """The answer has begun: its messages so far are followed by the status, and the stream is not reset."""
    options, fields, reason = LIMITS[name]
    async with serving(starting(CHUNKED + b"3\r\nabc\r\n"), protocol, **options) as rig, client(rig.port) as session:
        ask = await begun(rig, session, fields)
        assert (ask.body, ask.reset) == (b"abc", None)
        assert dict(ask.trailers) == {"grpc-status": "4", "grpc-message": reason}
        [line] = rig.lines()
        assert (line["status"], line["grpc_status"], line["reason"]) == (200, 4, reason)
        assert rig.counters.used_calls() == [(1, 4, 1)]
        again = await session.ask("POST", "/a.B/C", CALL, b"hello")
        await session.until(lambda: again.body)


WITHOUT: dict[str, bytes] = {
    "a declared length": HEAD + b"Content-Length: 9\r\n\r\nabc",
    "an answer that is not of gRPC": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "another status": CHUNKED.replace(b"200 OK", b"500 No") + b"3\r\nabc\r\n",
}


@pytest.mark.parametrize("name", WITHOUT)
async def test_where_trailers_would_mean_something_else_the_stream_is_reset(name: str) -> None:
    async with serving(starting(WITHOUT[name]), request_timeout_ms=1000) as rig, client(rig.port) as session:
        ask = await begun(rig, session, [])
        assert (ask.body, ask.ended, ask.reset) == (b"abc", False, 2)
        assert rig.lines()[0]["reason"] == "request_timeout"
        assert rig.lines()[0]["grpc_status"] is None


async def test_a_client_of_http1_sees_that_the_answer_is_cut() -> None:
    async with serving(starting(CHUNKED + b"3\r\nabc\r\n"), request_timeout_ms=1000) as rig:
        peer = await connect(rig.port)
        await peer.send(
            b"POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n"
        )
        await peer.until(b"abc\r\n")
        await rig.passes(2)
        assert await peer.rest() == b""


async def test_the_status_waits_for_a_window() -> None:
    """A client that has not read what came before gets it first, then the status."""
    size = 70_000  # more than the window of a stream

    async with (
        serving(starting(CHUNKED + b"%x\r\n%s\r\n" % (size, b"x" * size)), "h2", request_timeout_ms=1000) as rig,
        client(rig.port, credits=False) as session,
    ):
        ask = await session.ask("POST", "/a.B/C", CALL, b"hello")
        await session.until(lambda: len(ask.body) == 65_535)
        await rig.passes(2)
        assert not ask.over
        session.link.increment_flow_control_window(65_535)
        session.link.increment_flow_control_window(65_535, ask.id)
        await session.flush()
        await ask.response()
        assert ask.reset is None
        assert 65_535 < len(ask.body) <= size  # what the gateway had received
        assert dict(ask.trailers)["grpc-status"] == "4"
