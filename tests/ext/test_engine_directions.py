"""A step that relays in one direction only, because the turn is over, leaves the next one to the other direction."""

import contextlib
import socket
from contextlib import ExitStack

import pytest
from rig import PATIENCE, Rig
from steps import client, settle, standing

OVER = 0.01  # seconds: each look at the clock ends the turn
TURNS = 50
TUNNEL = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"


def pair(rig: Rig, stack: ExitStack, request: bytes) -> tuple[socket.socket, socket.socket]:
    """A client and its backend, which has got the head."""
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    server.settimeout(PATIENCE)
    rig.put("b", server.getsockname()[1])
    asking = client(rig, stack, request)
    settle(rig)
    backend = stack.enter_context(server.accept()[0])
    settle(rig)
    for one in (asking, backend):
        one.setblocking(False)
    assert backend.recv(65536).endswith(b"\r\n\r\n")
    return asking, backend


def fill(one: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            one.send(bytes(65536))


def drain(one: socket.socket) -> int:
    size = 0
    with contextlib.suppress(BlockingIOError):
        while data := one.recv(1 << 20):
            size += len(data)
    return size


@pytest.mark.parametrize(("request_", "answer"), [(TUNNEL, SWITCH), (UPLOAD, ANSWER)])
def test_a_busy_direction_does_not_hold_the_other_one(request_: bytes, answer: bytes) -> None:
    with standing() as (rig, stack):
        asking, backend = pair(rig, stack, request_)
        if request_ is TUNNEL:
            backend.send(answer)
            settle(rig)
            assert drain(asking)
        fill(asking)
        backend.send(answer)
        rig.engine.hold_clock(OVER)
        uploaded = answered = 0
        for _ in range(TURNS):
            rig.engine.turn()
            uploaded += drain(backend)
            answered += drain(asking)
            fill(asking)
        assert uploaded
        assert answered
