"""Peer: one connection of a test, as a client or as a backend, read and written byte by byte."""

import socket
import ssl
from contextlib import suppress

import trio

PATIENCE = 60.0  # seconds after which a test fails; no expectation about how long anything takes


class SecureStream:
    """TLS of a client, with the methods of a SocketStream. A connection closed without close_notify raises an error."""

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext, name: str) -> None:
        self.tls = trio.SSLStream(stream, context, server_hostname=name)
        self.socket = stream.socket
        self.send_all, self.receive_some, self.aclose = self.tls.send_all, self.tls.receive_some, self.tls.aclose
        self.send_eof = stream.send_eof


class Peer:
    """One connection, of a client or a backend; every wait has a time limit."""

    def __init__(self, stream: trio.SocketStream | SecureStream) -> None:
        self.stream = stream
        self.buffer = b""

    async def send(self, data: bytes) -> None:
        with trio.fail_after(PATIENCE):
            await self.stream.send_all(data)

    async def more(self) -> bool:
        """Reads the next data. False at the end of the stream."""
        with trio.fail_after(PATIENCE):
            data = await self.stream.receive_some(65536)
        self.buffer += data
        return bool(data)

    async def end_tls(self) -> None:
        """Sends close_notify, but no FIN."""
        assert isinstance(self.stream, SecureStream)
        await self.stream.tls.unwrap()

    async def say_end(self) -> None:
        """Sends close_notify, and does not wait for that of the peer, whose bytes can still be read."""
        assert isinstance(self.stream, SecureStream)
        tls = self.stream.tls
        with suppress(ssl.SSLWantReadError):
            tls._ssl_object.unwrap()
        await tls.transport_stream.send_all(tls._outgoing.read())

        async def receive_some(size: int) -> bytes | bytearray:
            try:
                return await tls.receive_some(size)
            except trio.BrokenResourceError as error:
                if isinstance(error.__cause__, ssl.SSLZeroReturnError):
                    return b""  # the close_notify of the peer
                raise

        self.stream.receive_some = receive_some

    async def until(self, mark: bytes) -> bytes:
        """All data up to and including `mark`; EOFError if the stream ends first."""
        while mark not in self.buffer:
            if not await self.more():
                raise EOFError(self.buffer)
        end = self.buffer.index(mark) + len(mark)
        taken, self.buffer = self.buffer[:end], self.buffer[end:]
        return taken

    async def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            if not await self.more():
                raise EOFError(self.buffer)
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    async def rest(self) -> bytes:
        """All data until the peer closes its side."""
        while await self.more():
            pass
        taken, self.buffer = self.buffer, b""
        return taken

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")

    async def response(self, to_head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """One complete response: status, fields (lower-case names), body without chunked coding. Skips interim
        responses."""
        while True:
            start, *lines = (await self.head()).decode("latin-1").split("\r\n")
            status = int(start.split(" ")[1])
            if status >= 200:
                break
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        if to_head or status in (204, 304):
            return status, fields, b""
        if fields.get("transfer-encoding") == "chunked":
            return status, fields, await self.chunks()
        if "content-length" in fields:
            return status, fields, await self.exactly(int(fields["content-length"]))
        return status, fields, await self.rest()

    async def chunks(self) -> bytes:
        body = b""
        while size := int((await self.until(b"\r\n")).split(b";")[0], 16):
            body += await self.exactly(size)
            assert await self.exactly(2) == b"\r\n"
        while await self.until(b"\r\n") != b"\r\n":
            pass
        return body

    async def request(self) -> tuple[bytes, bytes]:
        """One complete request: head and body (without chunked coding)."""
        head = await self.head()
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            return head, await self.chunks()
        if b"content-length:" in lower:
            size = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
            return head, await self.exactly(size)
        return head, b""

    async def end_of_writing(self) -> None:
        await self.stream.send_eof()

    async def reset(self) -> None:
        """Closes the connection with a reset (RST)."""
        self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await self.close()

    async def close(self) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await self.stream.aclose()
