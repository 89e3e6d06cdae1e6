"""Connections and streams of HTTP/2 that end because a client violated the protocol or a limit: counter, log line."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import hpack
import pytest
from http2.client import agreeing, head
from http2.test_hostile import (
    BLOCK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MANY,
    PING,
    PRIORITY,
    RST,
    SETTINGS,
    frame,
    silent,
)
from peer import Peer
from rig import GET, TRANSPORT, Rig, backends, connect, rule, running, soon

from fastroute.settings import Limits

TLS = pytest.mark.parametrize("transport", ["tls"], indirect=True)
pytestmark = [pytest.mark.usefixtures("transport")]


def blocks(*fields: tuple[str, str]) -> bytes:
    return hpack.Encoder().encode([*head("POST"), *fields])


def malformed_head() -> bytes:
    return frame(HEADERS, END_HEADERS | END_STREAM, 1, blocks(("connection", "close")))


def too_much_content() -> bytes:
    return frame(HEADERS, END_HEADERS, 1, blocks(("content-length", "3"))) + frame(DATA, 0, 1, b"12345")


def too_little_content() -> bytes:
    return frame(HEADERS, END_HEADERS, 1, blocks(("content-length", "3"))) + frame(DATA, END_STREAM, 1, b"1")


def malformed_trailers() -> bytes:
    trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, hpack.Encoder().encode([("X-Upper", "1")]))
    return frame(HEADERS, END_HEADERS, 1, blocks()) + frame(DATA, 0, 1, b"1") + trailers


def number_again() -> bytes:
    return frame(HEADERS, END_HEADERS | END_STREAM, 3, BLOCK) + frame(HEADERS, END_HEADERS | END_STREAM, 1, BLOCK)


def priority_of_nothing() -> bytes:
    return frame(PRIORITY, payload=bytes(5))


def pings() -> bytes:
    return frame(PING, payload=bytes(8)) * 1200


def resets() -> bytes:
    pair = (frame(HEADERS, END_HEADERS, id, BLOCK) + frame(RST, 0, id, b"\0\0\0\x08") for id in range(1, 1201, 2))
    return b"".join(pair)


def large_block() -> bytes:
    parts = frame(CONTINUATION, 0, 1, b"\0\1a\x7f\x81\1" + b"b" * 256) * (MANY // 20)
    return frame(HEADERS, 0, 1, BLOCK) + parts


def streams_beyond_the_limit() -> bytes:
    return b"".join(frame(HEADERS, END_HEADERS, id, BLOCK) for id in (1, 3, 5))


STREAMS = {  # each ends a stream
    "malformed head": (malformed_head, "malformed", None),
    "more content than announced": (too_much_content, "malformed", None),
    "less content than announced": (too_little_content, "malformed", None),
    "malformed trailers": (malformed_trailers, "malformed", None),
    "more streams than allowed": (streams_beyond_the_limit, "refused", Limits(max_streams=2)),
}
CONNECTIONS = {
    "a number again": (number_again, "violation"),
    "PRIORITY of the connection": (priority_of_nothing, "violation"),
    "a flood of PING": (pings, "chores"),
    "rapid reset": (resets, "resets"),
    "a large block": (large_block, "block_too_large"),
}


@asynccontextmanager
async def client(port: int) -> AsyncIterator[Peer]:
    """A connection after its preface. The test sends frames and reads nothing."""
    peer = await connect(port, "a", None if TRANSPORT.get() == "plain" else agreeing())
    await peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS))
    yield peer
    await peer.close()


def of(rig: Rig, reason: str) -> list[dict[str, object]]:
    return [line for line in rig.lines() if line["reason"] == f"http2_{reason}"]


def once(rig: Rig, reason: str) -> dict[str, object]:
    """The only line with this reason; it is counted once, too."""
    fixed = rig.counters.fixed()
    assert fixed[f"http2_{reason}"] == 1, {name: count for name, count in fixed.items() if count}
    [line] = of(rig, reason)
    assert (line["protocol"], line["status"], line["client"]) == ("HTTP/2", None, "127.0.0.1")
    return line


def reasons(lines: Iterable[dict[str, object]]) -> set[object]:
    return {line["reason"] for line in lines}


@pytest.mark.parametrize("name", STREAMS)
async def test_the_end_of_a_stream_is_logged(name: str) -> None:
    frames, reason, limits = STREAMS[name]
    async with backends(silent) as [backend], running(rule("b"), log=True, limits=limits) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as peer:
            await peer.send(frames())
            await soon(lambda: of(rig, reason) != [])
            once(rig, reason)
        await soon(lambda: rig.engine.statistics().exchanges == 0)
        once(rig, reason)
        assert reasons(rig.lines()) <= {f"http2_{reason}", "client_closed"}


@pytest.mark.parametrize("pieces", [1, 2])
async def test_the_line_of_malformed_content_has_the_request(pieces: int) -> None:
    """If its exchange has begun: the content comes in a second piece."""
    async with backends(silent) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as peer:
            start = frame(HEADERS, END_HEADERS, 1, blocks(("content-length", "3")))
            content = frame(DATA, 0, 1, b"12345")
            await peer.send(start if pieces == 2 else start + content)
            if pieces == 2:
                await soon(lambda: rig.engine.statistics().exchanges == 1)
                await peer.send(content)
            await soon(lambda: of(rig, "malformed") != [])
            line = once(rig, "malformed")
        assert (line["method"], line["path"]) == (("POST", "/") if pieces == 2 else (None, None))
        assert (line["backend"] is not None) == (pieces == 2)


@pytest.mark.parametrize("name", CONNECTIONS)
async def test_the_end_of_a_connection_is_logged(name: str) -> None:
    frames, reason = CONNECTIONS[name]
    async with backends(silent) as [backend], running(rule("b"), log=True, held=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as peer:
            await peer.send(frames())
            await peer.rest()
        await soon(lambda: rig.engine.statistics().exchanges == 0)
        line = once(rig, reason)
        assert (line["method"], line["path"], line["duration_us"]) == (None, None, 0)


async def test_a_block_that_is_not_completed_is_logged() -> None:
    async with running(rule("b"), log=True, held=True) as rig, client(rig.port) as peer:
        await peer.send(frame(HEADERS, 0, 1, b"\x82"))
        await rig.timed(peer.rest, 0.1)
        once(rig, "timeout")


@TLS
async def test_a_wrong_preface_is_logged() -> None:
    async with running(rule("b"), log=True) as rig:
        peer = await connect(rig.port, "a", agreeing())
        await peer.send(GET)
        await peer.rest()
        once(rig, "no_preface")
