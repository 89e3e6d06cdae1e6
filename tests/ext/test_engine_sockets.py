"""Listening sockets of which another process keeps a duplicate, as the main process does: adding and removing them.
Also: what happens if no file descriptor is left."""

import errno
import os
import socket
from pathlib import Path

import pytest
import trio
from rig import (
    GET,
    OK,
    PATIENCE,
    accepted_from,
    answering,
    backends,
    connect,
    loopback,
    no_descriptor,
    quiet,
    rule,
    running,
    soon,
)

from fastroute.place import Transport


def shared(port=0):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(("127.0.0.1", port))
    one.listen(16)
    return one


async def served(port):
    """Whether the engine has responded once it is idle."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await quiet(0.05)
        with trio.move_on_after(0.01):
            return bool(await stream.receive_some(100))
    return False


async def settled(rig):
    while rig.engine.turn():
        await trio.lowlevel.checkpoint()


async def test_one_socket_of_an_address_is_given_back_and_the_others_stay():
    with shared() as first, shared(first.getsockname()[1]) as second:
        port = first.getsockname()[1]
        async with running() as rig:
            borrowed = socket.dup(second.fileno())
            rig.engine.listen(socket.dup(first.fileno()), loopback(port))
            rig.engine.listen(borrowed, loopback(port))
            assert rig.engine.statistics().listeners == 3
            rig.engine.unlisten(loopback(port), borrowed)
            await settled(rig)
            assert rig.engine.statistics().listeners == 2
            answers = [await served(port) for _ in range(20)]
            assert True in answers
            assert False in answers


async def test_a_socket_that_was_given_back_is_no_business_of_the_engine_and_may_come_again():
    with shared() as kept:
        port = kept.getsockname()[1]
        async with running() as rig:
            for _ in range(3):
                rig.engine.listen(socket.dup(kept.fileno()), loopback(port))
                assert await served(port)
                rig.engine.unlisten(loopback(port))
                await settled(rig)
                assert rig.engine.statistics().listeners == 1
            assert not await served(port)
            before = rig.engine.statistics().turns
            await quiet(0.1)
            assert rig.engine.statistics().turns - before < 5


async def test_a_udp_socket_at_the_same_port_is_another_place():
    with shared() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        async with running() as rig:
            held = socket.dup(udp.fileno())
            rig.engine.listen(socket.dup(tcp.fileno()), loopback(port))
            rig.engine.listen(held, loopback(port, Transport.UDP))
            assert rig.engine.statistics().listeners == 3
            before = rig.engine.statistics().turns
            udp.sendto(b"a", udp.getsockname())
            await quiet(0.1)
            assert rig.engine.statistics().turns - before < 5
            assert rig.local("no_listener") == 1
            rig.engine.unlisten(loopback(port, Transport.UDP))
            assert rig.engine.statistics().listeners == 2
            with pytest.raises(OSError, match=str(errno.EBADF)):
                os.fstat(held)
            assert await served(port)


async def test_a_socket_of_the_other_transport_is_refused():
    with shared() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        async with running() as rig:
            for one, transport in ((tcp, Transport.UDP), (udp, Transport.TCP)):
                with pytest.raises(OSError, match=str(errno.EINVAL)):
                    rig.engine.listen(socket.dup(one.fileno()), loopback(1, transport))
            assert rig.engine.statistics().listeners == 1


async def test_a_drain_closes_udp_sockets_a_second_later():
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        async with running(held=True) as rig:
            for _ in range(3):
                rig.engine.listen(socket.dup(udp.fileno()), loopback(1, Transport.UDP))
            rig.engine.drain()
            await settled(rig)
            assert (rig.engine.statistics().listeners, rig.engine.statistics().drained) == (3, True)
            await rig.passes(1.1)
            assert rig.engine.statistics().listeners == 0


async def test_what_waits_in_the_queue_is_served_before_the_socket_is_closed():
    with shared() as kept:
        port = kept.getsockname()[1]
        async with running() as rig, await trio.open_tcp_stream("127.0.0.1", port) as waiting:
            rig.engine.listen(socket.dup(kept.fileno()), loopback(port))
            rig.engine.unlisten(loopback(port))
            await waiting.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await settled(rig)
            with trio.fail_after(PATIENCE):
                assert (await waiting.receive_some(100)).startswith(b"HTTP/1.1 404")


async def test_idle_connections_to_one_backend_leave_descriptors_for_another():
    """They are closed if there is no descriptor for a new connection."""
    async with (
        backends(answering, answering) as [a, b],
        running(rule("a", path="/a"), rule("b", name="1", path="/b")) as rig,
    ):
        rig.put("a", a.port)
        rig.put("b", b.port)
        clients = [await connect(rig.port) for _ in range(3)]
        for client in clients:
            await client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        for client in clients:
            assert (await client.response())[0] == 200
        assert rig.engine.statistics().upstream_idle >= 1
        with no_descriptor():
            await clients[0].send(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await clients[0].response())[0] == 200
        assert rig.engine.statistics().upstream_idle == 1


def at_once(count):
    """Answers when so many requests have arrived, so that each of them has its own connection."""
    arrived = []

    async def script(peer):
        await peer.request()
        arrived.append(peer)
        await soon(lambda: len(arrived) >= count)
        await peer.send(OK)
        await peer.more()

    return script


async def test_the_oldest_idle_connections_make_room():
    """Sixteen at most."""
    scripted = [rule(name, name=str(number), path=f"/{name}") for number, name in enumerate("abc")]
    async with backends(at_once(5), at_once(15), answering) as [a, b, c], running(*scripted) as rig:
        for name, backend in zip("abc", (a, b, c), strict=True):
            rig.put(name, backend.port)
        clients = [await connect(rig.port) for _ in range(20)]
        for path, some in (b"a", clients[:5]), (b"b", clients[5:]):
            for client in some:
                await client.send(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            for client in some:
                assert (await client.response())[0] == 200
        assert rig.engine.statistics().upstream_idle == 20
        with no_descriptor():
            await clients[0].send(b"GET /c HTTP/1.1\r\nHost: a\r\n\r\n")
            await soon(lambda: rig.engine.statistics().upstream_idle in (4, 5))  # the new one may be idle already
        assert (await clients[0].response())[0] == 200
        await soon(lambda: (a.open, b.open) == (0, 4))


async def test_accepted_connections_inherit_the_options_of_the_listening_socket():
    """So that no system call is needed for a new connection."""
    async with running(rule("none")) as rig:
        client = await connect(rig.port)
        await client.send(GET)
        await client.head()
        with accepted_from(client) as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * min(212_992, wmem_max())


def wmem_max():
    return int(Path("/proc/sys/net/core/wmem_max").read_text())


async def test_a_missing_descriptor_is_counted():
    """The request is not sent to the other endpoint either, and no endpoint is avoided."""
    async with backends(answering, answering) as [backend, other], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port, other.port)
        client = await connect(rig.port)
        with socket.socket() as late:
            late.setblocking(False)
            with no_descriptor():
                await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert (await client.response())[0] == 503
                late.connect_ex(("127.0.0.1", rig.port))
                await quiet()
            assert rig.engine.shortages() == {
                "accept": (1, errno.EMFILE),
                "connect": (1, errno.EMFILE),
                "share": (0, 0),
            }
            assert rig.local("overloaded") == 1
            assert rig.counters.fixed()["retries_connect"] == 0
            assert rig.engine.failures(1) == []
            late.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await rig.passes(1)
            assert late.recv(12) == b"HTTP/1.1 200"
        assert rig.engine.shortages()["accept"][0] == 1
