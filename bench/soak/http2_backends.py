"""Backends of HTTP/2: the behaviours of backends.py, and echoes of calls of gRPC; TLS, valid and mutated."""

import contextlib
import math
import random
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import h2.exceptions
import trio

from bench.soak.backends import ANSWER, ANSWERS, behaviour
from bench.soak.frames import conversation, frame, message, mutated_frames
from bench.soak.mutation import mutated_records
from bench.soak.sessions import Peer, spoken

CALL = [(":status", "200"), ("content-type", "application/grpc")]


async def answer(channel: Any) -> None:
    """One stream: answers it, rightly or not."""
    head, body = await channel.request()
    if b"application/grpc" in head:
        await echo(channel, body)
        return
    name = behaviour(head.split(b" ", 2)[1])
    if name in BREAKS:
        await BREAKS[name](channel)
        return
    if name == "slow":
        await trio.sleep(0.05)
    for piece in ANSWERS.get(name, ANSWERS["plain"])[0]:
        await channel.send(piece)
    if name == "half":
        await channel.reset()


async def echo(channel: Any, body: bytes) -> None:
    """Answers a call with its messages, each three times."""
    await channel.answer(CALL)
    for _ in range(3):
        await channel.content(body)
    await channel.finish([("grpc-status", "0"), ("grpc-message", "done")])


async def garbage(channel: Any) -> None:
    await channel.link.raw(random.randbytes(random.randrange(1, 400)))


async def mutant(channel: Any) -> None:
    """An answer, or what looks like one, with mutated frames."""
    said = conversation([([(":status", "200")], b"right"), (CALL, message(b"x"))], is_client=False)
    await channel.link.raw(mutated_frames(said))


async def leave(channel: Any) -> None:
    await channel.link.leave(max(0, channel.id - random.choice((0, 2))))
    await channel.send(ANSWERS["plain"][0][0])


async def flood(channel: Any) -> None:
    await channel.link.raw(frame(random.choice((4, 6)), 0, 0, b"") * 50 + frame(6, 0, 0, b"12345678") * 400)


async def mute(channel: Any) -> None:
    await trio.sleep(1.5)


async def reset(channel: Any) -> None:
    await channel.reset(random.choice((2, 7, 8)))


BREAKS = {
    "garbage": garbage,
    "mutated": mutant,
    "early": leave,
    "mute": mute,
    "reset": reset,
}


class Http2Backend:
    """Serves connections until they end. `wild`: some begin with a flood. Otherwise `wrong` has the violations of the
    protocol by the gateway."""

    def __init__(self, *, wild: bool = False) -> None:
        self._wild = wild
        self.wrong: list[str] = []

    async def serve(self, stream: Any) -> None:
        async def answering(channel: Any) -> None:
            if self._wild and random.random() < 0.05:
                await flood(channel)
            await answer(channel)

        try:
            with trio.move_on_after(30 if self._wild else math.inf):  # the connections of others are busy all the time
                await spoken(answering)(Peer(stream))
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except* h2.exceptions.ProtocolError as errors:
            if not self._wild:
                self.wrong.append(repr(errors.exceptions))
        finally:
            await trio.aclose_forcefully(stream)


# --- TLS


def secured(serve: Callable[[Any], Awaitable[None]], context: ssl.SSLContext) -> Callable[[Any], Awaitable[None]]:
    """The same over TLS."""

    async def serve_tls(stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            await tls.do_handshake()
        except (OSError, ssl.SSLError, trio.BrokenResourceError):
            await trio.aclose_forcefully(stream)
            return
        await serve(tls)

    return serve_tls


def scrambling(context: ssl.SSLContext) -> Callable[[Any], Awaitable[None]]:
    """A backend of HTTP/1.1 whose TLS records are changed or truncated on the way."""

    async def serve(stream: trio.SocketStream) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = context.wrap_bio(incoming, outgoing, server_side=True)
        try:
            for _ in range(6):
                incoming.write(await stream.receive_some(65536))
                with contextlib.suppress(ssl.SSLError):
                    peer.do_handshake()
                    peer.read(65536)
                    peer.write(ANSWER)
                data = outgoing.read()
                if data:
                    await stream.send_all(mutated_records(data) if random.random() < 0.3 else data)
        except (OSError, ssl.SSLError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    return serve
