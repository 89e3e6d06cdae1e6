"""Exchanges between HTTP/1 and a protocol without chunks (records.pyx), in both directions."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from rig import Peer, Script, backends, connect, quiet, rule, running, soon
from streams.frames import BROKEN, Channel, client, framed

from fastroute import snapshot

pytestmark = pytest.mark.usefixtures("transport", "records")

Use = Callable[..., None]
POST = b"POST /x?y HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\n"
TRAILERS = b"X-Sum: 9\r\nX-Gone: 1\r\nHost: b\r\n"  # a filter drops the second, the protocol the third
FILTERS = tuple(snapshot.HeaderModifier(direction=one, remove=("X-Gone",)) for one in ("request", "response"))


class Heard(NamedTuple):
    head: dict[str, str]
    body: bytes
    trailers: dict[str, str]


def record(kind: bytes, payload: bytes = b"") -> bytes:
    return kind + len(payload).to_bytes(3, "big") + payload


def head(kind: bytes, text: str) -> bytes:
    return record(kind, "".join(f"{line}\n" for line in text.split("; ")).encode())


def fields(text: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.decode().splitlines())


async def hear(peer: Peer) -> Heard:
    """The next message in records."""
    said, body, kind = {}, b"", b""
    while True:
        kind = await peer.exactly(1)
        payload = await peer.exactly(int.from_bytes(await peer.exactly(3), "big"))
        if kind in (b"H", b"h"):
            said = fields(payload)
        if kind == b"D":
            body += payload
        if kind in (b"h", b"E"):
            return Heard(said, body, fields(payload) if kind == b"E" else {})


ASKED = head(b"h", ":method: GET; :authority: a; :path: /")
ANSWER = head(b"H", ":status: 200") + record(b"D", b"ab") + record(b"D", b"c")
ENDED = record(b"E", b"X-Sum: 9\nX-Gone: 1\n")


async def chunked(peer: Peer) -> None:
    """A backend of HTTP/1 that answers in chunks, with trailers."""
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS[:8])
    await quiet()
    await peer.send(CHUNKS[8:] + TRAILERS + b"\r\n")


async def test_a_client_without_chunks_gets_content_and_trailers(use: Use) -> None:
    async with backends(chunked) as [backend], running(rule("b", filters=FILTERS)) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            said = await hear(await frames.ask(ASKED))
    assert (said.head[":status"], said.body, said.trailers) == ("200", b"abcde", {"X-Sum": "9"})
    assert "transfer-encoding" not in {name.lower() for name in said.head}


async def test_a_backend_without_chunks_gets_content_and_trailers(use: Use) -> None:
    heard: list[Heard] = []

    async def script(peer: Peer) -> None:
        heard.append(await hear(peer))
        await peer.send(head(b"h", ":status: 204"))

    async with backends(framed(script)) as [backend], running(rule("b", filters=FILTERS)) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        for part in (POST + CHUNKS[:4], CHUNKS[4:13], CHUNKS[13:] + TRAILERS[:5], TRAILERS[5:] + b"\r\n"):
            await peer.send(part)
            await quiet()
        assert (await peer.response())[0] == 204
        await peer.close()
    [said] = heard
    assert said.head[":method"] == "POST"
    assert said.head[":scheme"] in ("http", "https")
    assert (said.body, said.trailers) == (b"abcde", {"X-Sum": "9"})


async def test_trailers_are_kept_for_the_next_try(use: Use) -> None:
    heard: list[Heard] = []

    async def script(peer: Peer) -> None:
        heard.append(await hear(peer))
        await peer.send(head(b"h", f":status: {503 if len(heard) == 1 else 204}"))

    retry = snapshot.Retry(codes=(503,), attempts=1, backoff_ms=1)
    async with backends(framed(script)) as [backend], running(rule("b", filters=FILTERS, retry=retry)) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        await peer.send(POST + CHUNKS + TRAILERS + b"\r\n")
        assert (await peer.response())[0] == 204
        await peer.close()
    assert [(said.body, said.trailers) for said in heard] == [(b"abcde", {"X-Sum": "9"})] * 2


async def test_a_client_of_chunks_gets_them_from_a_backend_without(use: Use) -> None:
    async def script(peer: Peer) -> None:
        await hear(peer)
        await peer.send(ANSWER + ENDED)

    async with backends(framed(script)) as [backend], running(rule("b", filters=FILTERS)) as rig:
        use(rig, "b")
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await peer.until(b"\r\n\r\n")
        assert await peer.until(b"\r\n\r\n") == b"3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n"
        await peer.close()
        peer = await connect(rig.port)
        await peer.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        assert (await peer.rest()).endswith(b"\r\n\r\nabc")


async def test_a_backend_of_chunks_gets_them_from_a_client_without(use: Use) -> None:
    heard: list[bytes] = []

    async def script(peer: Peer) -> None:
        heard.append(await peer.until(b"\r\n\r\n"))
        heard.append(await peer.until(b"\r\n\r\n"))
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with backends(script) as [backend], running(rule("b", filters=FILTERS)) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            asked = head(b"H", ":method: POST; :authority: a; :path: /")
            said = await hear(await frames.ask(asked + record(b"D", b"abc") + ENDED))
    assert said.body == b"ok"
    assert b"Transfer-Encoding: chunked\r\n" in heard[0]
    assert heard[1] == b"3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n"


async def test_a_mirror_without_chunks_gets_content(use: Use) -> None:
    heard: dict[str, Heard] = {}

    def script(name: str) -> Script:
        async def serve(peer: Peer) -> None:
            heard[name] = await hear(peer)
            await peer.send(head(b"h", ":status: 204"))

        return framed(serve)

    async with (
        backends(script("b"), script("m")) as [backend, copy],
        running(rule("b", filters=(*FILTERS, snapshot.Mirror(backend="m")))) as rig,
    ):
        use(rig, "b", "m")
        rig.put("b", backend.port)
        rig.put("m", copy.port)
        peer = await connect(rig.port)
        await peer.send(POST + CHUNKS[:9])
        await quiet()
        await peer.send(CHUNKS[9:] + TRAILERS + b"\r\n")
        assert (await peer.response())[0] == 204
        await soon(lambda: "m" in heard)
        await peer.close()
    assert heard["m"].body == heard["b"].body == b"abcde"
    assert heard["m"].trailers == {"X-Sum": "9"}


async def test_the_answers_of_the_gateway_are_messages(use: Use) -> None:
    async with running(rule("b")) as rig:
        use(rig, downstream=True)
        async with client(rig.port) as frames:
            said = await hear(await frames.ask(ASKED))
    assert said.head[":status"] == "503"
    assert said.body == b"503 Service Unavailable: no_endpoint\n"
    assert said.head["content-length"] == str(len(said.body))


async def test_an_answer_that_is_cut_aborts_the_stream(use: Use) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab")

    async with backends(script) as [backend], running(rule("b")) as rig:
        use(rig, downstream=True)
        rig.put("b", backend.port)
        async with client(rig.port) as frames:
            channel: Channel = await frames.ask(ASKED)
            assert await channel.until_reset() == BROKEN


async def test_a_backend_that_changes_its_protocol_gets_content(use: Use) -> None:
    heard: list[Heard] = []
    tries: list[bytes] = []

    async def records(peer: Peer) -> None:
        heard.append(await hear(peer))
        await peer.send(head(b"h", ":status: 204"))

    async def script(peer: Peer) -> None:
        if tries:
            await framed(records)(peer)
            return
        tries.append((await peer.request())[1])
        use(rig, "b")
        await peer.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    retry = snapshot.Retry(codes=(503,), attempts=1, backoff_ms=1)
    async with backends(script) as [backend], running(rule("b", filters=FILTERS, retry=retry)) as rig:
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        await peer.send(POST + CHUNKS + TRAILERS + b"\r\n")
        assert (await peer.response())[0] == 204
        await peer.close()
    assert tries == [b"abcde"]
    assert [(said.body, said.trailers) for said in heard] == [(b"abcde", {"X-Sum": "9"})]
