"""A real Engine on real sockets, with backends that a test scripts byte by byte.

`Rig` builds tables from rules, listens on a free port of 127.0.0.1 and runs the engine in a trio task, in the same way
as a worker runs it. `Backend` is a listening socket that runs a script on every connection; the script defines what the
backend reads and writes. Both ends of a connection are a `Peer` (peer.py).

No test depends on the speed of the machine. A test about time creates a rig with a held clock (`held=True`) and
advances this clock itself: `passes` advances it by a number of seconds, `timed` and `timed_until` advance it until
something has happened. A test waits up to PATIENCE for what must happen (`soon`), and checks what must not happen after
`quiet`.
"""

import gc
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakSet

import pytest
import trio
from certificates import certificate, trusting
from peer import PATIENCE, Peer, SecureStream

from fastroute import snapshot
from fastroute.ext.engine.engine import Engine
from fastroute.ext.reactor.accesslog import AccessLog
from fastroute.ext.reactor.counters import CounterMap, map_size
from fastroute.ext.reactor.splicing import open_pipe
from fastroute.ext.routing.tables import TableBuilder, Tables, Upstreams
from fastroute.ext.tls.certificate import Certificates
from fastroute.place import Place, Transport
from fastroute.settings import Limits

# For tests without TLS, or with their own TLS setup, in files that run each test with plain TCP and with TLS.
PLAIN = pytest.mark.parametrize("transport", ["plain"], indirect=True)
TRANSPORT: ContextVar[str] = ContextVar("transport", default="plain")  # or "tls": what clients and listeners use


class Slots(NamedTuple):
    targets: tuple[int, ...]
    local: int
    duration: int
    upstreams: tuple[int, ...] = ()


def rule(
    *backends: str | snapshot.WeightedBackend,
    name: str = "0",
    route: str = "apps/route",
    path: str = "",
    hostname: str = "",
    request_timeout_ms: int = 0,
    backend_timeout_ms: int = 0,
    filters: Sequence[snapshot.Filter] = (),
    retry: snapshot.Retry | None = None,
) -> snapshot.Rule:
    """A rule for all paths below `path`, with equal weights for all `backends`."""
    return snapshot.Rule(
        id=f"listener|HTTPRoute|{route}|{name}",
        listener="listener",
        hostnames=(hostname,),
        gateway="infra/gateway",
        listener_name="http",
        route=route,
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


def loopback(port: int, transport: Transport = Transport.TCP) -> Place:
    return Place(transport, "127.0.0.1", port)


def listener(
    port: int, name: str = "listener", hostname: str = "", tls: snapshot.ListenerTLS | None = None
) -> snapshot.Listener:
    return snapshot.Listener(
        id=name,
        gateway="infra/gateway",
        name="http",
        place=loopback(port),
        spec_port=80,
        hostname=hostname,
        mode=snapshot.Mode.HTTP if tls is None else snapshot.Mode.TERMINATE,
        tls=tls,
    )


class Rig:
    """One engine and the objects that it needs."""

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
        self.before = self.engine.statistics().buffered
        self.port = 0
        self.clock = 0.0  # seconds by which the held clock was advanced
        RIGS.add(self)

    def buffered(self) -> int:
        """Bytes that all engines hold, beyond those before this rig: other tests of the process may hold some."""
        return self.engine.statistics().buffered - self.before

    def listen(self, backlog: int = 1024) -> int:
        """Opens another listening port; `port` is the first one."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", 0))
        listening.listen(backlog)
        port: int = listening.getsockname()[1]
        self.engine.listen(listening.detach(), loopback(port))
        self.port = self.port or port
        return port

    def install(self, *rules: snapshot.Rule) -> None:
        """Replaces the configuration by one listener with these rules; with TLS if TRANSPORT is "tls"."""
        if TRANSPORT.get() == "plain":
            self.install_all([listener(self.port)], *rules)
            return
        self.certificates.put("certs/a", certificate("a", "*.example.com"))
        tls = snapshot.ListenerTLS(certificates=("certs/a",))
        self.install_all([listener(self.port, tls=tls)], *rules)
        self.certificates.commit()

    def install_all(self, listeners: Sequence[snapshot.Listener], *rules: snapshot.Rule) -> None:
        """Every rule has the slots 1 (backends), 2 (local responses) and 3 (duration); listener number i has the slot
        10 + i."""
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
        """Sets the endpoints of a backend: these ports on 127.0.0.1."""
        self.upstreams.update(backend, [("127.0.0.1", port) for port in ports])

    def advance(self, seconds: float) -> None:
        """Advances the held clock; timers that expire by this run in the engine's next turn."""
        self.clock += seconds
        self.engine.advance(seconds)

    async def passes(self, seconds: float) -> None:
        """Waits until the engines are idle, advances the held clock, and waits until they are idle again."""
        await quiet()
        self.advance(seconds)
        await quiet()

    async def timed(self, wait: Callable[[], Awaitable[Any]], step: float = 0.01) -> tuple[Any, float]:
        """The result of `wait`, and how long it took by the held clock, which advances by `step` while the engines are
        idle."""
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
        """Advances the held clock by `step` until `holds()` is true. Returns the total number of seconds."""
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
        """The lines of the access log so far."""
        import json

        assert self.log is not None
        self.log.flush_now()
        size = os.fstat(self.log_fd).st_size
        return [json.loads(line) for line in os.pread(self.log_fd, size, 0).splitlines()]

    def local(self, reason: str) -> int:
        """The number of local responses with this reason."""
        from fastroute.ext.routing.tables import REASONS

        return self.counters.local_responses()[REASONS.index(reason)]

    def close(self) -> None:
        self.engine.close()
        self.counters = None  # type: ignore[assignment]
        os.close(self.counter_fd)
        if self.log is not None:
            self.log.close()
            os.close(self.log_fd)


RIGS: WeakSet["Rig"] = WeakSet()
open_pipe()  # as a worker does


def accepted_from(client: Peer) -> socket.socket:
    """A duplicate of the engine's end of this connection."""
    name = client.stream.socket.getsockname()
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the descriptor of the listing; a socket that is not connected
            if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                one = socket.socket(fileno=os.dup(int(fd)))
                try:
                    if one.getpeername() == name:
                        return one
                except OSError:
                    pass
                one.close()
    raise AssertionError("the engine has closed the connection")


def turns() -> int:
    """The total number of turns of all engines."""
    return sum(rig.engine.statistics().turns for rig in RIGS)


async def quiet(seconds: float = 0.005) -> None:
    """Waits until no engine has made a turn for `seconds`, although every task could run in the meantime.

    It counts turns because timeouts alone are not reliable: in a process that was not scheduled for a while, timeouts
    expire before data that has arrived on a socket is read.
    """
    before = -1
    with trio.fail_after(PATIENCE):
        while before != turns():
            before = turns()
            await trio.sleep(seconds)
            for _ in range(8):  # at most one hop each between client, engine and backend
                await trio.lowlevel.checkpoint()


async def soon(holds: Callable[[], bool]) -> None:
    """Waits until `holds()` is true."""
    with trio.fail_after(PATIENCE):
        while not holds():  # noqa: ASYNC110  (the engine has no event to wait for)
            await trio.sleep(0.002)


@asynccontextmanager
async def running(
    *rules: snapshot.Rule, limits: Limits | None = None, held: bool = False, **options: Any
) -> AsyncIterator[Rig]:
    """A Rig that listens, has the rules installed, and runs until the end of the block. With `held`, the test advances
    its clock."""
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


trust = cache(trusting)  # creating a context is slow


Script = Callable[[Peer], Awaitable[None]]


class Backend:
    """Listens on a free port and runs `script` on every connection."""

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


async def connect(
    port: int, name: str = "a", context: ssl.SSLContext | None = None, *, source: str | None = None
) -> Peer:
    """A client; with TLS if TRANSPORT is "tls" or a context is given. `source`: its address."""
    stream = await trio.open_tcp_stream("127.0.0.1", port, local_address=source)
    if context is None and TRANSPORT.get() == "plain":
        return Peer(stream)
    secure = SecureStream(stream, context or trust(), name)
    with trio.fail_after(PATIENCE):
        await secure.tls.do_handshake()
    return Peer(secure)


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def no_descriptor() -> Iterator[None]:
    """This process can open no file. Garbage of earlier tests must not close one meanwhile."""
    gc.collect()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
    filling = []
    try:
        while True:
            filling.append(os.dup(0))
    except OSError:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in filling:
            os.close(fd)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def hanging(peer: Peer) -> None:
    """Takes requests and never answers."""
    while await peer.head():
        pass


async def answering(peer: Peer) -> None:
    """A script that answers every request on the connection with OK."""
    while True:
        await peer.request()
        await peer.send(OK)


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def saying(*pieces: bytes, close: bool = False) -> Script:
    """A script that reads one request at a time and answers it with the pieces, one write for each."""

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
    """A script that records the head and body of every request and answers OK."""

    async def script(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            report.append(head)
            report.append(body)
            await peer.send(OK)

    return script


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"
