"""Load that counts every answer, and a backend to answer it: raw sockets on trio, bounded, in the test's own process.

A `Load` keeps so many clients busy, each with one request at a time. Whatever comes back is an Answer with the time it
was asked and the time it came; what does not is a Break. A client never repeats a request, so nothing is hidden.
"""

import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio

PIECE = 64 * 1024
PATIENCE = 60.0  # seconds after which a test gives up: never the time that something may take


async def until(holds: Callable[[], object], patience: float = PATIENCE) -> None:
    """Waits until it holds."""
    with trio.fail_after(patience):
        while not holds():  # noqa: ASYNC110  (nobody tells)
            await trio.sleep(0.005)


class Answer(NamedTuple):
    """One answer. `body` is the backend's name; times are trio's."""

    status: int
    body: str
    asked: float
    came: float

    @property
    def source(self) -> str:
        return self.body if self.status == 200 else str(self.status)


class Break(NamedTuple):
    """One request without an answer, and why."""

    why: str
    opened: float  # its connection, which may have broken already when it was asked
    asked: float
    came: float


class Load:
    """Clients that ask for `path` all the time. `keep`: as long as the server lets them, on one connection each.
    `context`: with TLS, for the name `host`."""

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
        self.closing = 0  # answers that said Connection: close
        self.pause = 0.002  # seconds between an answer and the next request of a client
        self._place, self._host, self._context = (address, port), host, context
        self._keep = keep
        self._request = _request(path, host, keep)
        self._stopping = False

    def stop(self) -> None:
        """Every client stops after the answer it waits for."""
        self._stopping = True

    async def run(self, clients: int) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(clients):
                nursery.start_soon(self._client)

    async def answered(self, count: int) -> None:
        """Waits until so many more questions are answered, or broken."""
        before = len(self.answers) + len(self.breaks)
        await until(lambda: len(self.answers) + len(self.breaks) >= before + count)

    def sources(self, since: float = 0.0, until: float = float("inf")) -> Counter[str]:
        """Who answered what was asked after `since` and answered before `until`."""
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
        stream = await _connect(self._place)
        if self._context is None:
            return stream
        return trio.SSLStream(stream, self._context, server_hostname=self._host, https_compatible=True)


async def _connect(place: tuple[str, int]) -> trio.SocketStream:
    sock = trio.socket.socket()
    try:
        await sock.connect(place)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


def _request(path: str, host: str, keep: bool) -> bytes:
    close = "" if keep else "Connection: close\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{close}\r\n".encode()


async def _read_answer(stream: trio.abc.Stream) -> tuple[int, str, bool]:
    """(status, body, whether the server closes) of an answer with a Content-Length. EOFError: it ended before."""
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
        raise EOFError("closed before the answer was complete")
    return bytes(piece)


@asynccontextmanager
async def loaded(load: Load, clients: int = 8) -> AsyncIterator[Load]:
    """The load runs inside; left, every client has had its last answer."""
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
