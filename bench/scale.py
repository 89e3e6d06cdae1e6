"""Size: memory of a worker with many routes and of an idle connection, and the time from start to ready."""

import socket
import tempfile
import time
from pathlib import Path
from statistics import median

import msgspec

from bench.manifests import write_manifests
from bench.peers import free_port
from bench.process import resident_bytes
from bench.served import Served, serving

STARTS = 3
IDLE = 4_000  # connections; below the usual limit of open files
PER_CLIENT = 900  # connections of one address; below the limit of fastroute


class Scale(msgspec.Struct, frozen=True):
    routes: int
    start_s: float  # from the start of the process to /readyz, median
    start_one_s: float  # the same with one route
    worker_bytes: int  # resident
    worker_one_bytes: int
    connection_bytes: float  # resident memory per idle client connection, after one request


def measure_scale(routes: int) -> Scale:
    with tempfile.TemporaryDirectory(prefix="fastroute-bench-") as name:
        folder = Path(name)
        backend = free_port()
        write_manifests(folder / "one", 1, backend)
        write_manifests(folder / "many", routes, backend)
        start_one_s, worker_one_bytes = _starts(folder / "one")
        start_s, worker_bytes = _starts(folder / "many")
        with serving(folder / "one") as served:
            connection_bytes = _idle_connections(served)
    return Scale(routes, start_s, start_one_s, worker_bytes, worker_one_bytes, connection_bytes)


def _starts(manifests: Path) -> tuple[float, int]:
    times, sizes = [], []
    for _ in range(STARTS):
        with serving(manifests) as served:
            times.append(served.ready_after)
            sizes.append(resident_bytes(served.worker))
    return median(times), int(median(sizes))


def _idle_connections(served: Served) -> float:
    """Each connection sends one request (404) and stays open. The first hundred, not counted, warm up shared memory."""
    held: list[socket.socket] = []
    try:
        held += _open(served.port, 100)
        before = _settled(served)
        held += _open(served.port, IDLE)
        return (_settled(served) - before) / IDLE
    finally:
        for each in held:
            each.close()


def _open(port: int, count: int) -> list[socket.socket]:
    held = []
    for number in range(count):
        client = f"127.0.1.{1 + number // PER_CLIENT}"
        connection = socket.create_connection(("127.0.0.1", port), 5, (client, 0))
        connection.sendall(b"GET /nowhere HTTP/1.1\r\nHost: bench\r\n\r\n")
        connection.recv(4096)
        held.append(connection)
    return held


def _settled(served: Served) -> int:
    time.sleep(0.5)
    return resident_bytes(served.worker)
