"""Flows of datagrams and what a machine has only so many of: file descriptors and local ports."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from shutil import which

import pytest
from datagrams import answering, clients, echo, to, udp, udp_listener, udp_rule
from rig import GET, backends, connect, hanging, listener, no_descriptor, rule, soon

from fastroute.settings import Limits

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
def limited(files: int) -> Iterator[None]:
    """For an engine that begins meanwhile, the limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_flows_leave_half_of_the_descriptors_to_connections() -> None:
    """Of 400 descriptors, 100 are for flows, connections to backends and listening sockets."""
    async with AsyncExitStack() as stack:
        [endpoint] = await stack.enter_async_context(answering(echo))
        [backend] = await stack.enter_async_context(backends(hanging))
        with limited(400):
            small = Limits(max_connections=400 - 100 - 256)
            rig = await stack.enter_async_context(udp(udp_rule(to(DNS)), limits=small))
        rig.endpoints(DNS, endpoint.port)
        for client in stack.enter_context(clients(rig.place, 120)):
            assert await client.ask(b"x") == b"x"
        assert rig.flows == 50
        assert {line["reason"] for line in rig.lines()} == {"flows_full"}
        rig.listen()
        rig.install_all([udp_listener(rig.place), listener(rig.port)], udp_rule(to(DNS)), rule("b"))
        rig.put("b", backend.port)
        for _ in range(40):
            await (await connect(rig.port)).send(GET)
        await soon(lambda: backend.open == 40)


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
