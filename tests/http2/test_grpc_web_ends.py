"""Calls of gRPC-Web over HTTP/1.1 whose answer the gateway ends: what happens to the connection, and to the answer."""

import base64
from collections.abc import Callable
from contextlib import suppress

import pytest
import trio
from http2.client import client
from http2.server import Channel, ResetError
from http2.test_grpc_web import HEAD, serving
from http2.webclient import BINARY, TEXT, call, framed, from_text
from peer import Peer
from rig import Rig, connect, soon

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(params=["plain"])
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


async def begun_early(channel: Channel) -> None:
    """The answer begins before the request has ended."""
    await channel.answer(HEAD)
    await channel.content(framed(b"early"))
    with suppress(ResetError):
        while await channel.more():
            pass


async def begin(rig: Rig, kind: str, framing: str, start: bytes) -> Peer:
    """Begins a call, and waits until its answer has begun."""
    early = framed(b"early")
    peer = await connect(rig.port)
    lines = ["POST /a.B/C HTTP/1.1", "Host: a", f"Content-Type: {kind}", framing]
    await peer.send("\r\n".join(lines).encode() + b"\r\n\r\n" + start)
    await peer.until(base64.b64encode(early) if kind == TEXT else early)
    return peer


# What follows `AAAA`, the status of gRPC, and the reason.
WRONG = {
    "no chunk size": (BINARY, "Transfer-Encoding: chunked", b"zz\r\n", 13, "chunk_size_invalid"),
    "a wrong extension": (BINARY, "Transfer-Encoding: chunked", b"4;a = b\r\nAAAA\r\n", 13, "chunk_extension_invalid"),
    "wrong text": (TEXT, "Transfer-Encoding: chunked", b"4\r\n!!!!\r\n", 13, "grpc_web_text_invalid"),
    "wrong text at the end": (TEXT, "Content-Length: 8", b"!!!!", 13, "grpc_web_text_invalid"),
    "too much": (BINARY, "Transfer-Encoding: chunked", b"1ffff\r\n" + b"x" * 100_000, 8, "body_too_large"),
}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("name", WRONG)
async def test_nothing_after_a_wrong_request_is_a_request(name: str, together: bool) -> None:
    kind, framing, wrong, status, reason = WRONG[name]
    hidden = b"0\r\n\r\n" + NEXT if "chunked" in framing else NEXT
    async with serving(begun_early) as rig:
        start = b"4\r\nAAAA\r\n" if "chunked" in framing else b"AAAA"
        peer = await begin(rig, kind, framing, start)
        await peer.send(wrong + hidden if together else wrong)
        rest = await peer.until(b"\r\n0\r\n\r\n")
        frame = base64.b64decode(rest.split(b"\r\n")[2]) if kind == TEXT else rest
        assert b"grpc-status: %d\r\n" % status in frame
        if not together:
            await peer.send(hidden)
        assert await peer.rest() == b""
        await soon(lambda: rig.engine.statistics().exchanges == 0)
        [line] = rig.lines()
        assert (line["grpc_status"], line["reason"]) == (status, reason)
        await peer.close()


async def test_a_body_that_cannot_be_discarded_ends_the_connection() -> None:
    async def script(channel: Channel) -> None:
        await channel.answer(HEAD)
        await channel.content(framed(b"early"))
        await channel.reset()

    async with serving(script) as rig:
        peer = await begin(rig, BINARY, "Content-Length: 90000", b"AAAA")
        await peer.until(b"\r\n0\r\n\r\n")
        assert await peer.rest() == b""
        await peer.close()


async def test_a_connection_is_kept_if_the_backend_breaks_off() -> None:
    """The request is not malformed, and its end is known."""
    breaks = trio.Event()

    async def script(channel: Channel) -> None:
        await channel.answer(HEAD)
        await channel.content(framed(b"early"))
        await breaks.wait()
        await channel.reset()

    async with serving(script) as rig:
        peer = await begin(rig, BINARY, "Transfer-Encoding: chunked", b"4\r\nAAAA\r\n")
        breaks.set()
        assert b"grpc-status: 14\r\n" in await peer.until(b"\r\n0\r\n\r\n")
        await peer.send(b"2\r\nAA\r\n0\r\n\r\n" + NEXT)
        status, _, _ = await peer.response()
        assert status == 404
        await peer.close()


# --- answers that are cut within a message

CUT = framed(b"", b"hello")  # after a whole message
BETWEEN = (0, 5, len(CUT))


def cutting(cut: int, trailers: bool, go: trio.Event) -> Callable:
    """Sends a whole message and `cut` octets of CUT, and then trailers or a reset."""

    async def script(channel: Channel) -> None:
        await channel.request()
        await channel.answer(HEAD)
        await channel.content(framed(b"one"))
        for octet in CUT[:cut]:
            await channel.content(bytes([octet]))
        await go.wait()
        await (channel.finish([("grpc-status", "0")]) if trailers else channel.reset())

    return script


async def cut_off(rig: Rig, protocol: str, kind: str, cut: int, go: trio.Event) -> tuple[bytes, bool]:
    """Makes a call. Returns the body of the answer, and whether it ended properly."""
    size = len(framed(b"one")) + cut
    if protocol == "HTTP/2":
        async with client(rig.port) as session:
            ask = await session.ask("POST", "/a.B/C", [("content-type", kind)], b"")
            await session.until(lambda: len(body_of(kind, ask.body)) == size)
            go.set()
            await session.until(lambda: ask.over)
            return body_of(kind, ask.body), ask.ended
    peer = await connect(rig.port)
    lines = ["POST /a.B/C HTTP/1.1", "Host: a", f"Content-Type: {kind}", "Content-Length: 0", "Connection: close"]
    await peer.send("\r\n".join(lines).encode() + b"\r\n\r\n")
    await peer.head()
    while len(body_of(kind, chunks_of(peer.buffer))) < size:
        await peer.more()
    go.set()
    data = await peer.rest()
    await peer.close()
    return body_of(kind, chunks_of(data)), data.endswith(b"\r\n0\r\n\r\n")


def chunks_of(data: bytes) -> bytes:
    """The content of the whole chunks."""
    body = b""
    while b"\r\n" in data:
        line, _, data = data.partition(b"\r\n")
        size = int(line, 16)
        body += data[:size] if len(data) > size + 1 else b""
        data = data[size + 2 :]
    return body


def body_of(kind: str, body: bytes) -> bytes:
    return from_text(body) if kind == TEXT else body


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("kind", [BINARY, TEXT])
@pytest.mark.parametrize("trailers", [False, True])
@pytest.mark.parametrize("cut", range(len(CUT) + 1))
async def test_trailers_come_only_between_messages(protocol: str, kind: str, trailers: bool, cut: int) -> None:
    go = trio.Event()
    async with serving(cutting(cut, trailers, go)) as rig:
        body, ended = await cut_off(rig, protocol, kind, cut, go)
        sent = framed(b"one") + CUT[:cut]
        assert body.startswith(sent)
        assert ended == (cut in BETWEEN)
        status = (b"0" if trailers else b"14") if ended else None
        assert body[len(sent) :][5:].partition(b"\r\n")[0] == (b"" if status is None else b"grpc-status: " + status)
        await soon(lambda: len(rig.lines()) == 1)
        reason = "http2_answer_malformed" if trailers else "upstream_truncated"
        assert rig.lines()[0]["reason"] == (None if trailers and ended else reason)


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
async def test_trailers_within_a_message_that_come_with_the_head(protocol: str) -> None:
    """All in one write: then the gateway can still answer."""

    async def script(channel: Channel) -> None:
        await channel.request()
        h2 = channel.link.h2
        h2.send_headers(channel.id, HEAD)
        h2.send_data(channel.id, framed(b"hello")[:-1])
        await channel.finish([("grpc-status", "0")])

    async with serving(script) as rig:
        found = await call(rig, protocol, BINARY, [framed(b"x")])
        assert (found.messages, found.trailers, found.outcome) == ([], None, ("14", "upstream_malformed"))
