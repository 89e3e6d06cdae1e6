"""A client of gRPC-Web over HTTP/1.1 and HTTP/2, written after doc/PROTOCOL-WEB.md of grpc/grpc."""

import base64
import re
from collections.abc import Sequence
from typing import NamedTuple

from http2.client import Fields, client
from rig import Rig, connect

BINARY, TEXT = "application/grpc-web", "application/grpc-web-text"
TRAILERS = 0x80


class Answer(NamedTuple):
    """What a client gets: `trailers` are None if there is no frame of trailers."""

    status: int
    fields: dict[str, str]
    messages: list[bytes]
    trailers: dict[str, str] | None

    @property
    def outcome(self) -> tuple[str | None, str | None]:
        """The status and the message of gRPC, from the trailers or from the head."""
        found = self.fields if self.trailers is None else self.trailers
        return found.get("grpc-status"), found.get("grpc-message")


def framed(*messages: bytes) -> bytes:
    return b"".join(b"\0" + len(message).to_bytes(4, "big") + message for message in messages)


def from_text(text: bytes) -> bytes:
    """Base64 whose parts may end with padding."""
    return b"".join(base64.b64decode(part, validate=True) for part in re.findall(rb"[^=]+=*", text))


def read(status: int, fields: dict[str, str], body: bytes) -> Answer:
    if not fields.get("content-type", "").startswith(BINARY):
        return Answer(status, fields, [body] if body else [], None)
    if fields["content-type"].startswith(TEXT):
        body = from_text(body)
    messages: list[bytes] = []
    trailers: dict[str, str] | None = None
    while body:
        assert trailers is None, "nothing follows the trailers"
        flags, size = body[0], int.from_bytes(body[1:5], "big")
        content, body = body[5 : 5 + size], body[5 + size :]
        assert len(content) == size
        if flags & TRAILERS:
            lines = content.decode().split("\r\n")
            assert lines.pop() == ""
            trailers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        else:
            messages.append(content)
    return Answer(status, fields, messages, trailers)


async def call(
    rig: Rig, protocol: str, kind: str, parts: Sequence[bytes], *, path: str = "/a.B/C", fields: Fields = ()
) -> Answer:
    """Makes a call; the parts of the body are sent one after another."""
    fields = [("content-type", kind), ("x-grpc-web", "1"), *fields]
    if protocol == "HTTP/2":
        async with client(rig.port) as session:
            ask = await session.ask("POST", path, fields, parts[0] if parts else None, end=len(parts) < 2)
            for i, part in enumerate(parts[1:], 2):
                await ask.send(part, end=i == len(parts))
            found = await ask.response()
            assert ask.trailers == []
            return read(*found)
    peer = await connect(rig.port)
    lines = [f"POST {path} HTTP/1.1", "Host: a", *(f"{name}: {value}" for name, value in fields)]
    lines.append("Transfer-Encoding: chunked" if len(parts) != 1 else f"Content-Length: {len(parts[0])}")
    await peer.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (parts[0] if len(parts) == 1 else b""))
    for part in parts if len(parts) > 1 else ():
        await peer.send(b"%x\r\n%s\r\n" % (len(part), part))
    if len(parts) != 1:
        await peer.send(b"0\r\n\r\n")
    found = await peer.response()
    await peer.close()
    return read(*found)
