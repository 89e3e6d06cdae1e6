"""Flows of datagrams and what a machine has only so many of: file descriptors and local ports."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import pytest
import trio
from datagrams import answering, clients, echo, to, udp, udp_rule
from rig import GET, no_descriptor, soon

DNS = "apps/dns:53"


async def test_without_a_descriptor_the_flow_that_was_unused_longest_gives_way() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 3) as [a, b, c]:
            for client in (a, b):
                await client.ask(b"x")
            with no_descriptor():
                assert await c.ask(b"x") == b"x"
            assert (rig.flows, [line["reason"] for line in rig.lines()]) == (2, ["flows_full"])


async def test_without_any_descriptor_datagrams_are_lost_and_counted() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 1) as [client]:
            with no_descriptor():
                await client.send(b"x")
                await soon(lambda: rig.local("overloaded") == 1)
            assert rig.engine.shortages()["connect"][0] == 1
            assert (rig.flows, rig.lines()) == (0, [])
            assert await client.ask(b"x") == b"x"


@contextmanager
def few_descriptors(free: int) -> Iterator[None]:
    """A limit of open files, with `free` unused numbers below its half."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(fd) for fd in os.listdir("/proc/self/fd")}
    half = 0
    while sum(number not in used for number in range(half)) < free:
        half += 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * half, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_flows_leave_half_of_the_descriptors_to_connections() -> None:
    with clients(("127.0.0.1", 9), 60) as many, few_descriptors(30):
        async with answering(echo) as [endpoint], udp(udp_rule(to(DNS))) as rig:
            rig.endpoints(DNS, endpoint.port)
            for client in many:
                client.to = rig.place[1:]
                assert await client.ask(b"x") == b"x"
            assert 10 < rig.flows < 30
            assert {line["reason"] for line in rig.lines()} == {"flows_full"}
            port = rig.listen()
            streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(10)]
            for stream in streams:
                await stream.send_all(GET)
                assert (await stream.receive_some(100)).startswith(b"HTTP/1.1 404")
                await stream.aclose()


async def more_flows_than_ports() -> None:
    """With 20 local ports for everything."""
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        source = 1024
        for _ in range(60):
            source += 1
            with clients(rig.place, 1) as [client]:
                await client.socket.bind(("127.0.0.1", source))
                assert await client.ask(b"x") == b"x"
        assert 5 < rig.flows <= 20
        assert {line["reason"] for line in rig.lines()} == {"flows_full"}


@pytest.mark.skipif(os.geteuid() != 0 or not which("ip"), reason="makes a network namespace")
def test_without_a_local_port_the_flow_that_was_unused_longest_gives_way() -> None:
    folders = [Path(__file__).parent, Path(__file__).parent.parent, *sys.path]
    program = "import trio; from test_datagrams_room import more_flows_than_ports as few; trio.run(few)"
    prepare = "ip link set lo up && echo 50000 50019 > /proc/sys/net/ipv4/ip_local_port_range"
    subprocess.run(
        ["unshare", "--net", "sh", "-c", f'{prepare} && exec "$@"', "sh", sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        check=True,
        timeout=60,
    )
