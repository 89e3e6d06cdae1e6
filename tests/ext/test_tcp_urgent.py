"""TCP urgent data (RFC 6093): passed on as all other bytes, and no byte after them waits.

The engine makes its turns when all bytes have arrived: only then does a read end early, at the mark of urgent data.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from passages import listening, passage, speak
from rig import PATIENCE, Rig
from steps import settle, turns_until

BACKEND = "apps/a:80/raw"


@contextmanager
def connected() -> Iterator[tuple[Rig, socket.socket, socket.socket]]:
    """The rig, and the sockets of a client and a backend, between which bytes have gone both ways."""
    rule = passage(BACKEND)
    rig = Rig(log=True)
    with socket.create_server(("127.0.0.1", 0)) as backends:
        rig.listen()
        speak(rig, rule)
        rig.install_all([listening(rig.port)], rule)
        rig.put(BACKEND, backends.getsockname()[1])
        with socket.create_connection(("127.0.0.1", rig.port), PATIENCE) as client:
            turns_until(rig, lambda: rig.engine.statistics().upstream_active == 1)
            with backends.accept()[0] as backend:
                settle(rig)
                yield rig, client, backend
    rig.close()


def got(rig: Rig, one: socket.socket) -> bytes:
    """All bytes that come while the engine works."""
    settle(rig)
    one.setblocking(False)
    found = b""
    try:
        while data := one.recv(1 << 20):
            found += data
            settle(rig)
    except BlockingIOError:
        pass
    return found


@pytest.mark.parametrize("ends", [False, True], ids=["open", "ended"])
@pytest.mark.parametrize("size", [3, 400_000], ids=["copied", "spliced"])
@pytest.mark.parametrize("sender", ["client", "backend"])
def test_urgent_data_are_passed_on_with_all_that_follow(sender: str, size: int, ends: bool) -> None:
    with connected() as (rig, client, backend):
        one, other = (client, backend) if sender == "client" else (backend, client)
        before = b"b" * size
        one.sendall(before)
        found = got(rig, other)
        one.send(b"u!", socket.MSG_OOB)
        one.sendall(b"after")
        one.send(b"v!", socket.MSG_OOB)
        one.sendall(b"end")
        if ends:
            one.shutdown(socket.SHUT_WR)
        assert found + got(rig, other) == before + b"u!afterv!end"
        if ends:
            other.setblocking(True)
            assert other.recv(1) == b""


@pytest.mark.parametrize("sender", ["client", "backend"])
def test_a_single_urgent_byte_is_passed_on(sender: str) -> None:
    """It can be the only byte: then the kernel does not report that there is something to read."""
    with connected() as (rig, client, backend):
        one, other = (client, backend) if sender == "client" else (backend, client)
        one.send(b"u", socket.MSG_OOB)
        assert got(rig, other) == b"u"
