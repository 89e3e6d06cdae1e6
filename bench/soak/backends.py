"""Backends with raw HTTP/1.1. The path of a request selects their behaviour: /BEHAVIOUR/… or /GROUP/BEHAVIOUR/…, with a
group of GROUPS."""

import base64
import hashlib
import random
import re
import socket
from typing import Any

import trio

from bench.soak.mutation import mutated

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"
ANSWERS = {  # behaviour: (pieces to send, keep the connection afterwards)
    "plain": ([ANSWER], True),
    "early": ([ANSWER], False),
    "hints": ([b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", ANSWER], True),
    "chunked": (
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r",
            b"\nri\r\n3;x=",
            b"y\r\nght\r\n0\r\nX: 1\r\n\r\n",
        ],
        True,
    ),
    "until-close": ([b"HTTP/1.1 200 OK\r\n\r\n", b"right"], False),
    "large": ([b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", b"x" * 300_000], True),
    "half": ([b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf"], False),
}
GROUPS = ("wild", "frames", "h2", "tls", "scrambled", "good", "good-tls")  # first elements of paths
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


def behaviour(path: bytes) -> str:
    """
    >>> behaviour(b"/plain/1?q=2"), behaviour(b"/wild/reset/1")
    ('plain', 'reset')
    """
    first, *rest = path.decode("latin-1").partition("?")[0].removeprefix("/").split("/")
    return rest[0] if rest and first in GROUPS else first


def switched(head: bytes) -> bytes:
    """The 101 for a WebSocket."""
    key = re.search(rb"(?mi)^sec-websocket-key: *(\S+)", head)
    accept = base64.b64encode(hashlib.sha1((key[1] if key else b"") + GUID, usedforsecurity=False).digest())
    fields = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept
    return b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\n\r\n"


class Backend:
    """Serves requests on a connection until it ends, or for `patience` seconds; never raises."""

    def __init__(self, patience: float = 30) -> None:
        self._patience = patience

    async def serve(self, stream: Any) -> None:
        try:
            with trio.move_on_after(self._patience):
                while await self._answer_one(stream):
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer_one(self, stream: Any) -> bool:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = await stream.receive_some(65536)
            if not piece:
                return False
            received += piece
        head, _, rest = received.partition(b"\r\n\r\n")
        name = behaviour(head.split(b" ", 2)[1])
        if name == "socket":
            return await self._echo(stream, switched(head) + rest)
        if name != "early":
            await self._read_body(stream, head, rest)
        return await self._answer(stream, name, is_head=head.startswith(b"HEAD "))

    async def _echo(self, stream: Any, data: bytes) -> bool:
        """A WebSocket, of which every byte comes back."""
        while data:
            await stream.send_all(data)
            data = await stream.receive_some(65536)
        return False

    async def _read_body(self, stream: Any, head: bytes, rest: bytes) -> None:
        length = re.search(rb"(?mi)^content-length: *(\d+)", head)
        chunked = re.search(rb"(?mi)^transfer-encoding:", head)
        missing = int(length[1]) - len(rest) if length else 0
        while missing > 0 or (chunked and not rest.endswith(b"0\r\n\r\n")):
            piece = await stream.receive_some(65536)
            if not piece:
                return
            missing -= len(piece)
            rest = rest[-16:] + piece

    async def _answer(self, stream: Any, name: str, *, is_head: bool) -> bool:
        if name == "reset":
            raw = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return False
        if name == "mute":
            await trio.sleep(1.5)
            return False
        if name == "garbage":
            await stream.send_all(random.randbytes(random.randrange(1, 400)))
            return random.random() < 0.5
        if name == "mutated":
            pieces, _ = random.choice(list(ANSWERS.values()))
            await stream.send_all(mutated(b"".join(pieces)))
            return random.random() < 0.5
        if name == "slow":
            await trio.sleep(0.05)
        pieces, keep = ANSWERS.get(name, ANSWERS["plain"])
        if is_head:
            pieces = [b"".join(pieces).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"] if name != "hints" else [ANSWER[:-5]]
        for piece in pieces:
            await stream.send_all(piece)
        return keep
