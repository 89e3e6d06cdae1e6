"""Echo backends and the small client, tested with each other and over raw sockets."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from fastroute.demo.client import Client
from fastroute.demo.echo import serve_echo
from fastroute.demo.pods import Pod, copy_manifests, free_ports, is_free
from fastroute.demo.tour import EXAMPLE


@pytest.fixture
async def pod(nursery: trio.Nursery) -> Pod:
    pod = Pod(
        namespace="apples", service="apple-echo", name="apple-echo-1-0", address="127.0.0.1", port=free_ports(1)[0]
    )
    await nursery.start(serve_echo, [pod])
    return pod


async def raw(pod: Pod, request: bytes) -> bytes:
    """Everything the server sends until it closes the connection."""
    stream = await trio.open_tcp_stream(pod.address, pod.port)
    async with stream:
        await stream.send_all(request)
        return b"".join([piece async for piece in stream])


async def test_an_echo_says_what_arrived_and_who_it_is(pod: Pod) -> None:
    async with Client(pod.address, pod.port) as client:
        answer = await client.ask(
            "/a?b=c", host="h.example", method="POST", headers=[("X-A", "1"), ("X-A", "2")], body=b"abc"
        )
    assert answer.status == 200
    assert answer.source == "apples/apple-echo"
    echo = answer.echo
    headers = echo.pop("headers")
    assert headers["x-a"] == ["1", "2"]
    assert echo == {
        "method": "POST",
        "path": "/a?b=c",
        "host": "h.example",
        "body_bytes": 3,
        "pod": "apple-echo-1-0",
        "namespace": "apples",
        "service": "apple-echo",
    }


async def test_one_connection_serves_many_requests(pod: Pod) -> None:
    async with Client(pod.address, pod.port) as client:
        paths = [(await client.ask(f"/{number}")).echo["path"] for number in range(5)]
    assert paths == ["/0", "/1", "/2", "/3", "/4"]


async def test_a_client_comes_back_after_it_was_sent_away(pod: Pod) -> None:
    async with Client(pod.address, pod.port) as client:
        assert (await client.ask("/", headers=[("Connection", "close")])).status == 200
        assert (await client.ask("/")).status == 200


async def test_a_client_that_waits_is_told_to_go_on(pod: Pod) -> None:
    head = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    stream = await trio.open_tcp_stream(pod.address, pod.port)
    async with stream:
        await stream.send_all(head)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 100")
        await stream.send_all(b"ab")
        rest = b"".join([piece async for piece in stream])
    assert json.loads(rest.partition(b"\r\n\r\n")[2])["body_bytes"] == 2


async def test_head_has_no_body(pod: Pod) -> None:
    answer = await raw(pod, b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n")


async def test_nonsense_closes_the_connection_and_nothing_else(pod: Pod) -> None:
    assert b"200" not in await raw(pod, b"nonsense\r\n\r\n")
    async with Client(pod.address, pod.port) as client:
        assert (await client.ask("/")).status == 200


async def test_a_client_that_leaves_in_the_middle_is_forgotten(pod: Pod) -> None:
    stream = await trio.open_tcp_stream(pod.address, pod.port)
    await stream.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
    await stream.aclose()
    async with Client(pod.address, pod.port) as client:
        assert (await client.ask("/")).status == 200


async def test_many_pods_stand_at_once(nursery: trio.Nursery) -> None:
    port = free_ports(1)[0]
    some = [Pod("apples", "echo", f"pod-{n}", f"127.0.0.{n}", port) for n in range(1, 4)]
    await nursery.start(serve_echo, some)
    names = []
    for pod in some:
        async with Client(pod.address, pod.port) as client:
            names.append((await client.ask("/")).echo["pod"])
    assert names == ["pod-1", "pod-2", "pod-3"]


@contextmanager
def echo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that Ctrl-C ends even if the tests run as a background job of a shell, which ignores SIGINT."""
    command = [sys.executable, "-m", "fastroute.demo.echo", str(folder)]
    obey = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=obey
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    copy_manifests(EXAMPLE, tmp_path)
    with echo(tmp_path) as one:
        assert one.stdout is not None
        ports = [int(one.stdout.readline().rpartition(":")[2]) for _ in range(3)]
        while any(map(is_free, ports)):
            time.sleep(0.01)
        with echo(tmp_path) as two:
            _, said = two.communicate(timeout=60)
        assert two.returncode == 1
        assert re.fullmatch(r"echo: 127\.0\.0\.\d:\d+ of \w+/[\w-]+ is in use: stop the program .*\n", said)
        one.send_signal(signal.SIGINT)
        _, said = one.communicate(timeout=60)
        assert (one.returncode, said) == (0, "")
