"""A load generator that counts every answer, and a backend for it: raw sockets on trio, in the process of the test.

A `Load` keeps a number of clients busy; every client has one request at a time. Each request results in an Answer or in
a Break, with the time of the request and of the result. Clients never repeat a request, so no failure is hidden.
"""

import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio

PIECE = 64 * 1024
PATIENCE = 60.0  # seconds after which a test fails; no expectation about how long anything takes


async def until(holds: Callable[[], object], patience: float = PATIENCE) -> None:
    """Waits until `holds()` is true."""
    with trio.fail_after(patience):
        while not holds():  # noqa: ASYNC110  (there is no event to wait for)
            await trio.sleep(0.005)


class Answer(NamedTuple):
    """One answer. `body` is the name of the backend; times are from trio.current_time()."""

    status: int
    body: str
    asked: float
    came: float

    @property
    def source(self) -> str:
        return self.body if self.status == 200 else str(self.status)


class Break(NamedTuple):
    """One request without an answer, and the reason."""

    why: str
    opened: float  # when its connection was opened, which may have been broken before the request
    asked: float
    came: float


class Load:
    """Clients that repeatedly request `path`. With `keep`, each keeps its connection for as long as the server allows.
    With `context`, they use TLS with the server name `host`."""

    def __init__(
        self,
        port: int,
        path: str = "/",
        host: str = "example.com",
        *,
        keep: bool = True,
        address: str = "127.0.0.1",
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.answers: list[Answer] = []
        self.breaks: list[Break] = []
        self.closing = 0  # answers with Connection: close
        self.pause = 0.002  # seconds that a client waits between an answer and its next request
        self._address, self._host, self._context = (address, port), host, context
        self._keep = keep
        self._request = _request(path, host, keep)
        self._stopping = False

    def stop(self) -> None:
        """Every client stops after the answer to its current request."""
        self._stopping = True

    async def run(self, clients: int) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(clients):
                nursery.start_soon(self._client)

    async def answered(self, count: int) -> None:
        """Waits until `count` more requests have an answer or a Break."""
        before = len(self.answers) + len(self.breaks)
        await until(lambda: len(self.answers) + len(self.breaks) >= before + count)

    def sources(self, since: float = 0.0, until: float = float("inf")) -> Counter[str]:
        """The number of answers per source, for requests after `since` that were answered before `until`."""
        return Counter(one.source for one in self.answers if one.asked >= since and one.came < until)

    async def _client(self) -> None:
        stream: trio.abc.Stream | None = None
        opened = 0.0
        while not self._stopping:
            asked = trio.current_time()
            try:
                if stream is None:
                    opened = asked
                    stream = await self._connect()
                await stream.send_all(self._request)
                status, body, close = await _read_answer(stream)
            except (OSError, trio.BrokenResourceError, EOFError) as error:
                self.breaks.append(Break(f"{type(error).__name__}: {error}", opened, asked, trio.current_time()))
                close = True
            else:
                self.answers.append(Answer(status, body, asked, trio.current_time()))
                self.closing += close and self._keep
            if close and stream is not None:
                await trio.aclose_forcefully(stream)
                stream = None
            await trio.sleep(self.pause)
        if stream is not None:
            await trio.aclose_forcefully(stream)

    async def _connect(self) -> trio.abc.Stream:
        stream = await _connect(self._address)
        if self._context is None:
            return stream
        return trio.SSLStream(stream, self._context, server_hostname=self._host, https_compatible=True)


async def _connect(address: tuple[str, int]) -> trio.SocketStream:
    sock = trio.socket.socket()
    try:
        await sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


def _request(path: str, host: str, keep: bool) -> bytes:
    close = "" if keep else "Connection: close\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{close}\r\n".encode()


async def _read_answer(stream: trio.abc.Stream) -> tuple[int, str, bool]:
    """(status, body, whether the server closes) of an answer with a Content-Length. EOFError if it is incomplete."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += await _receive(stream)
    head = data[:end].decode("latin-1").lower()
    size = int(head.partition("content-length:")[2].split("\r\n")[0])
    while len(data) < end + 4 + size:
        data += await _receive(stream)
    return int(head[9:12]), data[end + 4 :].decode(), "connection: close" in head


async def _receive(stream: trio.abc.Stream) -> bytes:
    piece = await stream.receive_some(PIECE)
    if not piece:
        raise EOFError("the connection was closed before the response was complete")
    return bytes(piece)


@asynccontextmanager
async def loaded(load: Load, clients: int = 8) -> AsyncIterator[Load]:
    """The load runs during the block; when the block is left, every client receives its last answer."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run, clients)
        yield load
        load.stop()


class Backend:
    """Answers every GET with its name, after `delay` seconds."""

    def __init__(self, name: str, delay: float = 0.0) -> None:
        self.name = name
        self.delay = delay
        self.requests = 0
        self.port = 0

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._connection, listeners)

    async def _connection(self, stream: trio.SocketStream) -> None:
        answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.name)}\r\n\r\n{self.name}".encode()
        data = b""
        try:
            while piece := await stream.receive_some(PIECE):
                data += piece
                while (end := data.find(b"\r\n\r\n")) >= 0:
                    data = data[end + 4 :]
                    self.requests += 1
                    if self.delay:
                        await trio.sleep(self.delay)
                    await stream.send_all(answer)
        except (OSError, trio.BrokenResourceError):
            return
