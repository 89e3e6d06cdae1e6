"""What Makefile commands print when they cannot start: one line with the solution, no traceback."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cluster.relay import Relay

from fastroute.demo.pods import free_ports

ROOT = Path(__file__).parent.parent


def cluster(*words: object) -> subprocess.CompletedProcess[str]:
    """`make cluster`, without the steps that make runs before it."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "cluster", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60, cwd=ROOT)


PORTS = ("--port", "--http", "--https")


def with_taken(option: str, port: int) -> subprocess.CompletedProcess[str]:
    """The other ports are free ones: another program may use the usual ones."""
    others = [one for one in PORTS if one != option]
    return cluster(option, port, *(word for pair in zip(others, free_ports(2), strict=True) for word in pair))


@pytest.mark.parametrize("option", PORTS)
def test_a_cluster_with_a_taken_port_ends_with_one_line(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = with_taken(option, port)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"make cluster: port {port} of 127.0.0.1 is in use: make cluster ARGS='{option} ")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


def test_the_port_that_is_proposed_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = with_taken("--http", taken.getsockname()[1])
        other = int(ended.stderr.partition("--http ")[2].partition("'")[0])
        socket.create_server(("127.0.0.1", other)).close()


def test_one_port_for_two_doors() -> None:
    [port] = free_ports(1)
    ended = cluster("--http", port, "--https", port)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert f"port {port} of 127.0.0.1 is given twice" in ended.stderr


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_what_is_no_port(port: str) -> None:
    ended = cluster("--http", port)
    assert ended.returncode == 2
    assert f"argument --http: '{port}' is not a port from 1 to 65535" in ended.stderr


def test_a_relay_at_a_taken_port_says_so_at_once() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="in use"),
        Relay(taken.getsockname(), ("127.0.0.1", 1)),
    ):
        pass
