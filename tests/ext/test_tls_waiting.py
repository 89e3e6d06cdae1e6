"""Floods of handshakes: which ones wait, which one is next, and which ones are closed.

A held clock advances by a millisecond at each reading, so each handshake seems to cost a millisecond."""

import fcntl
import itertools
import socket
import struct
import termios

import msgspec
import pytest
import trio
from certificates import certificate, trusting
from ext.test_tls_wilful import tight
from graph.secrets import chain
from https import SHOWN, greeting, of, request, serving, tls
from rig import PATIENCE, Peer, Rig, answering, backends, connect, listener, quiet, soon
from steps import standing, turns_until

from fastroute.settings import Limits
from fastroute.snapshot import Certificate

LOOK = 0.001
WORLD = {"a.example.com": tls("a"), "*.example.com": tls("wild")}


def crowd(rig: Rig, hellos: list[bytes]) -> list[socket.socket]:
    """Clients that have sent a ClientHello; the engine has not run since."""
    clients = []
    for hello in hellos:
        client = socket.create_connection(("127.0.0.1", rig.port))
        client.send(hello)
        clients.append(client)
    return clients


def answered(clients: list[socket.socket]) -> int:
    """How many of them got bytes."""
    return sum(struct.unpack("i", fcntl.ioctl(one.fileno(), termios.FIONREAD, b"\0" * 4))[0] > 0 for one in clients)


def shut(clients: list[socket.socket]) -> None:
    for one in clients:
        one.close()


async def first_byte(client: socket.socket) -> bytes:
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(client))
    with trio.fail_after(PATIENCE):
        return bytes(await stream.receive_some(1))


async def test_the_handshakes_of_one_listener_do_not_delay_those_of_another() -> None:
    async with serving(WORLD, SHOWN) as rig:
        rig.engine.hold_clock(LOOK)
        many = crowd(rig, [await greeting("a.example.com")] * 60)
        victim = crowd(rig, [await greeting("b.example.com")])
        assert await first_byte(victim[0]) == b"\x16"
        assert answered(many) <= 45
        await soon(lambda: answered(many) == 60)
        shut(many)


async def test_the_handshakes_of_one_namespace_do_not_delay_those_of_another() -> None:
    """Also if each is for another listener."""
    names = [f"h{i}.example.com" for i in range(60)]
    rig = Rig()
    rig.listen()
    rig.certificates.put("a", SHOWN["wild"])
    made = [listener(rig.port, name, name, tls("a")) for name in names]
    victim = msgspec.structs.replace(listener(rig.port, "v", "v.org", tls("a")), gateway="other/gateway")
    rig.install_all([*made, victim])
    rig.certificates.commit()
    rig.engine.hold_clock(LOOK)
    many = crowd(rig, [await greeting(name) for name in names])
    last = crowd(rig, [await greeting("v.org")])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.turn_forever)
        assert await first_byte(last[0]) == b"\x16"
        assert answered(many) <= 45
        await soon(lambda: answered(many) == 60)
        nursery.cancel_scope.cancel()
    shut(many)
    rig.close()


async def test_a_turn_continues_one_long_handshake() -> None:
    with standing() as (rig, _):
        rig.certificates.put("a", SHOWN["a"])
        rig.install_all([listener(rig.port, "l", "a.example.com", tls("a"))])
        rig.certificates.commit()
        many = crowd(rig, [await greeting("a.example.com")] * 60)
        turns_until(rig, lambda: rig.engine.statistics().downstream_idle == 60)
        rig.engine.hold_clock(LOOK)
        reached = answered(many)
        while reached < 60:
            rig.engine.turn()
            before, reached = reached, answered(many)
            assert reached - before <= 1
        shut(many)


async def test_requests_come_before_handshakes() -> None:
    async with backends(answering) as [backend], serving(WORLD, SHOWN, of("*.example.com", "b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port, "b.example.com", trusting())
        hello = await greeting("a.example.com")
        rig.engine.hold_clock(LOOK)
        many = crowd(rig, [hello] * 60)
        for _ in range(5):
            before = answered(many)
            await client.send(request("b.example.com"))
            assert (await client.response())[0] == 200
            assert answered(many) - before <= 40
        await soon(lambda: answered(many) == 60)
        shut(many)


async def test_requests_come_before_handshakes_that_take_longer_than_a_turn() -> None:
    """A signature with an RSA key of 4,096 bits takes more than 3 ms."""
    shown = {**SHOWN, "a": certificate("a.example.com", kind="rsa", size=4096)}
    async with backends(answering) as [backend], serving(WORLD, shown, of("*.example.com", "b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port, "b.example.com", trusting())
        hello = await greeting("a.example.com")
        many = crowd(rig, [hello] * 60)
        await client.send(request("b.example.com"))
        assert (await client.response())[0] == 200
        assert answered(many) <= 45
        await soon(lambda: answered(many) == 60)
        shut(many)


async def test_handshakes_of_clients_that_left_count_towards_the_turn() -> None:
    """The engine computes some of their signatures before it sees that they have left."""
    rig = Rig()
    rig.listen()
    rig.certificates.put("a", SHOWN["a"])
    rig.install_all([listener(rig.port, "l", "a.example.com", tls("a"))])
    rig.certificates.commit()
    many = crowd(rig, [await greeting("a.example.com")] * 60)
    rig.engine.hold_clock(LOOK)
    while rig.engine.statistics().downstream_idle < 60:
        rig.engine.turn()
    for one in many:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    shut(many)
    closed = []
    while sum(closed) < 60:
        before = rig.counters.fixed()["tls_closed"]
        rig.engine.turn()
        closed.append(rig.counters.fixed()["tls_closed"] - before)
    assert max(closed) <= 10
    rig.close()


async def test_handshakes_are_within_the_time_of_a_turn() -> None:
    """Each of many events, and each handshake, seems to cost 0.1 ms: no turn takes 3 ms."""
    async with serving(WORLD, SHOWN) as rig:
        await quiet()
        many = crowd(rig, [await greeting("a.example.com")] * 200)
        before = rig.engine.statistics().turns
        rig.engine.hold_clock(1e-4)
        await soon(lambda: answered(many) == 200)
        assert rig.engine.statistics().turns - before > 5
        assert rig.engine.statistics().worst_turn < 3000
        shut(many)


@pytest.mark.parametrize("abrupt", [False, True])
async def test_a_client_may_leave_while_its_handshake_waits(abrupt: bool) -> None:
    async with serving(WORLD, SHOWN) as rig:
        rig.engine.hold_clock(LOOK)
        many = crowd(rig, [await greeting("a.example.com")] * 60)
        for one in itertools.islice(many, 0, None, 2):
            if abrupt:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()
        await soon(lambda: answered(many[1::2]) == 30)
        await soon(lambda: rig.counters.fixed()["tls_closed"] == 30)
        shut(many[1::2])
        await soon(lambda: rig.engine.statistics().downstream_idle == 0)
        await connect(rig.port, "a.example.com", trusting())


async def test_of_too_many_handshakes_one_of_the_largest_crowd_gives_way() -> None:
    async with serving(WORLD, SHOWN, limits=Limits(max_handshakes=20)) as rig:
        rig.engine.hold_clock(LOOK)
        hello = await greeting("a.example.com")
        victims = crowd(rig, [await greeting("b.example.com")] * 3)
        many = crowd(rig, [hello] * 100)
        for one in victims:
            assert await first_byte(one) == b"\x16"
        await quiet()
        assert rig.counters.fixed()["tls_crowded"] >= 50
        shut(many)


async def test_output_of_handshakes_that_is_not_read_is_limited() -> None:
    """16 MiB, for clients that each get 60 KB and do not read. libssl has 150 KB more for each of them than usual."""
    shown = certificate("a.example.com")
    issuer = chain(*(f"{number}.example.com" for number in range(3600)), number=1)
    long = Certificate(shown.chain + issuer, shown.key)
    async with serving({"": tls("a")}, {"a": long}) as rig:
        tight(rig)
        hello = await greeting("a.example.com")
        clients = []
        for _ in range(400):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", rig.port))
            client.send(hello)
            clients.append(client)
            await trio.lowlevel.checkpoint()
        await quiet(0.05)
        ended = rig.counters.fixed()["tls_unread"]
        assert (400 - ended) * 200_000 <= 16 * 1024 * 1024
        assert ended < 345
        assert (await Peer(trio.SocketStream(trio.socket.from_stdlib_socket(clients[0]))).rest())[100_000:] == b""
        assert rig.engine.statistics().downstream_idle == 400 - ended
        shut(clients[1:])
