"""Requests and answers arrive unchanged, however their bytes are divided into frames and segments."""

import random
from itertools import pairwise

import pytest
import trio
from http2.client import Ask, Session, client
from http2.conftest import Towards
from peer import Peer
from rig import Script, chunked, quiet, rule, running

pytestmark = pytest.mark.usefixtures("transport")

STREAMS = 6
SIZES = (0, 1, 2, 16_383, 16_384, 16_385, 40_000)


def split(drawn: random.Random, data: bytes, parts: int) -> list[bytes]:
    """The data in up to so many pieces."""
    cuts = sorted({0, len(data), *(drawn.randint(0, len(data)) for _ in range(parts - 1))})
    return [data[start:end] for start, end in pairwise(cuts)]


def in_segments(drawn: random.Random, session: Session) -> None:
    """From now on what the client sends arrives in pieces, some of a few bytes."""
    send = session.peer.send

    async def send_in_pieces(data: bytes) -> None:
        small, rest = split(drawn, data[:60], 5), split(drawn, data[60:], 5)
        for piece in (*small, *rest):
            await send(piece)
            for _ in range(drawn.randint(0, 3)):
                await trio.lowlevel.checkpoint()

    session.peer.send = send_in_pieces  # type: ignore[method-assign]


def returning(drawn: random.Random, seen: dict[str, bytes]) -> Script:
    """A backend that returns each body in chunks, with the number of its request in a trailer."""

    async def script(peer: Peer) -> None:
        head, body = await peer.request()
        if not head.startswith(b"POST"):  # the end of a stream without a length
            return
        number = head.lower().split(b"x-number: ")[1].split(b"\r\n")[0]
        seen[number.decode()] = body
        await peer.send(b"HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = chunked(*split(drawn, body, 4), trailer=b"X-T: %s\r\n" % number)
        for piece in split(drawn, answer, 4):
            await peer.send(piece)
            await trio.lowlevel.checkpoint()
        await script(peer)

    return script


async def content(session: Session, ask: Ask, data: bytes, padding: int | None) -> None:
    """Sends it in one frame, when the windows allow."""
    await session.until(lambda: session.link.local_flow_control_window(ask.id) > len(data) + 256)
    session.link.send_data(ask.id, data, pad_length=padding)
    await session.flush()


async def exchange(drawn: random.Random, session: Session, number: int, body: bytes) -> None:
    fields = [("te", "trailers"), ("x-number", str(number))]
    ask = await session.ask("POST", fields=fields, body=b"", end=False)
    for piece in split(drawn, body, 8):
        for start in range(0, len(piece), 16_000):
            await content(session, ask, piece[start : start + 16_000], drawn.choice([None, 0, 1, 255]))
    await (ask.finish([("x-up", "1")]) if drawn.random() < 0.5 else ask.send(b"", True))
    assert (await ask.response())[::2] == (200, body)
    assert ask.trailers == [("x-t", str(number))]


@pytest.mark.parametrize("seed", range(4))
async def test_requests_and_answers_arrive_unchanged(seed: int, towards: Towards) -> None:
    drawn = random.Random(seed)
    bodies = {str(number): drawn.randbytes(drawn.choice(SIZES)) for number in range(STREAMS)}
    seen: dict[str, bytes] = {}
    async with towards.backends(returning(drawn, seen)) as [backend], running(rule("b")) as rig:
        towards.put(rig, "b", backend.port)
        async with client(rig.port) as session, trio.open_nursery() as nursery:
            in_segments(drawn, session)
            for number, body in bodies.items():
                nursery.start_soon(exchange, drawn, session, int(number), body)
        await quiet()
        assert seen == bodies
