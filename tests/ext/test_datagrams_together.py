"""Datagrams of one flow that are read together, and sent together if the kernel can divide them."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from shutil import which

import pytest
from datagrams import UdpRig, to, udp_rule

DNS = "apps/dns:53"
SIZES = {
    "equal": [100] * 70,
    "a smaller one within": [100] * 5 + [50] + [100] * 5,
    "growing": [10, 20, 30, 30, 30, 10, 10],
    "empty": [0, 0, 5, 5, 0, 5],
    "large": [1_472] * 64,
    "more than one message may have": [30_000] * 6,
    "as large as possible": [65_507] * 3,
    "single bytes": [1] * 40,
}


def arrived(one: socket.socket) -> Iterator[tuple[bytes, tuple[str, int]]]:
    with suppress(BlockingIOError):
        while True:
            yield one.recvfrom(65_536)


def pass_both_ways(sizes: list[int], address: str = "127.0.0.1") -> None:
    """Sends all datagrams, lets an endpoint answer all of them, and compares contents, order and addresses."""
    rig = UdpRig(address, None)
    with socket.socket(type=socket.SOCK_DGRAM) as endpoint, socket.socket(type=socket.SOCK_DGRAM) as client:
        for one in (endpoint, client):
            one.bind(("127.0.0.1", 0))
            one.setblocking(False)
        rig.serve(udp_rule(to(DNS)))
        rig.endpoints(DNS, endpoint.getsockname()[1])
        datagrams = [bytes([i % 256]) * size for i, size in enumerate(sizes)]
        # In portions that the kernel holds for a socket.
        portion = max(1, 100_000 // max(1, *sizes))
        for begin in range(0, len(datagrams), portion):
            sent = datagrams[begin : begin + portion]
            for data in sent:
                client.sendto(data, ("127.0.0.1", rig.place.port))
            while rig.engine.turn() or rig.counted[0] < begin + len(sent):
                pass
            got = list(arrived(endpoint))
            assert [data for data, _ in got] == sent
            for data, peer in got:
                endpoint.sendto(data, peer)
            while rig.engine.turn() or rig.counted[1] < begin + len(sent):
                pass
            assert list(arrived(client)) == [(data, ("127.0.0.1", rig.place.port)) for data in sent]
        assert rig.flows == 1
    rig.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("case", SIZES)
def test_contents_and_order_stay(case: str, address: str) -> None:
    pass_both_ways(SIZES[case], address)


@pytest.mark.skipif(os.geteuid() != 0 or not which("ip"), reason="makes a network namespace")
def test_datagrams_larger_than_the_mtu_are_sent_one_by_one() -> None:
    """The kernel refuses to divide them. In a namespace whose loopback interface has an MTU of 1,500 bytes."""
    program = "from test_datagrams_together import pass_both_ways as both; both([2_000] * 40 + [100] * 40)"
    folders = [Path(__file__).parent, Path(__file__).parent.parent, *sys.path]
    subprocess.run(
        [
            "unshare",
            "--net",
            "sh",
            "-c",
            'ip link set lo mtu 1500 up && exec "$@"',
            "sh",
            sys.executable,
            "-c",
            program,
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        check=True,
        timeout=60,
    )
