"""Sends requests through one Engine in one thread: the program that `bench.instructions` runs under Valgrind.

    python bench/exchanges.py CASE COUNT       (with a checkout and its tests on PYTHONPATH)

Client, engine and backend take turns in one thread, so every run executes nearly the same instructions. The file uses
only what old commits have as well: the Rig of the tests.
"""

import os
import select
import socket
import sys
from collections.abc import Callable
from typing import NamedTuple

from rig import Rig, rule  # type: ignore[import-not-found]  # from tests/

TURNS = 200  # of the engine until something must have arrived
HEAD = b"Host: a.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n"
GET = b"GET /small HTTP/1.1\r\n" + HEAD + b"\r\n"
POST = b"POST /small HTTP/1.1\r\n" + HEAD
FIELDS = b"Server: bench\r\nDate: Sun, 29 Nov 2026 18:00:00 GMT\r\nContent-Type: text/plain\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + FIELDS + b"Content-Length: 16\r\n\r\n0123456789abcdef"
BLOCK = b"x" * 16_384
CHUNKS = b"4000\r\n" + BLOCK + b"\r\n0\r\n\r\n"


class Case(NamedTuple):
    request: bytes = GET
    answer: bytes = OK
    closes: bool = False  # each request has a connection of its own
    rules: int = 1
    sampling: float | None = None  # of traces; None: no tracing


CASES = {
    "kept connection": Case(),
    "new connection": Case(request=GET[:-2] + b"Connection: close\r\n\r\n", closes=True),
    "answer of 16 KiB": Case(answer=OK.replace(b"16\r\n\r\n0123456789abcdef", b"16384\r\n\r\n" + BLOCK)),
    "answer in chunks": Case(answer=OK.replace(b"Content-Length: 16\r\n\r\n0123456789abcdef", b"")
                             + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS),
    "upload of 16 KiB": Case(request=POST + b"Content-Length: 16384\r\n\r\n" + BLOCK),
    "upload in chunks": Case(request=POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS),
    "no trace sampled": Case(sampling=0.0),
    "all traces sampled": Case(sampling=1.0),
    "one of 500 routes": Case(request=GET.replace(b"/small", b"/r250"), rules=500),
}  # fmt: skip


def send(case: Case, count: int) -> None:
    """Sends `count` requests, and checks that each is answered."""
    rig = Rig() if case.sampling is None else _tracing(case.sampling)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        rig.listen()
        paths = [f"/r{number}" for number in range(case.rules)] if case.rules > 1 else ["/small"]
        rig.install(*(rule("b", name=str(number), path=path) for number, path in enumerate(paths)))
        rig.put("b", listening.getsockname()[1])
        client = backend = None
        for _ in range(count):
            client = client or socket.create_connection(("127.0.0.1", rig.port))
            client.sendall(case.request)
            if backend is None:
                _turn(rig, lambda: bool(select.select([listening], [], [], 0)[0]))
                backend, _ = listening.accept()
            _receive(rig, backend, len(case.request) - 64)
            backend.sendall(case.answer)
            received = _receive(rig, client, len(case.answer))
            if not received.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"received {received[:200]!r}")
            if case.closes:
                client.close()
                client = None


def _tracing(sampling: float) -> Rig:
    from fastroute.ext.reactor.accesslog import AccessLog

    return Rig(spans=AccessLog(os.open(os.devnull, os.O_WRONLY), "traces"), trace_sampling=sampling)


def _receive(rig: Rig, sender: socket.socket, least: int) -> bytes:
    received = b""

    def is_complete() -> bool:
        nonlocal received
        while select.select([sender], [], [], 0)[0] and (data := sender.recv(65536)):
            received += data
        return len(received) >= least

    _turn(rig, is_complete)
    return received


def _turn(rig: Rig, is_over: Callable[[], bool]) -> None:
    for _ in range(TURNS):
        rig.engine.turn()
        if is_over():
            return
    raise RuntimeError("the engine does not pass on what it received")


if __name__ == "__main__":
    send(CASES[sys.argv[1]], int(sys.argv[2]))
