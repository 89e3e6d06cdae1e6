"""Backends with raw HTTP/1.1. The path of a request selects their behaviour: /BEHAVIOUR/… or /wild/BEHAVIOUR/…"""

import random
import re
import socket

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


class Backend:
    """Serves requests on a connection until it ends; never raises."""

    async def serve(self, stream: trio.SocketStream) -> None:
        try:
            with trio.move_on_after(30):
                while await self._answer_one(stream):
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer_one(self, stream: trio.SocketStream) -> bool:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = await stream.receive_some(65536)
            if not piece:
                return False
            received += piece
        head, _, rest = received.partition(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode("latin-1").removeprefix("/wild")
        name = path.partition("/")[2].partition("/")[0]
        if name != "early":
            await self._read_body(stream, head, rest)
        return await self._answer(stream, name, is_head=head.startswith(b"HEAD "))

    async def _read_body(self, stream: trio.SocketStream, head: bytes, rest: bytes) -> None:
        length = re.search(rb"(?mi)^content-length: *(\d+)", head)
        chunked = re.search(rb"(?mi)^transfer-encoding:", head)
        missing = int(length[1]) - len(rest) if length else 0
        while missing > 0 or (chunked and not rest.endswith(b"0\r\n\r\n")):
            piece = await stream.receive_some(65536)
            if not piece:
                return
            missing -= len(piece)
            rest = rest[-16:] + piece

    async def _answer(self, stream: trio.SocketStream, name: str, *, is_head: bool) -> bool:
        if name == "reset":
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
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
