"""The good clients: their requests must all be answered, whatever the others send. Their latency is measured.

They run in a process of their own together with their backends, so that the other clients do not delay them:
`python -m bench.soak.good CHOSEN`, with a Chosen as JSON, prints a report as JSON.
"""

import json
import math
import ssl
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import product

import msgspec
import trio

from bench.certificate import HOST, client_tls
from bench.soak.backends import ANSWER, Backend
from bench.soak.frames import call, fields, message, socket_fields
from bench.soak.http2_backends import Http2Backend, secured
from bench.soak.sessions import ENDS, asked, session
from bench.soak.world import ADDRESSES, server_tls

PAUSE = 0.05  # seconds between two requests of a client
EACH = 50  # requests on a connection; then a new one
PATIENCE = 10.0  # seconds for a request, or until a connection is open
BODY = ANSWER.rpartition(b"\r\n")[2]

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class Chosen(msgspec.Struct, frozen=True):
    port: int
    secure_port: int
    ports: dict[str, int]  # of the backends, by team
    pems: str  # a file with the certificate of the TLS backend and its key
    seconds: float


Ask = Callable[[], Awaitable[None]]  # one request whose answer is right; ValueError


class Good:
    """`errors` lists the requests that failed."""

    def __init__(self, port: int, secure_port: int) -> None:
        self._port, self._secure_port = port, secure_port
        self._tls, self._tls2 = client_tls(), client_tls()
        self._tls2.set_alpn_protocols(["h2"])
        self.errors: list[str] = []
        self.asked: Counter[str] = Counter()
        self._latencies: list[float] = []
        self._opening: list[float] = []

    async def run(self, until: float) -> None:
        async with trio.open_nursery() as nursery:
            for name, opened in KINDS.items():
                nursery.start_soon(self._client, until, name, opened)

    async def _client(self, until: float, name: str, opened: "Opened") -> None:
        while trio.current_time() < until:
            with trio.move_on_after(PATIENCE) as scope:
                try:
                    await self._connection(until, name, opened, scope)
                except* (*ENDS, ssl.SSLError, ValueError) as error:
                    self._fail(name, repr(error.exceptions))
            if scope.cancelled_caught:
                self._fail(name, f"no response within {PATIENCE:g} s")

    def _fail(self, name: str, what: str) -> None:
        self.errors.append(f"{name}, request {self.asked[name]}: {what}")

    async def _connection(self, until: float, name: str, opened: "Opened", scope: trio.CancelScope) -> None:
        began = time.perf_counter()
        async with opened(self) as ask:
            self._opening.append(time.perf_counter() - began)
            for _ in range(EACH):
                await trio.sleep(PAUSE)
                if trio.current_time() >= until:
                    return
                scope.deadline = trio.current_time() + PATIENCE
                self.asked[name] += 1
                began = time.perf_counter()
                await ask()
                self._latencies.append(time.perf_counter() - began)

    async def _open(self, context: ssl.SSLContext | None) -> Stream:
        if context is None:
            return await trio.open_tcp_stream("127.0.0.1", self._port)
        plain = await trio.open_tcp_stream("127.0.0.1", self._secure_port)
        stream = trio.SSLStream(plain, context, server_hostname=HOST, https_compatible=True)
        await stream.do_handshake()
        return stream

    # --- kinds of connections

    @asynccontextmanager
    async def http1(self, *, path: str = "/good/plain", secure: bool = False) -> AsyncIterator[Ask]:
        stream = await self._open(self._tls if secure else None)
        request = f"GET {path} HTTP/1.1\r\nHost: soak.example\r\n\r\n".encode()

        async def ask() -> None:
            await stream.send_all(request)
            received = b""
            while not received.endswith(b"\r\n\r\n" + BODY):
                received += await more(stream, received)
            if not received.startswith(b"HTTP/1.1 200 "):
                raise ValueError(f"got {received[:60]!r}")

        try:
            yield ask
        finally:
            await trio.aclose_forcefully(stream)

    @asynccontextmanager
    async def http2(self, *, path: str = "/good/plain", secure: bool = False) -> AsyncIterator[Ask]:
        async with session(await self._open(self._tls2 if secure else None)) as link:

            async def ask() -> None:
                found = await asked(link, fields("GET", path))
                if (found.status, found.body) != (200, BODY):
                    raise ValueError(f"got {found.status} {found.body[:60]!r}, reset {found.reset}")

            yield ask

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[Ask]:
        async with session(await self._open(self._tls2)) as link:

            async def ask() -> None:
                found = await asked(link, call("/soak.Good/Call"), message(b"good"))
                status = dict(found.trailers).get("grpc-status")
                if (found.status, found.body, status) != (200, message(b"good") * 3, "0"):
                    raise ValueError(
                        f"got {found.status}, grpc-status {status}, {found.body[:60]!r}, reset {found.reset}"
                    )

            yield ask

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Ask]:
        """A WebSocket over HTTP/2."""
        async with session(await self._open(self._tls2)) as link:
            await link.until(lambda: link.settings)
            opened = await link.ask_with(socket_fields("/good/socket"), end=False)
            if await opened.answered() != 200:
                raise ValueError(f"extended CONNECT: {opened.status}, reset {opened.reset}")

            async def ask() -> None:
                size = len(opened.body)
                await opened.send(b"\x81\x85abcd12345")
                await link.until(lambda: len(opened.body) >= size + 11 or opened.over)
                if opened.body[size:] != b"\x81\x85abcd12345":
                    raise ValueError(f"WebSocket: {opened.body[size:]!r}, reset {opened.reset}")

            yield ask

    def report(self) -> dict[str, object]:
        return {
            "requests": dict(self.asked),
            "errors": len(self.errors),
            "first errors": self.errors[:20],
            "ms p50, p99, worst": _quantiles(self._latencies),
            "ms to open, p50, p99, worst": _quantiles(self._opening),
        }


async def more(stream: Stream, received: bytes) -> bytes:
    piece = await stream.receive_some(65536)
    if not piece:
        raise ValueError(f"the connection ended after {received[:60]!r}")
    return bytes(piece)


Opened = Callable[[Good], AbstractAsyncContextManager[Ask]]
KINDS: dict[str, Opened] = {
    "http": Good.http1,
    "https": partial(Good.http1, secure=True),
    "https to https": partial(Good.http1, secure=True, path="/good-tls/plain"),
    "http2": Good.http2,
    "http2 with tls": partial(Good.http2, secure=True),
    "http2 with tls to https": partial(Good.http2, secure=True, path="/good-tls/plain"),
    "grpc": Good.calls,
    "websocket over http2": Good.socket,
}


def _quantiles(seconds: list[float]) -> list[float]:
    ordered = sorted(seconds) or [float("nan")]
    return [round(ordered[min(len(ordered) * part // 100, len(ordered) - 1)] * 1e3, 2) for part in (50, 99, 100)]


async def run(chosen: Chosen) -> dict[str, object]:
    good = Good(chosen.port, chosen.secure_port)
    tls = server_tls(chosen.pems)
    plain = Backend(math.inf).serve
    served = {
        "cherries": plain,
        "good-tls": secured(plain, tls),
        "good-calls": Http2Backend().serve,
    }
    async with trio.open_nursery() as nursery:
        for (team, serve), address in product(served.items(), ADDRESSES):
            listeners = await trio.open_tcp_listeners(chosen.ports[team], host=address)
            nursery.start_soon(trio.serve_listeners, serve, listeners)
        await good.run(trio.current_time() + chosen.seconds)
        nursery.cancel_scope.cancel()
    return good.report()


if __name__ == "__main__":
    json.dump(trio.run(run, msgspec.json.decode(sys.argv[1], type=Chosen)), sys.stdout)
