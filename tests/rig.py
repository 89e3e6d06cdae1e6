"""A real Engine on real sockets, with endpoints that are scripted byte by byte.

`Rig` builds tables from rules, listens on a free port of 127.0.0.1 and turns the engine in a trio task, as workers do.
`Backend` is a listening socket whose connections are handed to a script: what it reads and writes is the test's to say.

No test depends on how fast the machine is. A test about time asks for a rig with a held clock (`held=True`) and moves
that clock itself: `passes` moves it by so many seconds, `timed` moves it until something has happened. What must happen
is waited for (`soon`), up to PATIENCE. What must not happen is looked at after `quiet`.
"""

import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakSet

import pytest
import trio
from certificates import certificate, trusting

from fastroute import snapshot
from fastroute.ext.accesslog import AccessLog
from fastroute.ext.certificate import Certificates
from fastroute.ext.counters import CounterMap, map_size
from fastroute.ext.engine import Engine
from fastroute.ext.tables import TableBuilder, Tables, Upstreams
from fastroute.settings import Limits

# A test for which TLS makes no sense, or which has one of its own, in a file whose tests go both ways.
PLAIN = pytest.mark.parametrize("transport", ["plain"], indirect=True)
TRANSPORT: ContextVar[str] = ContextVar("transport", default="plain")  # or "tls": how clients and listeners speak


PATIENCE = 60.0  # seconds after which a test gives up: never the time that something may take


class Slots(NamedTuple):
    targets: tuple[int, ...]
    local: int
    duration: int


def rule(
    *backends: str | snapshot.WeightedBackend,
    name: str = "0",
    path: str = "",
    hostname: str = "",
    request_timeout_ms: int = 0,
    backend_timeout_ms: int = 0,
    filters: Sequence[snapshot.Filter] = (),
    retry: snapshot.Retry | None = None,
) -> snapshot.Rule:
    """A rule for everything below `path`, split evenly over `backends`."""
    return snapshot.Rule(
        id=f"listener|HTTPRoute|apps/route|{name}",
        listener="listener",
        hostnames=(hostname,),
        gateway="infra/gateway",
        listener_name="http",
        route="apps/route",
        route_kind="HTTPRoute",
        name=name,
        matches=(snapshot.Match(path=snapshot.PathMatch("PathPrefix", path), rank=(int(name),)),),
        filters=tuple(filters),
        backends=tuple(
            snapshot.WeightedBackend(weight=1, backend=backend) if isinstance(backend, str) else backend
            for backend in backends
        ),
        request_timeout_ms=request_timeout_ms,
        backend_timeout_ms=backend_timeout_ms,
        retry=retry,
    )


def listener(
    port: int, name: str = "listener", hostname: str = "", tls: snapshot.ListenerTLS | None = None
) -> snapshot.Listener:
    return snapshot.Listener(
        id=name,
        gateway="infra/gateway",
        name="http",
        address="127.0.0.1",
        port=port,
        spec_port=80,
        hostname=hostname,
        protocol="HTTP" if tls is None else "HTTPS",
        tls=tls,
    )


class Rig:
    """One engine and what it needs."""

    def __init__(self, limits: Limits | None = None, log: bool = False, **options: Any) -> None:
        self.counter_fd = os.memfd_create("counters")
        os.ftruncate(self.counter_fd, map_size(64, 64))
        self.counters = CounterMap(self.counter_fd, requests=64, histograms=64)
        self.log_fd = os.memfd_create("log") if log else -1
        self.log = AccessLog(os.dup(self.log_fd)) if log else None
        self.upstreams = Upstreams()
        self.certificates = Certificates()
        self.tables: Tables | None = None
        self.engine = Engine(
            limits=limits or Limits(),
            upstreams=self.upstreams,
            counters=self.counters,
            log=self.log,
            trusted_proxies=options.pop("trusted_proxies", ()),
            **options,
        )
        self.port = 0
        self.clock = 0.0  # by how much the held clock was moved
        RIGS.add(self)

    def listen(self, backlog: int = 1024) -> int:
        """Opens one more listening port; the first one is `port`."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", 0))
        listening.listen(backlog)
        port: int = listening.getsockname()[1]
        self.engine.listen(listening.detach(), "127.0.0.1", port)
        self.port = self.port or port
        return port

    def install(self, *rules: snapshot.Rule) -> None:
        """Replaces everything by these rules, of one listener. With TLS if that is how it goes (`transport`)."""
        if TRANSPORT.get() == "plain":
            self.install_all([listener(self.port)], *rules)
            return
        self.certificates.put("certs/a", certificate("a", "*.example.com"))
        tls = snapshot.ListenerTLS(certificates=("certs/a",))
        self.install_all([listener(self.port, tls=tls)], *rules)
        self.certificates.commit()

    def install_all(self, listeners: Sequence[snapshot.Listener], *rules: snapshot.Rule) -> None:
        """Each rule gets the slots 1 (backends), 2 (own answers), 3 (duration); the i-th listener 10 + i."""
        builder = TableBuilder(self.upstreams, None, 1, self.certificates)
        for i, one in enumerate(listeners):
            builder.put_listener(one, 10 + i)
        for one in rules:
            builder.put_rule(one, Slots(tuple(1 for _ in one.backends), 2, 3))
        while builder.step(1_000_000):
            pass
        self.tables = builder.finish()
        self.engine.install(self.tables)

    def put(self, backend: str, *ports: int) -> None:
        """Sets the endpoints of a backend, on 127.0.0.1."""
        self.upstreams.update(backend, [("127.0.0.1", port) for port in ports])

    def advance(self, seconds: float) -> None:
        """Moves the held clock, and leaves it to the engine's next turn what is due then."""
        self.clock += seconds
        self.engine.advance(seconds)

    async def passes(self, seconds: float) -> None:
        """Moves the held clock once nothing happens any more, and returns when that is so again."""
        await quiet()
        self.advance(seconds)
        await quiet()

    async def timed(self, wait: Callable[[], Awaitable[Any]], step: float = 0.01) -> tuple[Any, float]:
        """What `wait` returns, and how long it took by the held clock, which moves by `step` when nothing happens."""
        begun = self.clock

        async def move() -> None:
            while True:
                await quiet(0.002)
                self.advance(step)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(move)
            with trio.fail_after(PATIENCE):
                found = await wait()
            nursery.cancel_scope.cancel()
        return found, self.clock - begun

    async def timed_until(self, holds: Callable[[], bool], step: float = 0.01) -> float:
        """Moves the held clock by `step` until it holds. By how much in all."""
        begun = self.clock
        with trio.fail_after(PATIENCE):
            while not holds():
                self.advance(step)
                await quiet(0.002)
        return self.clock - begun

    async def turn_forever(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self.engine.fileno())
            while self.engine.turn():
                await trio.lowlevel.checkpoint()

    def lines(self) -> list[dict[str, Any]]:
        """The access log so far."""
        import json

        assert self.log is not None
        self.log.flush_now()
        size = os.fstat(self.log_fd).st_size
        return [json.loads(line) for line in os.pread(self.log_fd, size, 0).splitlines()]

    def local(self, reason: str) -> int:
        """How many answers of our own gave this reason."""
        from fastroute.ext.tables import REASONS

        return self.counters.local_responses()[REASONS.index(reason)]

    def close(self) -> None:
        self.engine.close()
        self.counters = None  # type: ignore[assignment]
        os.close(self.counter_fd)
        if self.log is not None:
            self.log.close()
            os.close(self.log_fd)


RIGS: WeakSet["Rig"] = WeakSet()


def turns() -> int:
    """How many turns all engines have made."""
    return sum(rig.engine.statistics().turns for rig in RIGS)


async def quiet(seconds: float = 0.005) -> None:
    """Waits until nothing has happened for so long: no engine has made a turn, though every task had its chances since.

    It counts turns, for a process that was not scheduled for a while sees its timeouts pass before its sockets speak.
    """
    before = -1
    with trio.fail_after(PATIENCE):
        while before != turns():
            before = turns()
            await trio.sleep(seconds)
            for _ in range(8):  # a hop between client, engine and backend each, at most
                await trio.lowlevel.checkpoint()


async def soon(holds: Callable[[], bool]) -> None:
    """Waits until it holds."""
    with trio.fail_after(PATIENCE):
        while not holds():  # noqa: ASYNC110  (the engine has no one to tell)
            await trio.sleep(0.002)


@asynccontextmanager
async def running(
    *rules: snapshot.Rule, limits: Limits | None = None, held: bool = False, **options: Any
) -> AsyncIterator[Rig]:
    """A Rig that listens, has the rules installed, and is turned until the end of the block. `held`: the test moves its
    clock."""
    rig = Rig(limits, **options)
    if held:
        rig.engine.hold_clock()
    rig.listen()
    rig.install(*rules)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.turn_forever)
        try:
            yield rig
        finally:
            nursery.cancel_scope.cancel()
            rig.close()


trust = cache(trusting)  # a context is dear to make


class SecureStream:
    """A client's TLS, with the methods of a SocketStream. What ends without a close_notify is broken off, no end."""

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext, name: str) -> None:
        self.tls = trio.SSLStream(stream, context, server_hostname=name)
        self.socket = stream.socket
        self.send_all, self.receive_some, self.aclose = self.tls.send_all, self.tls.receive_some, self.tls.aclose
        self.send_eof = stream.send_eof


class Peer:
    """One connection, client or backend side; every wait is bounded."""

    def __init__(self, stream: trio.SocketStream | SecureStream) -> None:
        self.stream = stream
        self.buffer = b""

    async def send(self, data: bytes) -> None:
        with trio.fail_after(PATIENCE):
            await self.stream.send_all(data)

    async def more(self) -> bool:
        """Reads what comes next. False at the end."""
        with trio.fail_after(PATIENCE):
            data = await self.stream.receive_some(65536)
        self.buffer += data
        return bool(data)

    async def until(self, mark: bytes) -> bytes:
        """Everything up to and with `mark`; EOFError if the end comes before."""
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
        """Everything until the peer closes its side."""
        while await self.more():
            pass
        taken, self.buffer = self.buffer, b""
        return taken

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")

    async def response(self, to_head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """One whole response: status, fields (names in lower case), body; chunks decoded. Interim ones are skipped."""
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
        """One whole request: head and body (chunks decoded)."""
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
        """Closes so that the other side gets a reset."""
        self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await self.close()

    async def close(self) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await self.stream.aclose()


Script = Callable[[Peer], Awaitable[None]]


class Backend:
    """Listens on a free port and runs `script` on every connection it gets."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections = 0
        self.open = 0
        self.requests: list[bytes] = []
        self.port = 0

    async def serve(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        async def one(stream: trio.SocketStream) -> None:
            self.connections += 1
            self.open += 1
            peer = Peer(stream)
            try:
                await self.script(peer)
            except (EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            finally:
                self.open -= 1
                await peer.close()

        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started(self)
        await trio.serve_listeners(one, listeners)


@asynccontextmanager
async def backends(*scripts: Script) -> AsyncIterator[list[Backend]]:
    async with trio.open_nursery() as nursery:
        started = [await nursery.start(Backend(script).serve) for script in scripts]
        try:
            yield started
        finally:
            nursery.cancel_scope.cancel()


async def connect(port: int, name: str = "a", context: ssl.SSLContext | None = None) -> Peer:
    """A client; with TLS if that is how it goes, or if it brings a context."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    if context is None and TRANSPORT.get() == "plain":
        return Peer(stream)
    secure = SecureStream(stream, context or trust(), name)
    with trio.fail_after(PATIENCE):
        await secure.tls.do_handshake()
    return Peer(secure)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def answering(peer: Peer) -> None:
    """A script: answers every request on the connection with OK."""
    while True:
        await peer.request()
        await peer.send(OK)


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def saying(*pieces: bytes, close: bool = False) -> Script:
    """A script: reads one request at a time, answers each with the pieces, one write each."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            for piece in pieces:
                await peer.send(piece)
                await trio.sleep(0.002)
            if close:
                return

    return script


def reporting(report: list[bytes]) -> Script:
    """A script: writes down what it got, byte by byte, and answers OK."""

    async def script(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            report.append(head)
            report.append(body)
            await peer.send(OK)

    return script


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"
