"""A small HTTP/1.1 client for one kept-alive connection, used by the tour and the tests.

A connection stays at one worker, whose weighted choice is exact over every window of sum/gcd requests.
"""

import json
import ssl
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import h11
import msgspec
import trio

_PIECE = 64 * 1024  # bytes read at once


class Answer(msgspec.Struct, frozen=True):
    """Status, fields (names in lower case) and body of one response."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for field, value in self.headers if field == name), None)

    @property
    def echo(self) -> dict[str, Any]:
        """What an echo backend reported about the request; {} if the gateway itself answered."""
        if self.header("content-type") != "application/json":
            return {}
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def source(self) -> str:
        """`namespace/service` of the backend that answered, else the status."""
        echo = self.echo
        return f"{echo['namespace']}/{echo['service']}" if echo else str(self.status)


class Client:
    """`async with Client(address, port) as client: await client.ask("/path")`. Reconnects after a close.

    `server_name`: use TLS with this SNI name; the certificate is not verified.
    """

    def __init__(self, address: str, port: int, server_name: str | None = None) -> None:
        self._address = address
        self._port = port
        self._server_name = server_name
        self._stream: trio.abc.Stream | None = None
        self._protocol = h11.Connection(h11.CLIENT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None

    async def ask(
        self,
        path: str,
        *,
        host: str = "",
        method: str = "GET",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Answer:
        """Sends one request and returns the response. OSError, trio.BrokenResourceError, h11.RemoteProtocolError: no
        response."""
        if self._stream is None:
            self._stream = await self._connect()
            self._protocol = h11.Connection(h11.CLIENT)
        fields = [("Host", host or f"{self._address}:{self._port}"), *headers]
        if body:
            fields.append(("Content-Length", str(len(body))))
        request = h11.Request(method=method, target=path, headers=fields)
        protocol = self._protocol
        pieces = [protocol.send(request), protocol.send(h11.Data(data=body)) if body else b""]
        pieces.append(protocol.send(h11.EndOfMessage()))
        await self._stream.send_all(b"".join(piece or b"" for piece in pieces))
        answer = await self._answer(self._stream)
        if protocol.our_state is h11.DONE and protocol.their_state is h11.DONE:
            protocol.start_next_cycle()
        else:
            await self.close()
        return answer

    async def _connect(self) -> trio.abc.Stream:
        stream = await trio.open_tcp_stream(self._address, self._port)
        if self._server_name is None:
            return stream
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return trio.SSLStream(stream, context, server_hostname=self._server_name, https_compatible=True)

    async def _answer(self, stream: trio.abc.Stream) -> Answer:
        head: h11.Response | None = None
        body = b""
        while True:
            event = self._protocol.next_event()
            if event is h11.NEED_DATA:
                self._protocol.receive_data(bytes(await stream.receive_some(_PIECE)))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
        assert head is not None, "h11 gives the head before the end"
        fields = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers)
        return Answer(head.status_code, fields, body)
