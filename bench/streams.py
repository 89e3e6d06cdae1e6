"""Like bench.exchanges, for requests that share connections: HTTP/2 from clients, to a backend of HTTP/1.1 or HTTP/2.

    python bench/streams.py CASE COUNT       (with a checkout and its tests on PYTHONPATH)

Clients and backend read only what tells them how many messages have arrived. The clock of the engine is stopped: under
Valgrind, it executes so slowly that the limits of time would end each visit of a connection after one stream.
"""

import select
import socket
import sys
from collections.abc import Iterator

from hpack import Encoder  # type: ignore[import-not-found]
from rig import Rig, rule  # type: ignore[import-not-found]  # from tests/

from fastroute import snapshot

CASES = ("HTTP/2", "HTTP/2 to HTTP/2")
CLIENTS, STREAMS = 4, 16  # streams of each client at the same time
TURNS = 200  # of the engine until something must have arrived
DATA, HEADERS, SETTINGS, WINDOW_UPDATE = 0, 1, 4, 8
ENDS, WHOLE = 1, 4  # flags END_STREAM, END_HEADERS
WINDOW = (1 << 30).to_bytes(4, "big")
REQUEST = [
    (":method", "GET"),
    (":path", "/small"),
    (":scheme", "http"),
    (":authority", "a.example.com"),
    ("user-agent", "bench"),
]
FIELDS = [("server", "bench"), ("date", "Sun, 29 Nov 2026 18:00:00 GMT"), ("content-type", "text/plain")]
BODY = b"hello, world\n"
OK = b"HTTP/1.1 200 OK\r\n%s\r\n" + BODY


def frame(type_: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([type_, flags]) + stream.to_bytes(4, "big") + payload


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
OPENING = frame(SETTINGS) + frame(WINDOW_UPDATE, payload=WINDOW)


class Frames:
    """What a peer of HTTP/2 sends and gets."""

    def __init__(self, connected: socket.socket, opening: bytes = OPENING) -> None:
        self.socket = connected
        self.encoder = Encoder()
        self.rest = b""
        connected.sendall(opening)

    def arrived(self) -> Iterator[tuple[int, int]]:
        """Stream and flags of HEADERS and DATA that have arrived."""
        while select.select([self.socket], [], [], 0)[0] and (data := self.socket.recv(65536)):
            self.rest += data
        self.rest = self.rest.removeprefix(PREFACE)
        while len(self.rest) >= 9 and len(self.rest) >= (size := 9 + int.from_bytes(self.rest[:3], "big")):
            if self.rest[3] in (DATA, HEADERS):
                yield int.from_bytes(self.rest[5:9], "big"), self.rest[4]
            self.rest = self.rest[size:]

    def ended(self) -> list[int]:
        return [stream for stream, flags in self.arrived() if flags & ENDS]

    def fields(self, fields: list[tuple[str, str]]) -> bytes:
        encoded: bytes = self.encoder.encode(fields)
        return encoded


class Backend:
    """One that answers all requests which have arrived, on as many connections as there are."""

    def __init__(self, listening: socket.socket, http2: bool) -> None:
        self.listening = listening
        self.http2 = http2
        self.peers: list[Frames] = []
        self.plain: list[socket.socket] = []
        self.served = 0

    def serve(self) -> None:
        while select.select([self.listening], [], [], 0)[0]:
            accepted, _ = self.listening.accept()
            if self.http2:
                self.peers.append(Frames(accepted))
            else:
                self.plain.append(accepted)
        for peer in self.peers:
            answers = b""
            for stream in peer.ended():
                fields = peer.fields([(":status", "200"), *FIELDS, ("content-length", str(len(BODY)))])
                answers += frame(HEADERS, WHOLE, stream, fields) + frame(DATA, ENDS, stream, BODY)
            if answers:
                peer.socket.sendall(answers)
        for one in select.select(self.plain, [], [], 0)[0]:
            one.recv(65536)
            lines = "".join(f"{name}: {value}\r\n" for name, value in FIELDS) + f"Content-Length: {len(BODY)}\r\n"
            one.sendall(OK % lines.encode())


def send(case: str, count: int) -> None:
    """Sends `count` requests, and waits for their answers."""
    rig = Rig()
    rig.engine.hold_clock()
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        rig.listen()
        rig.install(rule("b", path="/small"))
        if case.endswith("to HTTP/2"):
            rig.upstreams.speak("b", snapshot.Backend(protocol="h2"))
        rig.put("b", listening.getsockname()[1])
        backend = Backend(listening, case.endswith("to HTTP/2"))
        clients = [Frames(socket.create_connection(("127.0.0.1", rig.port)), PREFACE + OPENING) for _ in range(CLIENTS)]
        for begun in range(0, count, CLIENTS * STREAMS):
            batch(rig, clients, backend, 1 + begun // CLIENTS * 2)


def batch(rig: Rig, clients: list[Frames], backend: Backend, first: int) -> None:
    for client in clients:
        heads = [client.fields(REQUEST) for _ in range(STREAMS)]
        client.socket.sendall(
            b"".join(frame(HEADERS, ENDS | WHOLE, first + 2 * i, head) for i, head in enumerate(heads))
        )
    missing = CLIENTS * STREAMS
    for _ in range(TURNS):
        rig.engine.turn()
        backend.serve()
        missing -= sum(len(client.ended()) for client in clients)
        if missing == 0:
            return
    raise RuntimeError(f"{missing} answers are missing")


if __name__ == "__main__":
    send(sys.argv[1], int(sys.argv[2]))
