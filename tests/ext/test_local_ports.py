"""Connections to backends when few local ports are free.

The kernel's search for a free port takes long then, so sockets get a part of the ports only. A test that needs other
settings of the kernel has a network namespace of its own."""

import errno
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import which

import pytest
from rig import GET, Rig
from steps import client, is_readable, settle, standing

from fastroute.ext.routing.balancer import Selector

IP_LOCAL_PORT_RANGE = 51
MINUTE = 60


def listening(rig: Rig) -> socket.socket:
    backend = socket.create_server(("127.0.0.1", 0), backlog=1024)
    backend.settimeout(10)
    rig.put("b", backend.getsockname()[1])
    return backend


def part_of(peer: socket.socket) -> int | None:
    """How many ports the engine allowed for the socket whose other end is `peer`; None: all."""
    for fd in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(fd))) as one:
                if one.getsockname() != peer.getpeername() or one.getpeername() != peer.getsockname():
                    continue
                ends = one.getsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE) & 0xFFFFFFFF
        except OSError:
            continue
        first, last = ends & 0xFFFF, ends >> 16
        assert not ends or first <= peer.getpeername()[1] <= last
        return last - first + 1 if ends else None
    raise AssertionError("there is no such socket")


def knows_parts() -> bool:
    with socket.socket() as one:
        try:
            one.getsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE)
        except OSError:
            return False
    return True


@pytest.mark.skipif(not knows_parts(), reason="needs Linux 6.3")
def test_after_a_long_search_sockets_get_a_part_of_the_ports_for_a_minute() -> None:
    with standing() as (rig, stack):
        backend = stack.enter_context(listening(rig))

        def connected() -> socket.socket:
            client(rig, stack, GET)
            settle(rig)
            return stack.enter_context(backend.accept()[0])

        assert part_of(connected()) is None
        rig.engine.note_scarce_ports()
        assert part_of(connected()) == 64
        assert part_of(connected()) == 64
        rig.engine.advance(MINUTE + 1)
        settle(rig)
        assert part_of(connected()) is None


FIRST = 50_000  # of the 128 local ports in the network namespace of a test


@contextmanager
def taken(count: int) -> Iterator[None]:
    """No connection can get one of the first ports."""
    with ExitStack() as stack:
        for port in range(FIRST, FIRST + count):
            stack.enter_context(socket.socket()).bind(("", port))
        yield


def with_all_parts_in_use() -> None:
    with taken(65), standing(local_ports=(FIRST, FIRST + 64)) as (rig, stack):
        backend = stack.enter_context(listening(rig))
        rig.engine.note_scarce_ports()

        def is_connected() -> bool:
            one = client(rig, stack, GET)
            settle(rig)
            if is_readable(backend.fileno()):
                stack.enter_context(backend.accept()[0])
                return True
            assert one.recv(65_536).startswith(b"HTTP/1.1 503")
            return False

        assert is_connected()
        assert not is_connected()
        rig.engine.advance(0.099)
        assert not is_connected()
        rig.engine.advance(0.001)
        assert is_connected()
        assert not is_connected()


def ask_from(address: str, rig: Rig) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", rig.port), 10, (address, 0))
    one.sendall(GET)
    settle(rig)
    return one


def without_a_local_port() -> None:
    """Each client resets its connection before the backend has replied, so the kernel keeps the port of the gateway."""
    with standing(local_ports=(FIRST, FIRST + 127)) as (rig, stack):
        backend = stack.enter_context(listening(rig))
        rig.engine.note_scarce_ports()
        statuses = set()
        for number in range(300):
            with ask_from(f"127.0.{1 + number // 200}.{1 + number % 200}", rig) as one:
                if is_readable(backend.fileno()):
                    with backend.accept()[0] as peer:
                        assert peer.recv(65_536)
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        one.close()
                        settle(rig)
                        assert peer.recv(65_536) == b""
                else:
                    statuses.add(one.recv(65_536)[:12])
        count, error = rig.engine.shortages()["connect"]
        assert statuses == {b"HTTP/1.1 503"}
        assert 300 - 128 <= count < 300
        assert error == errno.EADDRNOTAVAIL
        assert Selector(rig.upstreams, "b", 1).choose(now=0, usable=True)


@pytest.mark.skipif(os.geteuid() != 0 or not which("ip") or not knows_parts(), reason="makes a network namespace")
@pytest.mark.parametrize(
    "test",
    [
        pytest.param(with_all_parts_in_use, id="all ports are searched at most once in 100 ms"),
        pytest.param(without_a_local_port, id="an endpoint is not to blame for missing local ports"),
    ],
)
def test_with_few_local_ports(test: Callable[[], None]) -> None:
    folders = [Path(__file__).parent, Path(__file__).parent.parent, *sys.path]
    program = f"from test_local_ports import {test.__name__} as test; test()"
    sysctl = "/proc/sys/net/ipv4"
    ports = f"echo {FIRST} {FIRST + 127} > {sysctl}/ip_local_port_range"
    prepare = f"ip link set lo up && {ports} && echo 0 > {sysctl}/tcp_tw_reuse"
    subprocess.run(
        ["unshare", "--net", "sh", "-c", f'{prepare} && exec "$@"', "sh", sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        check=True,
        timeout=60,
    )
