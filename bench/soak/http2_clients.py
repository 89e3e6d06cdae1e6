"""Clients of HTTP/2, gRPC, gRPC-Web and WebSockets, valid and mutated."""

import base64
import random
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from bench.certificate import HOST, client_tls
from bench.soak.frames import call, conversation, fields, flood, message, mutated_frames, socket_fields
from bench.soak.mutation import RIGHT, WRONG, mutated
from bench.soak.sessions import ENDS, asked, session

STREAMS = 8  # most at the same time on a connection
GROUPS = ("", "h2/", "tls/")  # of paths whose backends are right: HTTP/1.1, HTTP/2, HTTP/1.1 over TLS
WILD = ("wild/", "frames/", "scrambled/")
CALLS = ("/soak.Echo/Plain", "/soak.Sealed/Any")  # backends of HTTP/2, without and with TLS
UPGRADE = (
    b"GET /socket/1 HTTP/1.1\r\nHost: soak.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
)


class Http2Clients:
    """Makes one connection per call. `note` counts a result, `fault` records a wrong one."""

    def __init__(self, port: int, secure_port: int, note: Callable[[str], None], fault: Callable[[str], None]) -> None:
        self._port, self._secure_port, self._note, self._fault = port, secure_port, note, fault
        self._tls = client_tls()
        self._tls.set_alpn_protocols(["h2"])
        self._tls1 = client_tls()

    @property
    def valid(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        certain = (self._streams, self._streams, self._call, self._webcall, self._socket, self._tunnel)
        return (*map(self._certain, certain), self._leaver)

    @property
    def strange(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        return self._mutant, self._mutant, self._mutant, self._wild, self._wild, self._flood, self._unframed

    def _certain(self, visit: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """The gateway has no reason to end the connection."""

        async def run() -> None:
            try:
                await visit()
            except* ENDS as errors:
                self._fault(f"{visit.__name__}: {errors.exceptions!r}")

        return run

    async def _open(self, context: ssl.SSLContext | None = None) -> Any:
        """A plain or a TLS connection, with equal probability."""
        if random.random() < 0.5:
            return await trio.open_tcp_stream("127.0.0.1", self._port)
        plain = await trio.open_tcp_stream("127.0.0.1", self._secure_port)
        secure = trio.SSLStream(plain, context or self._tls, server_hostname=HOST, https_compatible=True)
        await secure.do_handshake()
        return secure

    # --- valid

    async def _streams(self) -> None:
        """Some requests at the same time."""

        async def one(link: Any) -> None:
            path = f"/{random.choice(GROUPS)}{random.choice(RIGHT)}/{random.randrange(1000)}"
            method, body = random.choice((("GET", None), ("GET", None), ("POST", b"b" * random.randrange(1, 30_000))))
            ask = await asked(link, fields(method, path), body)
            self._note(f"stream {ask.status}")
            if ask.status != 200 and (ask.status != 502 or method == "GET"):
                self._fault(f"HTTP/2 {method} {path}: {ask.status}, reset {ask.reset}")
            elif ask.status == 200 and not ask.body:
                self._fault(f"HTTP/2 {method} {path}: no content, reset {ask.reset}")

        async with session(await self._open()) as link, trio.open_nursery() as nursery:
            for _ in range(random.randrange(1, STREAMS)):
                nursery.start_soon(one, link)

    async def _call(self) -> None:
        body = message(b"m" * random.randrange(3000)) * random.randrange(1, 4)
        path = random.choice(CALLS)
        async with session(await self._open()) as link:
            ask = await asked(link, call(path), body)
        status = dict(ask.trailers).get("grpc-status")
        self._note(f"call {status}")
        if (ask.status, status, ask.body) != (200, "0", body * 3):
            self._fault(f"{path}: {ask.status}, grpc-status {status}, {len(ask.body)} bytes, reset {ask.reset}")

    async def _webcall(self) -> None:
        """gRPC-Web; as text, or as it is."""
        is_text = random.random() < 0.5
        body = message(b"w" * random.randrange(2000))
        kind = "application/grpc-web" + ("-text" if is_text else "")
        async with session(await self._open()) as link:
            ask = await asked(link, call(CALLS[0], kind), base64.b64encode(body) if is_text else body)
        self._note(f"web call {ask.status}")
        if ask.status != 200 or not ask.ended or not (is_text or ask.body.startswith(body * 3)):
            self._fault(f"{kind}: {ask.status}, {len(ask.body)} bytes, reset {ask.reset}")

    async def _socket(self) -> None:
        """A WebSocket as a stream."""
        async with session(await self._open()) as link:
            await link.until(lambda: link.settings)
            ask = await link.ask_with(socket_fields("/socket/1"), end=False)
            if await ask.answered() != 200:
                self._fault(f"extended CONNECT: {ask.status}, reset {ask.reset}")
                return
            await ask.send(b"\x81\x85abcd12345" * 50)
            await link.until(lambda: len(ask.body) >= 550 or ask.over)
            self._note(f"socket {len(ask.body)}")
            await ask.cancel()

    async def _tunnel(self) -> None:
        """A WebSocket over HTTP/1.1."""
        async with await self._open(self._tls1) as stream:
            key = base64.b64encode(random.randbytes(16))
            await stream.send_all(UPGRADE % key + b"\x81\x85abcd12345")
            received = b""
            while b"abcd12345" not in received:
                piece = await stream.receive_some(65536)
                if not piece:
                    self._fault(f"WebSocket: {received[:60]!r}")
                    return
                received += piece
        self._note("tunnel")

    async def _leaver(self) -> None:
        """Leaves or resets in the middle of streams."""
        async with session(await self._open()) as link:
            asks = [
                await link.ask_with(fields("POST", f"/{random.choice((*GROUPS, *WILD))}{name}/1"), end=False)
                for name in random.choices(RIGHT + WRONG, k=random.randrange(1, STREAMS))
            ]
            await trio.sleep(random.random() * 0.02)
            for ask in asks[: random.randrange(len(asks) + 1)]:
                if not ask.over:
                    await ask.cancel()
        self._note("leaver of streams")

    # --- mutated

    def _conversation(self) -> bytes:
        asks = []
        for _ in range(random.randrange(1, STREAMS)):
            path = f"/{random.choice(WILD)}{random.choice(RIGHT + WRONG)}/1"
            asks.append(
                random.choice(
                    (
                        (fields("GET", path), b""),
                        (fields("POST", path, ("content-length", "500")), b"b" * 500),
                        (call("/soak.Wild/Any"), message(b"m" * 50)),
                        (call("/soak.Wild/Any", "application/grpc-web-text"), base64.b64encode(message(b"x"))),
                        (socket_fields("/wild/socket/1"), b"\x81\x85abcd12345"),
                    )
                )
            )
        return conversation(asks)

    async def _send(self, data: bytes) -> None:
        """Sends bytes in pieces and reads what comes, for a second."""
        step = random.choice((3, 50, 1000, len(data) + 1))
        with trio.move_on_after(1.0):
            async with await self._open() as stream:
                for start in range(0, len(data), step):
                    await stream.send_all(data[start : start + step])
                while await stream.receive_some(65536):
                    pass

    async def _mutant(self) -> None:
        await self._send(mutated_frames(self._conversation()))
        self._note("mutated frames")

    async def _unframed(self) -> None:
        await self._send(mutated(self._conversation()))
        self._note("mutated bytes of frames")

    async def _flood(self) -> None:
        await self._send(flood())
        self._note("floods of frames")

    async def _wild(self) -> None:
        """Valid requests to backends that are not."""
        with trio.move_on_after(2.0):
            async with session(await self._open()) as link:
                path = f"/{random.choice(WILD)}{random.choice(RIGHT + WRONG)}/1"
                head = random.choice((fields("GET", path), call("/soak.Wild/Any")))
                ask = await asked(link, head, message(b"w") if head[0][1] == "POST" else None)
                self._note(f"wild stream {ask.status}")
