"""TLS clients that use features which the Python ssl module does not offer, or that do not read what they are sent."""

import ctypes
import ctypes.util
import os
import random
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import trio
import trio.lowlevel
from certificates import certificate, trusting
from graph.secrets import chain
from https import of, request, serving, tls
from rig import PATIENCE, Peer, Rig, SecureStream, answering, backends, quiet, saying, soon

from fastroute.ext.memory.graveyard import collect
from fastroute.settings import Limits
from fastroute.snapshot import Certificate

NAME = "a.example.com"
WORLD = {NAME: tls("a")}
UPGRADE = request(NAME).replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
KEY_UPDATE_REQUESTED = 1
SET_NAME = 55  # SSL_CTRL_SET_TLSEXT_HOSTNAME


def _libssl() -> ctypes.CDLL:
    library = ctypes.CDLL(ctypes.util.find_library("ssl"))
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_long
    for name, result, *arguments in (
        ("TLS_client_method", pointer),
        ("SSL_CTX_new", pointer, pointer),
        ("SSL_CTX_free", None, pointer),
        ("SSL_CTX_set_tlsext_max_fragment_length", number, pointer, ctypes.c_uint8),
        ("SSL_new", pointer, pointer),
        ("SSL_free", None, pointer),
        ("SSL_ctrl", size, pointer, number, size, ctypes.c_char_p),
        ("SSL_set_fd", number, pointer, number),
        ("SSL_connect", number, pointer),
        ("SSL_read", number, pointer, ctypes.c_char_p, number),
        ("SSL_write", number, pointer, ctypes.c_char_p, number),
        ("SSL_key_update", number, pointer, number),
        ("SSL_do_handshake", number, pointer),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


LIBSSL = _libssl()


class Bare:
    """libssl over a blocking socket."""

    def __init__(self, plain: socket.socket, fragments: int) -> None:
        self.plain = plain
        self.context = LIBSSL.SSL_CTX_new(LIBSSL.TLS_client_method())
        LIBSSL.SSL_CTX_set_tlsext_max_fragment_length(self.context, fragments)
        self.ssl = LIBSSL.SSL_new(self.context)
        LIBSSL.SSL_ctrl(self.ssl, SET_NAME, 0, NAME.encode())
        LIBSSL.SSL_set_fd(self.ssl, plain.fileno())
        assert LIBSSL.SSL_connect(self.ssl) == 1

    def send(self, data: bytes) -> bool:
        return bool(LIBSSL.SSL_write(self.ssl, data, len(data)) == len(data))

    def rest(self) -> bytes:
        room = ctypes.create_string_buffer(65536)
        data = b""
        while (size := LIBSSL.SSL_read(self.ssl, room, len(room))) > 0:
            data += room.raw[:size]
        return data

    def asks_for_a_key_update(self) -> bool:
        return LIBSSL.SSL_key_update(self.ssl, KEY_UPDATE_REQUESTED) == 1 and LIBSSL.SSL_do_handshake(self.ssl) == 1


@contextmanager
def bare(port: int, fragments: int = 0, room: int = 0) -> Iterator[Bare]:
    """`fragments`: the code of RFC 6066 section 4, 0 for none. `room`: size of the receive buffer of its socket."""
    with socket.socket() as plain:
        if room:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        plain.settimeout(None)
        plain.connect(("127.0.0.1", port))
        client = Bare(plain, fragments)
        try:
            yield client
        finally:
            LIBSSL.SSL_free(client.ssl)
            LIBSSL.SSL_CTX_free(client.context)


def tight(rig: Rig) -> None:
    """Sets a small send buffer for connections that are accepted from now on."""
    for name in os.listdir("/proc/self/fd"):
        link = f"/proc/self/fd/{name}"
        if os.path.exists(link) and stat.S_ISSOCK(os.stat(link).st_mode):
            with socket.socket(fileno=os.dup(int(name))) as one:
                if one.family == socket.AF_INET and one.getsockname()[1] == rig.port:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


async def narrow(rig: Rig) -> Peer:
    """A client with a small receive buffer."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect(("127.0.0.1", rig.port))
    plain.setblocking(False)
    client = SecureStream(trio.SocketStream(trio.socket.from_stdlib_socket(plain)), trusting(), NAME)
    with trio.fail_after(PATIENCE):
        await client.tls.do_handshake()
    return Peer(client)


@pytest.mark.parametrize("fragments", [1, 4])
@pytest.mark.parametrize("size", [10, 600, 100_000])
async def test_a_client_may_ask_for_short_records(fragments: int, size: int) -> None:
    body = b"x" * size
    answer = saying(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (size, body))
    async with backends(answer) as [backend], serving(WORLD, {"a": certificate(NAME)}, of(NAME, "b")) as rig:
        rig.put("b", backend.port)

        def ask() -> bytes:
            with bare(rig.port, fragments) as client:
                assert client.send(request(NAME).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                return client.rest()

        assert (await trio.to_thread.run_sync(ask)).endswith(b"\r\n\r\n" + body)


async def test_a_chain_that_the_client_takes_slowly_arrives() -> None:
    one = certificate(NAME)
    issuer = chain(*(f"{number}.example.com" for number in range(350)), number=1)
    long = Certificate(chain=one.chain + issuer * 9, key=one.key)
    async with backends(answering) as [backend], serving(WORLD, {"a": long}, of(NAME, "b")) as rig:
        rig.put("b", backend.port)
        tight(rig)
        peer = await narrow(rig)
        await peer.send(request(NAME))
        assert (await peer.response())[0] == 200


@pytest.mark.parametrize(
    ("head", "more"),
    [(b"HTTP/1.1 200 OK\r\n\r\n", b""), (SWITCH, b""), (SWITCH, b"to nobody")],
    ids=["answer", "tunnel", "tunnel with a closed backend"],
)
async def test_the_end_is_said_to_who_takes_its_bytes_slowly(head: bytes, more: bytes) -> None:
    """A response that ends with the close is complete only with a close_notify, which must wait for the bytes before
    it."""
    size = 0

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(head + b"x" * size)

    asked = UPGRADE if head is SWITCH else request(NAME).replace(b"HTTP/1.1", b"HTTP/1.0")
    async with backends(script) as [backend], serving(WORLD, {"a": certificate(NAME)}, of(NAME, "b")) as rig:
        rig.put("b", backend.port)
        tight(rig)
        for size in range(60_000, 100_000, 1999):
            client = await narrow(rig)
            await client.send(asked)
            got = 0
            if more:
                await quiet()  # during this time the backend closes, and answers with a reset
                await client.send(more)
            with trio.fail_after(PATIENCE):
                while data := await client.stream.receive_some(700):
                    got += len(data)
                    await trio.lowlevel.checkpoint()
            assert got > size
            await client.close()


async def test_the_end_is_said_soon_to_who_was_answered_before_it_had_sent_all() -> None:
    size = 0

    async def early(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        await peer.rest()

    asked = request(NAME).replace(b"\r\n\r\n", b"\r\nContent-Length: 10000000\r\n\r\n")
    async with backends(early) as [backend], serving(WORLD, {"a": certificate(NAME)}, of(NAME, "b")) as rig:
        rig.put("b", backend.port)
        tight(rig)
        rig.engine.hold_clock()  # the end must not depend on a timeout
        for size in range(60_000, 100_000, 1999):  # noqa: B007  (`early` reads it)
            client = await narrow(rig)
            await client.send(asked)
            with trio.fail_after(PATIENCE):
                while await client.stream.receive_some(700):
                    await trio.lowlevel.checkpoint()
            await client.close()


def hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        trusting().wrap_bio(incoming, outgoing, server_hostname=NAME).do_handshake()
    return outgoing.read()


async def test_a_crowd_that_comes_with_its_hellos_gets_a_turn_for_few_at_a_time() -> None:
    """A signature with a large key takes milliseconds, here one for each reading of the clock: the turn must end
    between handshakes so that other trio tasks can run."""
    async with serving(WORLD, {"a": certificate(NAME, kind="rsa", size=4096)}) as rig:
        rig.engine.hold_clock(0.001)
        crowd = [socket.create_connection(("127.0.0.1", rig.port)) for _ in range(96)]
        for one in crowd:
            one.send(hello())
        before = rig.engine.statistics().turns
        with trio.fail_after(PATIENCE):
            for one in crowd:
                client = trio.SocketStream(trio.socket.from_stdlib_socket(one))
                assert await client.receive_some(1) == b"\x16"
        assert rig.engine.statistics().turns - before > 20
        for one in crowd:
            one.close()


async def spoiled(rig: Rig, chance: random.Random) -> None:
    """A client that does not complete its handshake, in one of several ways."""
    said = hello()
    begun = chance.randrange(1, len(said))
    pieces = chance.choice(
        (
            [said[:begun]],
            [said],
            [os.urandom(100)],
            [said + os.urandom(50)],
            [said[:begun], said[begun:]],
            [b"\x16\x03\x01\x40\0\x01\0\x3f\xfc" + b"x" * 30_000],
        )
    )
    client = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
    with suppress(trio.BrokenResourceError):
        for piece in pieces:
            await client.send(piece)
            await trio.sleep(chance.random() * 0.02)
    await (client.reset() if chance.random() < 0.5 else client.close())


async def test_a_storm_of_handshakes_leaves_nothing_behind() -> None:
    """Every client is counted once, however it ended, and the next one is served."""
    chance = random.Random(6)
    limits = Limits(max_handshakes=10, head_timeout=10)
    async with (
        backends(answering) as [backend],
        serving(WORLD, {"a": certificate(NAME)}, of(NAME, "b"), limits=limits) as rig,
    ):
        rig.put("b", backend.port)
        rig.engine.hold_clock()
        async with trio.open_nursery() as nursery:
            for _ in range(400):
                nursery.start_soon(spoiled, rig, chance)
        await rig.timed_until(lambda: rig.engine.statistics().downstream_idle == 0, 1)
        fixed = rig.counters.fixed()
        assert (fixed["downstream_active"], fixed["downstream_idle"]) == (0, 0)
        assert fixed["tls_crowded"] > 0
        counted = sum(count for name, count in fixed.items() if name.startswith("tls_"))
        assert counted == fixed["connections_accepted"] == 400
        peer = await narrow(rig)
        await peer.send(request(NAME))
        assert (await peer.response())[0] == 200


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("gone", ["certificate", "listener"])
async def test_a_handshake_ends_with_what_it_began_with(most: ssl.TLSVersion, gone: str) -> None:
    async with backends(answering) as [backend], serving(WORLD, {"a": certificate(NAME)}, of(NAME, "b")) as rig:
        rig.put("b", backend.port)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = trusting(most=most).wrap_bio(incoming, outgoing, server_hostname=NAME)
        client = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))

        async def spoken(step: Callable[[], object]) -> object:
            while True:
                with suppress(ssl.SSLWantReadError):
                    found = step()
                    await client.send(outgoing.read())
                    return found
                await client.send(outgoing.read())
                await client.more()
                if len(rig.certificates):  # the certificate was sent: now everything is removed
                    rig.certificates.remove("a")
                    if gone == "listener":
                        rig.install_all([])
                        while collect(1000):
                            pass
                    rig.certificates.commit()
                incoming.write(client.buffer)
                client.buffer = b""

        await spoken(session.do_handshake)
        await spoken(lambda: session.write(request(NAME)))
        answer = await spoken(lambda: session.read(1000))
        assert bytes(answer).startswith(b"HTTP/1.1 404" if gone == "listener" else b"HTTP/1.1 200")  # type: ignore[call-overload]


async def test_a_client_that_ends_with_its_hello_is_let_go_at_once() -> None:
    limits = Limits(head_timeout=60)
    async with serving(WORLD, {"a": certificate(NAME)}, limits=limits) as rig:
        stream = await trio.open_tcp_stream("127.0.0.1", rig.port)
        await soon(lambda: rig.engine.statistics().downstream_idle == 1)
        rig.engine.hold_clock()  # the connection must be closed without waiting for the timeout
        plain = socket.socket(fileno=stream.socket.detach())
        with plain:
            plain.send(hello())
            plain.shutdown(socket.SHUT_WR)  # before the engine has read the hello
            await soon(lambda: rig.engine.statistics().downstream_idle == 0)


async def test_who_takes_no_answers_to_key_updates_is_cut_off() -> None:
    async def eating(peer: Peer) -> None:
        while await peer.more():
            peer.buffer = b""

    async with backends(eating) as [backend], serving(WORLD, {"a": certificate(NAME)}, of(NAME, "b")) as rig:
        rig.put("b", backend.port)
        tight(rig)

        def updates() -> int:
            with bare(rig.port, room=4096) as client:
                assert client.send(b"POST / HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\n\r\n")
                for number in range(1_000_000):
                    if not client.asks_for_a_key_update() or (number % 20 == 0 and not client.send(b"1\r\na\r\n")):
                        return number
            return -1

        assert await trio.to_thread.run_sync(updates) > 1000
