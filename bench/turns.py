"""`python -m bench.turns [CASE...]`: the longest turn of the engine while clients or backends drive a relay path to its
worst.

For each case an engine runs in a process of its own (a Rig of the tests, without trio), on one core and with priority
over all other processes (SCHED_FIFO, as root). One process of clients and one of backends on the other core send as
fast as they can, for some seconds. Reported are the longest turn in CPU time of the engine's thread, the longest one
in wall time, which is the value of `fastroute_worst_turn_seconds`, the 99.9th percentile in CPU time, the turns and the
bytes that the engine received from clients. A turn waits up to 2.2 ms for more events, so its wall time is more than
its CPU time. The CPU time of a thread includes interrupts, and memory that the host of a virtual machine must provide
first. So after each turn the thread does a fixed amount of similar work (copies through a socket) that takes about as
long. NOISE is by how much the longest of these took longer than the median. The limit is 3 ms of CPU time plus NOISE,
and 3.5 ms more with TLS to backends, because a turn has one step of a handshake that cannot be divided; exit code 1
above it.
"""

import argparse
import contextlib
import json
import mmap
import multiprocessing
import os
import resource
import select
import selectors
import socket
import ssl
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec

from bench.certificate import Pems, chain, client_tls
from bench.process import keep_on, proxy_and_load_core, set_urgent
from bench.soak.frames import conversation, fields, frame
from fastroute import snapshot
from fastroute.settings import Limits
from fastroute.text import Table, write_page

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

SECONDS = 4.0
WARM = 0.7  # seconds before a measurement, in which pools and caches are filled
LIMIT = 3.0  # milliseconds
STEP = 3.5  # milliseconds more for one step of a handshake with a backend, which cannot be divided
NAME = "a.example.com"
GET = b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POST = b"POST / HTTP/1.1\r\nHost: a.example.com\r\n"
BLOCK = b"x" * 65536
DRIP = b"1\r\nx\r\n" * 10_000
FIELDS = b"".join(b"X-Field-%d: %s\r\n" % (number, b"v" * 290) for number in range(190))
LONG_GET = GET[:-2] + FIELDS + b"\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 590 + b"\r\n\r\n"
UPGRADE = GET[:-2] + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """Clients send `first` and then `more` without end, and discard what they receive; a client whose connection ends
    opens another one. A backend answers each head with `answer`."""

    first: bytes = b""
    more: bytes = b""
    answer: bytes = OK
    clients: int = 64
    secure: bool = False
    leaves: bool = False  # a client closes its connection after the first bytes of the response
    each: int = 0  # bytes of responses after which a client does the same; 0: never
    framed: bool = False  # clients speak HTTP/2
    sealed: bool = False  # backends use TLS, with a chain of nine certificates with RSA keys of 4,096 bits,
    closes: bool = False  # and close each connection after an answer
    filters: tuple[Any, ...] = ()
    retry: snapshot.Retry | None = None
    limits: Limits = Limits()


MIRRORS = (snapshot.Mirror(backend="b"),) * 16
WINDOWS = frame(8, 0, 0, struct.pack("!I", 2**31 - 65_536)) + frame(4, 0, 0, struct.pack("!HI", 4, 2**31 - 1))
MANY_GETS, GETS = (conversation([(fields("GET", "/"), b"")] * count) + WINDOWS for count in (100, 16))
LARGE = OK[:17] + b"Content-Length: %d\r\n\r\n" % (len(BLOCK) * 64) + BLOCK * 64
WIDE = Limits(max_connections_per_client=100_000, max_handshakes=4096)
CASES = {
    "small exchanges": Case(more=GET * 20),
    "large heads": Case(more=LONG_GET, answer=OK[:17] + FIELDS + OK[17:]),
    "interim heads": Case(more=GET, answer=INTERIM * 100 + OK),
    "interim heads, TLS": Case(more=GET, answer=INTERIM * 100 + OK, secure=True),
    "mirrors, uploads": Case(more=POST + b"Content-Length: 65536\r\n\r\n" + BLOCK, filters=MIRRORS),
    "mirrors, responses": Case(more=GET, answer=CHUNKED + DRIP * 10 + b"0\r\n\r\n", filters=MIRRORS[:4]),
    "discards": Case(
        more=POST + b"Content-Length: 60000\r\n\r\n" + BLOCK[:60_000],
        filters=(snapshot.Redirect(status=302, hostname="x"),),
    ),
    "lingering": Case(first=POST + b"Content-Length: 99999999999\r\n\r\n", more=BLOCK, limits=Limits(max_body=1000)),
    "lingering, TLS": Case(
        first=POST + b"Content-Length: 99999999999\r\n\r\n", more=BLOCK, limits=Limits(max_body=1000), secure=True
    ),
    "one-byte chunks, uploads": Case(first=POST + b"Transfer-Encoding: chunked\r\n\r\n", more=DRIP),
    "one-byte chunks, responses": Case(more=GET, answer=CHUNKED + DRIP * 40 + b"0\r\n\r\n"),
    "one-byte chunks, TLS": Case(more=GET, answer=CHUNKED + DRIP * 40 + b"0\r\n\r\n", secure=True),
    "one-byte chunks, HTTP/1.0": Case(
        first=b"GET / HTTP/1.0\r\nHost: a.example.com\r\n\r\n", answer=CHUNKED + DRIP * 40 + b"0\r\n\r\n"
    ),
    "tunnels": Case(first=UPGRADE, more=BLOCK, answer=SWITCHED + BLOCK * 64),
    "tunnels, TLS": Case(first=UPGRADE, more=BLOCK, answer=SWITCHED + BLOCK * 64, secure=True),
    "retries": Case(
        more=GET * 20,
        answer=b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno",
        retry=snapshot.Retry(codes=(503,), attempts=10, backoff_ms=0),
    ),
    "new connections": Case(first=GET[:-2] + b"Connection: close\r\n\r\n"),
    "handshakes": Case(clients=500, leaves=True, limits=WIDE),
    "HTTP/2, small exchanges": Case(first=MANY_GETS, each=3000, framed=True),
    "HTTP/2, small exchanges, TLS": Case(first=MANY_GETS, each=3000, framed=True, secure=True),
    "HTTP/2, large answers": Case(first=GETS, each=len(LARGE) * 15, answer=LARGE, framed=True),
    "HTTP/2, large answers, TLS": Case(first=GETS, each=len(LARGE) * 15, answer=LARGE, framed=True, secure=True),
    "HTTP/2, one-byte chunks": Case(
        first=GETS, each=400_000 * 15, answer=CHUNKED + DRIP * 40 + b"0\r\n\r\n", framed=True
    ),
    "TLS to backends, handshakes": Case(more=GET, sealed=True, closes=True, clients=200),
    "TLS to backends, large answers": Case(more=GET, answer=LARGE, sealed=True),
    "relief": Case(
        first=GET + LONG_GET[:-100], answer=b"", clients=600, limits=Limits(max_buffered=4 << 20, max_connections=65536)
    ),
}


# --- the engine


class Result(msgspec.Struct, frozen=True):
    cpu: float  # milliseconds of the longest turn, as the next two
    wall: float
    nearly: float  # the 99.9th percentile of the CPU time
    noise: float
    turns: int
    received: int


class Control:
    """Fixed work that takes about as long as a turn: copies into the kernel and out of it."""

    def __init__(self) -> None:
        self.ends = socket.socketpair()
        self.took: list[float] = []
        self.copies = 50
        self.work()  # the first ones are slower
        self.work()
        self.copies = max(1, round(self.copies * 2.5e-3 / self.took[-1]))

    def work(self) -> None:
        start = time.thread_time()
        for _ in range(self.copies):
            for _ in range(4):
                self.ends[0].send(BLOCK[:16384])
            for _ in range(4):
                self.ends[1].recv(16384)
        self.took.append(time.thread_time() - start)

    def noise(self) -> float:
        """Milliseconds between the median and the longest."""
        self.took.sort()
        return (self.took[-1] - self.took[len(self.took) // 2]) * 1e3


def rig_of(case: Case, backend: int) -> Any:
    from https import SHOWN  # type: ignore[import-not-found]  # from tests/
    from rig import Rig, listener, rule  # type: ignore[import-not-found]  # from tests/

    rig = Rig(case.limits)
    rig.listen()
    tls = snapshot.ListenerTLS(certificates=("a",))
    rig.certificates.put("a", SHOWN["a"])
    secure = case.secure or case.leaves
    rig.install_all(
        [listener(rig.port, tls=tls if secure else None)], rule("b", filters=case.filters, retry=case.retry)
    )
    rig.certificates.commit()
    if case.sealed:
        _, root = sealing()
        tls_to = snapshot.BackendTLS(server_name=NAME, trust_anchors=root)
        rig.upstreams.speak("b", snapshot.Backend(tls=tls_to))
    rig.put("b", backend)
    return rig


def run_engine(case: Case, backend: int, memory: mmap.mmap, ports: Any) -> None:
    """Runs until the time is up, and writes the Result to `memory`."""
    rig = rig_of(case, backend)
    ports.send(rig.port)
    poll = select.poll()
    poll.register(rig.engine.fileno(), select.POLLIN)
    control = Control()
    begun = time.monotonic()
    took: list[float] = []
    more = False
    while (passed := time.monotonic() - begun) < WARM + SECONDS:
        if not more:
            poll.poll(100)
        start = time.thread_time()
        more = rig.engine.turn()
        took.append(time.thread_time() - start)
        control.work()
        if passed < WARM:
            took.clear()
            control.took.clear()
            rig.counters.zero_gauges()
    took.sort()
    fixed = rig.counters.fixed()
    found = Result(
        took[-1] * 1e3,
        fixed["worst_turn"] / 1e3,
        took[-1 - len(took) // 1000] * 1e3,
        control.noise(),
        len(took),
        fixed["bytes_received"],
    )
    memory.write(json.dumps(msgspec.to_builtins(found)).encode())


# --- the peers


class Side(msgspec.Struct):
    """One connection of a client or backend. `later`: what it sends without end after `output`."""

    connection: Any
    output: memoryview
    later: bytes = b""
    received: int = 0

    def send(self) -> bool:
        """Sends what its socket accepts. False: nothing is left."""
        for _ in range(4):
            if not self.output and self.later:
                self.output = memoryview(self.later)
            if not self.output:
                return False
            self.output = self.output[self.connection.send(self.output[:262_144]) :]
        return True


def received(connection: Any) -> bytes:
    """One read; EOFError at the end."""
    data: bytes = connection.recv(262_144)
    leave_if(not data)
    return data


def leave_if(is_over: bool) -> None:
    """EOFError if the connection is over."""
    if is_over:
        raise EOFError


_WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@cache
def sealing() -> tuple[Pems, bytes]:
    """The certificates of backends, and their root. Called first in the parent of the processes that use them."""
    return chain(NAME)


def server_tls() -> ssl.SSLContext:
    """A context of a backend; with it each handshake is a full one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(sealing()[0].chain + sealing()[0].key)
        file.flush()
        context.load_cert_chain(file.name)
    context.num_tickets = 0
    return context


def run_backend(case: Case, ports: Any) -> None:
    """Answers each head; discards all other bytes."""
    context = server_tls() if case.sealed else None
    chosen = selectors.DefaultSelector()
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listening.setblocking(False)
    ports.send(listening.getsockname()[1])
    chosen.register(listening, selectors.EVENT_READ, None)
    while True:
        for key, events in chosen.select():
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    one: Any = listening.accept()[0]
                    one.setblocking(False)
                    if context:
                        one = context.wrap_socket(one, server_side=True, do_handshake_on_connect=False)
                    chosen.register(one, selectors.EVENT_READ, Side(one, memoryview(b"")))
                continue
            side: Side = key.data
            try:
                if events & selectors.EVENT_READ:
                    heads = received(side.connection).count(b"\r\n\r\n")
                    if heads:
                        side.output = memoryview(bytes(side.output) + case.answer * heads)
                had = len(side.output)
                wanted = side.send()
                leave_if(case.closes and had > 0 and not wanted)
            except _WAITS:
                wanted = bool(side.output)
            except (OSError, EOFError):
                chosen.unregister(side.connection)
                side.connection.close()
                continue
            chosen.modify(side.connection, selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0), side)


def hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client_tls().wrap_bio(incoming, outgoing, server_hostname=NAME).do_handshake()
    return outgoing.read()


def run_clients(case: Case, port: int) -> None:
    context = client_tls()
    if case.framed:
        context.set_alpn_protocols(["h2"])
    first = hello() if case.leaves else case.first
    chosen = selectors.DefaultSelector()

    def begin() -> None:
        one: Any = socket.create_connection(("127.0.0.1", port), 10)
        if case.secure:
            one = context.wrap_socket(one, server_hostname=NAME)
        one.setblocking(False)
        side = Side(one, memoryview(first), case.more)
        chosen.register(one, selectors.EVENT_READ | selectors.EVENT_WRITE, side)

    for _ in range(case.clients):
        with contextlib.suppress(OSError):
            begin()
    while True:
        for key, events in chosen.select(1):
            side = key.data
            try:
                if events & selectors.EVENT_READ:
                    side.received += len(received(side.connection))
                    leave_if(case.leaves or 0 < case.each <= side.received)
                if events & selectors.EVENT_WRITE and not side.send():
                    chosen.modify(side.connection, selectors.EVENT_READ, side)
            except _WAITS:
                pass
            except (OSError, EOFError):
                chosen.unregister(side.connection)
                side.connection.close()
                with contextlib.suppress(OSError):
                    begin()


def measure(case: Case, core: int, load_core: int) -> Result:
    memory = mmap.mmap(-1, 4096)
    if case.sealed:
        sealing()
    ours, theirs = multiprocessing.Pipe()
    made: list[BaseProcess] = []

    def start(run: Callable[..., None], *words: Any) -> BaseProcess:
        process = multiprocessing.get_context("fork").Process(target=run, args=(case, *words), daemon=True)
        process.start()
        made.append(process)
        keep_on(process.pid or 0, {load_core})
        return process

    try:
        start(run_backend, theirs)
        backend = ours.recv()
        engine = start(run_engine, backend, memory, theirs)
        keep_on(engine.pid or 0, {core})
        with contextlib.suppress(PermissionError):
            set_urgent(engine.pid or 0, True)
        start(run_clients, ours.recv())
        engine.join(WARM + SECONDS + 30)
    finally:
        for process in made:
            process.kill()
            process.join()
    return msgspec.json.decode(memory[:].rstrip(b"\0"), type=Result)


def is_met(case: Case, found: Result) -> bool:
    return found.cpu <= LIMIT + found.noise + (STEP if case.sealed else 0)


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m bench.turns", description=__doc__)
    words.formatter_class = argparse.RawDescriptionHelpFormatter
    words.add_argument("cases", nargs="*", choices=[[], *CASES], help="default: all")
    chosen = words.parse_args().cases or list(CASES)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    core, load_core = proxy_and_load_core()
    found = {name: measure(CASES[name], core, load_core) for name in chosen}
    rows = tuple(
        (
            name,
            f"{one.cpu:.2f}",
            f"{one.wall:.2f}",
            f"{one.nearly:.2f}",
            f"{one.noise:.2f}",
            str(one.turns),
            f"{one.received / 2**20:.0f}",
            "met" if is_met(CASES[name], one) else "EXCEEDED",
        )
        for name, one in found.items()
    )
    write_page([Table(("CASE", "CPU MS", "WALL MS", "99.9 % MS", "NOISE MS", "TURNS", "RECEIVED MIB", "LIMIT"), rows)])
    return 0 if all(is_met(CASES[name], one) for name, one in found.items()) else 1


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
