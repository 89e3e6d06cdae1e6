"""`python -m bench.received`: what a limit of the kernel's receive buffers costs, and what it prevents.

In a network namespace of its own (root, `unshare`, `ip`), a client uploads through the engine, first as fast as
possible, until the backend stops reading. The packets of the client pass a TUN device, which delays them. Reported for
each third value of the sysctl `net.ipv4.tcp_rmem` and each round-trip time: the throughput of the upload, and what the
kernel holds of it after the backend has stopped.
"""

import collections
import contextlib
import fcntl
import multiprocessing
import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fastroute.text import Table, write_page

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

SIZES = (6144, 2048, 1024, 512)  # KiB: the third value of tcp_rmem
TIMES = (1, 10, 50)  # milliseconds: the round-trip time
WARM = 3.0  # seconds until the kernel has enlarged its buffers
SECONDS = 2.0  # in which the throughput is measured
NEAR, FAR = "10.9.0.1", "10.9.0.2"
MTU = 60_000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
SO_MEMINFO = 55
BYTES_RECEIVED = 128  # offset in struct tcp_info
INSIDE = "inside"


def tun() -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"delay", IFF_TUN | IFF_NO_PI))
    for command in (f"addr add {NEAR}/24 dev delay", f"link set delay mtu {MTU} up"):
        subprocess.run(["ip", *command.split()], check=True)
    return device


def delay(device: int, seconds: float) -> None:
    """Returns each packet to the device after `seconds`, with its two addresses exchanged. So packets to FAR come from
    FAR to NEAR, and their checksums remain correct."""
    waiting: collections.deque[tuple[float, bytearray]] = collections.deque()
    while True:
        now = time.monotonic()
        select.select([device], [], [], max(0.0, waiting[0][0] - now) if waiting else None)
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                packet = bytearray(os.read(device, 65536))
                packet[12:16], packet[16:20] = packet[16:20], packet[12:16]
                if packet[0] >> 4 == 4:
                    waiting.append((time.monotonic() + seconds, packet))
        while waiting and waiting[0][0] <= time.monotonic():
            os.write(device, waiting.popleft()[1])


def upload(port: int) -> None:
    client = socket.create_connection((FAR, port))
    client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999\r\n\r\n")
    while True:
        client.sendall(b"x" * 262_144)


def take(listening: socket.socket, stop: Any) -> None:
    """A backend that reads until `stop` is set."""
    connection = listening.accept()[0]
    while not stop.is_set():
        connection.recv(1 << 20)
    time.sleep(60)


def run_engine(engine: Any, seconds: float) -> None:
    poll = select.poll()
    poll.register(engine.fileno(), select.POLLIN)
    end = time.monotonic() + seconds
    more = False
    while time.monotonic() < end:
        if not more:
            poll.poll(20)
        more = engine.turn()


def accepted(port: int) -> socket.socket:
    """The engine's connection of the client."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                one = socket.socket(fileno=os.dup(int(name)))
                if one.getsockname()[1:2] == (port,) and one.getpeername():
                    return one
    raise RuntimeError("the client is not connected")


def received(connection: socket.socket) -> int:
    found: int = struct.unpack_from(
        "Q", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), BYTES_RECEIVED
    )[0]
    return found


def measure() -> tuple[float, int]:
    """Megabytes a second, and KiB that are not read at the end."""
    from rig import Rig, loopback, rule  # type: ignore[import-not-found]  # from tests/

    fork = multiprocessing.get_context("fork")
    stop = fork.Event()
    backend = socket.create_server(("127.0.0.1", 0))
    listening = socket.create_server((NEAR, 0))
    port = listening.getsockname()[1]
    rig = Rig()
    rig.port = port
    rig.engine.listen(listening.detach(), loopback(port))
    rig.install(rule("b"))
    rig.put("b", backend.getsockname()[1])
    made = [fork.Process(target=take, args=(backend, stop)), fork.Process(target=upload, args=(port,))]
    try:
        for process in made:
            process.start()
        run_engine(rig.engine, WARM)
        connection = accepted(port)
        before, begun = received(connection), time.monotonic()
        run_engine(rig.engine, SECONDS)
        rate = (received(connection) - before) / (time.monotonic() - begun) / 1e6
        stop.set()
        run_engine(rig.engine, SECONDS)
        unread = struct.unpack("9I", connection.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[0]
    finally:
        for process in made:
            process.kill()
    return rate, unread >> 10


def inside() -> None:
    """All measurements, in the namespace."""
    for setting in ("all.accept_local=1", "default.accept_local=1", "all.rp_filter=0", "default.rp_filter=0"):
        subprocess.run(["sysctl", "-qw", f"net.ipv4.conf.{setting}"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    device = tun()
    rows = []
    for size in SIZES:
        subprocess.run(["sysctl", "-qw", f"net.ipv4.tcp_rmem=4096 131072 {size << 10}"], check=True)
        for milliseconds in TIMES:
            delaying = multiprocessing.get_context("fork").Process(target=delay, args=(device, milliseconds / 2000))
            delaying.start()
            try:
                rate, unread = measure()
            finally:
                delaying.kill()
                delaying.join()
            rows.append((str(size), str(milliseconds), f"{rate:.0f}", str(unread)))
    write_page([Table(("TCP_RMEM KIB", "ROUND TRIP MS", "MB/S", "UNREAD KIB"), tuple(rows))])


def main() -> int:
    if sys.argv[1:] == [INSIDE]:
        inside()
        return 0
    return subprocess.run(["unshare", "--net", sys.executable, "-m", "bench.received", INSIDE], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
