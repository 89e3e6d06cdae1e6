"""The good clients: their requests must all be answered, whatever the others send. Their latency is measured.

They run in a process of their own together with their backend, so that the other clients do not delay them:
`python -m bench.soak.good PORT SECURE_PORT BACKEND_PORT SECONDS` prints a report as JSON.
"""

import json
import ssl
import sys
import time

import trio

from bench.certificate import HOST, client_tls
from bench.soak.backends import ANSWER, Backend
from bench.soak.world import ADDRESSES

REQUEST = b"GET /good/plain HTTP/1.1\r\nHost: soak.example\r\n\r\n"
PAUSE = 0.05  # seconds between two requests of a client
EACH = 50  # requests on a connection; then a new one
CLIENTS = 4  # every second one uses TLS
PATIENCE = 10.0  # seconds for a request, or until a connection is open
BODY = ANSWER.rpartition(b"\r\n")[2]

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class Good:
    """`errors` lists the requests that failed."""

    def __init__(self, port: int, secure_port: int) -> None:
        self._port, self._secure_port = port, secure_port
        self._tls = client_tls()
        self.errors: list[str] = []
        self.asked = 0
        self._latencies: list[float] = []
        self._opening: list[float] = []

    async def run(self, until: float) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(self._client, until, bool(number % 2))

    async def _client(self, until: float, secure: bool) -> None:
        while trio.current_time() < until:
            with trio.move_on_after(PATIENCE) as scope:
                try:
                    await self._connection(until, secure, scope)
                except (OSError, ssl.SSLError, trio.BrokenResourceError, ValueError) as error:
                    self._fail(secure, repr(error))
            if scope.cancelled_caught:
                self._fail(secure, f"no response within {PATIENCE:g} s")

    def _fail(self, secure: bool, what: str) -> None:
        self.errors.append(f"{'https' if secure else 'http'}, request {self.asked}: {what}")

    async def _connection(self, until: float, secure: bool, scope: trio.CancelScope) -> None:
        began = time.perf_counter()
        stream = await self._open(secure)
        self._opening.append(time.perf_counter() - began)
        try:
            for _ in range(EACH):
                await trio.sleep(PAUSE)
                if trio.current_time() >= until:
                    return
                scope.deadline = trio.current_time() + PATIENCE
                self.asked += 1
                await self._ask(stream)
        finally:
            await trio.aclose_forcefully(stream)

    async def _open(self, secure: bool) -> Stream:
        if not secure:
            return await trio.open_tcp_stream("127.0.0.1", self._port)
        plain = await trio.open_tcp_stream("127.0.0.1", self._secure_port)
        stream = trio.SSLStream(plain, self._tls, server_hostname=HOST, https_compatible=True)
        await stream.do_handshake()
        return stream

    async def _ask(self, stream: Stream) -> None:
        began = time.perf_counter()
        await stream.send_all(REQUEST)
        received = b""
        while not received.endswith(b"\r\n\r\n" + BODY):
            piece = await stream.receive_some(65536)
            if not piece:
                raise ValueError(f"the connection ended after {received[:60]!r}")
            received += piece
        if not received.startswith(b"HTTP/1.1 200 "):
            raise ValueError(f"got {received[:60]!r}")
        self._latencies.append(time.perf_counter() - began)

    def report(self) -> dict[str, object]:
        return {
            "requests": self.asked,
            "errors": len(self.errors),
            "first errors": self.errors[:20],
            "ms p50, p99, worst": _quantiles(self._latencies),
            "ms to open, p50, p99, worst": _quantiles(self._opening),
        }


def _quantiles(seconds: list[float]) -> list[float]:
    ordered = sorted(seconds) or [float("nan")]
    return [round(ordered[min(len(ordered) * part // 100, len(ordered) - 1)] * 1e3, 2) for part in (50, 99, 100)]


async def run(port: int, secure_port: int, backend_port: int, seconds: float) -> dict[str, object]:
    good = Good(port, secure_port)
    async with trio.open_nursery() as nursery:
        for address in ADDRESSES:
            listeners = await trio.open_tcp_listeners(backend_port, host=address)
            nursery.start_soon(trio.serve_listeners, Backend().serve, listeners)
        await good.run(trio.current_time() + seconds)
        nursery.cancel_scope.cancel()
    return good.report()


if __name__ == "__main__":
    plain, secure, backend, seconds = sys.argv[1:]
    json.dump(trio.run(run, int(plain), int(secure), int(backend), float(seconds)), sys.stdout)
