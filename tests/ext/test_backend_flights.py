"""A backend whose part of the TLS handshake is larger than one step reads, and events before the next step."""

import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from rig import GET, OK, Rig, rule
from securebackend import dns, issued, tls_to

LATE = 0.0026  # seconds: a turn whose time is up after one piece of work
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
PING = b"\0\0\x08\6\0\0\0\0\0" + b"12345678"


def showing_much() -> ssl.SSLContext:
    """Sends 75 certificates, about 25 KB."""
    shown = issued(dns("a.example.com"))
    others = [issued(dns(f"x{number}.example.com")).chain for number in range(75)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join([shown.chain, *others, shown.key]))
        file.flush()
        context.load_cert_chain(file.name)
    return context


class Backend:
    """Speaks TLS step by step."""

    def __init__(self, listening: socket.socket) -> None:
        self.socket, _ = listening.accept()
        self.socket.settimeout(60)
        self.got, self.sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = showing_much().wrap_bio(self.got, self.sent, server_side=True)

    def after(self, step: Callable[[], bytes | None]) -> bytes:
        """Result of `step`, which reads more as often as it needs."""
        while True:
            try:
                return step() or b""
            except ssl.SSLWantReadError:
                if self.sent.pending:
                    return b""
                self.got.write(self.socket.recv(65_536))

    def flush(self) -> int:
        data = self.sent.read()
        self.socket.sendall(data)
        return len(data)


@contextmanager
def by_hand() -> Iterator[tuple[Rig, Callable[[int], None], Callable[[], socket.socket], socket.socket]]:
    """A rig without a loop, a function that makes turns, one that connects a client, and the listening backend."""
    rig = Rig(None)
    rig.engine.hold_clock()
    rig.listen()
    rig.install(rule("b"))

    def turns(count: int) -> None:
        for _ in range(count):
            rig.engine.turn()
            time.sleep(0.001)

    def client() -> socket.socket:
        made = socket.create_connection(("127.0.0.1", rig.port))
        made.settimeout(60)
        return made

    with closing(rig), socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        rig.upstreams.speak("b", tls_to())
        rig.put("b", listening.getsockname()[1])
        yield rig, turns, client, listening


@pytest.mark.parametrize("first", ["the backend", "its client"])
def test_another_event_ends_the_handshake_before_its_next_step(first: str) -> None:
    """The connection enters its pool while it waits for a step; others that wait behind it must be served."""
    with by_hand() as (rig, turns, client, listening):
        asking, other = client(), client()
        turns(4)
        asking.sendall(GET)
        turns(4)
        backend = Backend(listening)
        turns(4)
        backend.got.write(backend.socket.recv(65_536))
        backend.after(lambda: backend.tls.do_handshake())
        rig.engine.hold_clock(LATE)
        assert backend.flush() > 20_000
        turns(2)
        other.sendall(PREFACE)
        turns(3)
        if first == "the backend":
            rig.engine.hold_clock()
            turns(2)
        asking.sendall(b"G")
        turns(3)
        backend.after(lambda: backend.tls.do_handshake())
        backend.after(lambda: backend.tls.read(4096))
        backend.tls.write(OK)
        backend.flush()
        turns(4)
        assert asking.recv(12) == b"HTTP/1.1 200"
        rig.engine.hold_clock()
        other.sendall(PING)
        got = b""
        other.settimeout(0.01)
        for _ in range(500):
            turns(1)
            try:
                got += other.recv(4096)
            except TimeoutError:
                continue
            if PING[9:] in got:
                break
        assert PING[9:] in got
