"""`python -m bench.idle`: memory of a worker for idle connections of a TCPRoute, and for flows of UDP.

Each connection, and each flow, has carried 100 bytes there and back. The growth of the resident memory of the worker is
divided by their number, after some that are not counted. The memory of the kernel is not included. The limits are 2 KiB
and 1 KiB.
"""

import socket
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.compiled import compiled
from bench.peers import free_port, running
from bench.process import proxy_and_load_core, resident_bytes
from bench.served import Served, serving
from bench.transport import SIZE, write_world

WARM, COUNT = 300, 4_000
PER_CLIENT = 900  # connections of one address; below the limit of fastroute
WITHIN = 20  # seconds until an answer


class Idle(NamedTuple):
    """Bytes."""

    tunnel: float
    flow: float


def tunnel(served: Served, number: int) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", served.port), WITHIN, (f"127.0.1.{1 + number // PER_CLIENT}", 0))
    one.sendall(bytes(SIZE))
    assert one.recv(SIZE, socket.MSG_WAITALL) == bytes(SIZE)
    return one


def flow(served: Served, number: int) -> None:
    """The flow stays when its client has gone. `number`: decides the address of the client."""
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.bind((f"127.0.1.{1 + number // PER_CLIENT}", 0))
        one.settimeout(WITHIN)
        one.sendto(bytes(SIZE), ("127.0.0.1", served.port))
        assert one.recv(SIZE) == bytes(SIZE)


def measure(served: Served) -> Idle:
    """Flows first: connections that have ended leave memory for others."""
    for number in range(WARM):
        flow(served, number)
    before = resident_bytes(served.worker)
    for number in range(WARM, WARM + COUNT):
        flow(served, number)
    flows = resident_bytes(served.worker) - before
    held = [tunnel(served, number) for number in range(WARM)]
    before = resident_bytes(served.worker)
    held += [tunnel(served, number) for number in range(WARM, WARM + COUNT)]
    tunnels = resident_bytes(served.worker) - before
    for one in held:
        one.close()
    return Idle(tunnels / COUNT, flows / COUNT)


def measure_idle() -> Idle:
    backend = free_port()
    _, core = proxy_and_load_core()
    with tempfile.TemporaryDirectory(prefix="fastroute-bench-") as root:
        write_world(Path(root), backend)
        with (
            running("backend", [compiled("tunnels"), "serve", str(backend)], backend, core),
            subprocess.Popen([compiled("datagrams"), "echo", str(backend)]) as echo,
        ):
            try:
                with serving(Path(root)) as served:
                    return measure(served)
            finally:
                echo.terminate()


def main() -> None:
    found = measure_idle()
    print(f"{'KiB':30}{'measured':>10}{'limit':>8}")
    print(f"{'connection of a TCPRoute':30}{found.tunnel / 1024:10.2f}{2:8}")
    print(f"{'flow of UDP':30}{found.flow / 1024:10.2f}{1:8}")


if __name__ == "__main__":
    main()
