"""A worker that did not run for a while (a CPU limit, a busy node): what arrived meanwhile arrived in time.

A turn fetches at most 64 events at once, so more than that are not fetched when the first deadlines are handled."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from http2.test_steps import END, HEAD, HEADERS, PREFACE, SETTINGS, frame
from rig import GET, OK, Rig, rule
from steps import LOOK, client, settle, standing

from fastroute.settings import Limits

MANY = 200
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"


def status(one: socket.socket) -> bytes:
    return one.recv(65_536)[:12]


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=2 * MANY) as one:
        yield one


CASES = {
    "head_timeout": (Limits(head_timeout=5), GET[:20], GET[20:]),
    "body_timeout": (Limits(body_idle_timeout=5), POST + b"01234", b"56789"),
    "idle_timeout": (Limits(idle_timeout=5), b"", GET),
}


@pytest.mark.parametrize("case", CASES)
def test_what_arrived_during_a_pause_is_in_time(case: str, listening: socket.socket) -> None:
    limits, first, rest = CASES[case]
    with standing(limits) as (rig, stack):
        rig.put("b", listening.getsockname()[1])
        clients = [client(rig, stack, first) for _ in range(MANY)]
        settle(rig)
        begun = clients if case == "body_timeout" else []
        backends = [stack.enter_context(listening.accept()[0]) for _ in begun]
        for one in clients:
            one.sendall(rest)
        rig.engine.advance(6)
        settle(rig)
        backends += [stack.enter_context(listening.accept()[0]) for _ in clients[len(backends) :]]
        for one in backends:
            one.sendall(OK)
        settle(rig)
        assert [status(one) for one in clients] == [b"HTTP/1.1 200"] * MANY


def answered_during_a_pause(rig: Rig, stack: ExitStack, listening: socket.socket, seconds: float) -> list[bytes]:
    """What the clients get if all backends answer during a pause of that many seconds."""
    rig.put("b", listening.getsockname()[1])
    clients = [client(rig, stack, GET) for _ in range(MANY)]
    settle(rig)
    for _ in clients:
        stack.enter_context(listening.accept()[0]).sendall(OK)
    rig.engine.advance(seconds)
    settle(rig)
    return [status(one) for one in clients]


@pytest.mark.parametrize("timeout", ["request_timeout_ms", "backend_timeout_ms"])
def test_answers_that_arrived_during_a_pause_are_in_time(timeout: str, listening: socket.socket) -> None:
    with standing() as (rig, stack):
        rig.install(rule("b", **{timeout: 5_000}))
        assert answered_during_a_pause(rig, stack, listening, 6) == [b"HTTP/1.1 200"] * MANY


def test_bytes_that_arrived_during_a_pause_keep_tunnels_open(listening: socket.socket) -> None:
    with standing(Limits(tunnel_idle_timeout=5)) as (rig, stack):
        rig.put("b", listening.getsockname()[1])
        clients = [client(rig, stack, UPGRADE) for _ in range(MANY)]
        settle(rig)
        backends = [stack.enter_context(listening.accept()[0]) for _ in clients]
        for one in backends:
            one.sendall(SWITCHED)
        settle(rig)
        for one in backends:
            one.sendall(b"x")
        rig.engine.advance(6)
        settle(rig)
        for one in clients:
            assert one.recv(65_536).endswith(b"x")
            one.settimeout(0)
            with pytest.raises(BlockingIOError):
                one.recv(1)


def test_streams_that_arrived_during_a_pause_find_their_connection_open() -> None:
    with standing(Limits(idle_timeout=5)) as (rig, stack):
        clients = [client(rig, stack, PREFACE + frame(SETTINGS)) for _ in range(MANY)]
        settle(rig)
        for one in clients:
            one.recv(65_536)
            one.sendall(frame(HEADERS, END, 1, HEAD))
        rig.engine.advance(6)
        settle(rig)
        assert rig.local("no_endpoint") == MANY


def test_backends_that_accepted_during_a_pause_are_connected(listening: socket.socket) -> None:
    with standing(Limits(connect_timeout=5)) as (rig, stack):
        rig.put("b", listening.getsockname()[1])
        clients = [client(rig, stack, GET) for _ in range(MANY)]
        rig.engine.hold_clock(LOOK)
        for _ in range(10):
            rig.engine.turn()
        assert 0 < rig.engine.statistics().upstream_active < MANY
        rig.engine.hold_clock()
        rig.engine.advance(6)
        settle(rig)
        for _ in clients:
            stack.enter_context(listening.accept()[0]).sendall(OK)
        settle(rig)
        assert [status(one) for one in clients] == [b"HTTP/1.1 200"] * MANY
