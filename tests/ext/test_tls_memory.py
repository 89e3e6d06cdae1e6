"""The memory of libssl for connections: it counts towards the budget, and what handshakes hold is limited."""

import ctypes
import gc
import os
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
from certificates import certificate, trusting
from cryptography import x509
from graph.secrets import chain
from https import SHOWN, greeting, of, request, serving, tls
from rig import Peer, Rig, answering, backends, connect, quiet, soon
from visitors import accepting, issuer, showing, visitor

from fastroute.settings import Limits
from fastroute.snapshot import Certificate

SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")  # malloc of the sanitizer counts nothing
MANY = Limits(max_handshakes=100_000, max_connections_per_client=100_000, head_timeout=1000, idle_timeout=1000)


class Allocated(ctypes.Structure):
    _fields_ = [(f"_{number}", ctypes.c_size_t) for number in range(4)] + [
        ("mapped", ctypes.c_size_t),
        ("_5", ctypes.c_size_t),
        ("_6", ctypes.c_size_t),
        ("in_use", ctypes.c_size_t),
        ("_8", ctypes.c_size_t),
        ("_9", ctypes.c_size_t),
    ]


def allocated() -> int:
    """Bytes that this process has allocated, as malloc counts them."""
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Allocated
    gc.collect()
    found = mallinfo()
    return int(found.in_use + found.mapped)


def long_chain(names: int) -> Certificate:
    """A certificate with an issuer of `names` DNS names: 17 bytes each."""
    shown = certificate("a.example.com")
    return Certificate(shown.chain + chain(*(f"{number}.example.com" for number in range(names)), number=1), shown.key)


async def opened(rig: Rig, count: int) -> list[socket.socket]:
    clients = []
    for _ in range(count):
        clients.append(socket.create_connection(("127.0.0.1", rig.port)))
        await trio.lowlevel.checkpoint()
    await quiet()
    return clients


@asynccontextmanager
async def compared(rig: Rig, count: int) -> AsyncIterator[list[socket.socket]]:
    """The memory that the engine counts for these clients, compared with the memory that is allocated meanwhile."""
    warm = await opened(rig, 5)
    for one in warm:
        one.send(await greeting("a.example.com"))
    await quiet()
    clients = await opened(rig, count)
    before, counted = allocated(), rig.engine.statistics().buffered
    yield clients
    await quiet(0.02)
    more, noted = allocated() - before, rig.engine.statistics().buffered - counted
    assert noted > 0
    if not SANITIZED:
        assert 0.75 * more < noted < 1.35 * more, (more // count, noted // count)
    for one in (*warm, *clients):
        one.close()
    await soon(lambda: rig.engine.statistics().buffered == 0)


@pytest.mark.parametrize("names", [0, 300, 1500, 3600])
async def test_the_memory_of_a_handshake_is_counted(names: int) -> None:
    shown = {"a": long_chain(names)} if names else SHOWN
    async with serving({"": tls("a")}, shown, limits=MANY) as rig, compared(rig, 60) as clients:
        hello = await greeting("a.example.com")
        for client in clients:
            client.send(hello)
            await trio.lowlevel.checkpoint()


async def established(clients: Sequence[socket.socket]) -> list[bytes]:
    """Completes handshakes; the state of the clients is not kept. Returns for each a record of 100 bytes of content."""
    made = []
    context = trusting()
    for client in clients:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_hostname="a.example.com")
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.send(outgoing.read())
                await trio.to_thread.run_sync(lambda: incoming.write(client.recv(100_000)))  # noqa: B023
        client.send(outgoing.read())
        session.write(b"x" * 100)
        made.append(outgoing.read())
        await trio.lowlevel.checkpoint()
    return made


@pytest.mark.parametrize("part", [0, 3, 5, 60], ids=lambda size: f"{size} bytes of a record")
async def test_the_memory_of_an_established_connection_is_counted(part: int) -> None:
    async with serving({"": tls("a")}, SHOWN, limits=MANY) as rig, compared(rig, 60) as clients:
        for client, record in zip(clients, await established(clients), strict=True):
            client.send(record[:part])
        del client


async def test_handshakes_that_are_never_read_hold_little_memory() -> None:
    """Two thousand clients send a ClientHello and nothing more; the certificate has the longest chain. Each connection
    that ends is logged."""
    async with serving({"": tls("a")}, {"a": long_chain(3600)}, log=True) as rig:
        hello = await greeting("a.example.com")
        before = allocated()
        clients = []
        for _ in range(1000):
            clients.extend(await opened(rig, 2))
            for client in clients[-2:]:
                client.send(hello)
        await quiet(0.05)
        assert allocated() - before < (16 + 44) << 20
        assert rig.engine.statistics().buffered < (16 + 44) << 20
        fixed = rig.counters.fixed()
        ended = fixed["tls_unread"] + fixed["tls_crowded"]
        assert rig.engine.statistics().downstream_idle == 2000 - ended
        reasons = [line["reason"] for line in rig.lines()]
        assert len(reasons) == ended
        assert reasons.count("unread") == fixed["tls_unread"]
        assert {(line["status"], line["client"]) for line in rig.lines()} == {(None, "127.0.0.1")}
        for one in clients:
            one.close()


async def test_above_the_budget_handshakes_and_idle_connections_end_before_requests() -> None:
    """The budget has room for about 36 idle connections. A request that waits for its response is answered."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await may.wait()
        peer.buffer = b"GET / HTTP/1.1\r\n\r\n"
        await answering(peer)

    may = trio.Event()
    async with (
        backends(script) as [backend],
        serving({"": tls("a")}, SHOWN, of("", "b"), limits=Limits(max_buffered=1 << 19), log=True) as rig,
    ):
        rig.put("b", backend.port)
        victim = await connect(rig.port, "a.example.com", trusting())
        await victim.send(request("a.example.com"))
        idle = [await connect(rig.port, "a.example.com", trusting()) for _ in range(60)]
        await quiet()
        ended = rig.counters.fixed()["ended_buffers_full"]
        assert 20 <= ended < 60
        assert rig.engine.statistics().buffered <= 1 << 19
        lines = rig.lines()
        assert [line["reason"] for line in lines] == ["buffers_full"] * ended
        assert {line["status"] for line in lines} == {None}
        may.set()
        assert (await victim.response())[0] == 200
        for one in (victim, *idle):
            await one.close()
        await soon(lambda: rig.engine.statistics().buffered == 0)


async def shaken(rig: Rig, context: ssl.SSLContext, without: int) -> trio.SocketStream:
    """A client of a TLS 1.3 handshake whose last flight lacks its last `without` records. It frees its own memory."""
    stream = await trio.open_tcp_stream("127.0.0.1", rig.port)
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(received, sent, server_hostname="a.example.com")
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            await stream.send_all(sent.read())
            received.write(await stream.receive_some())
    flight, records = sent.read(), []
    while flight:
        size = 5 + int.from_bytes(flight[3:5], "big")
        records.append(flight[:size])
        flight = flight[size:]
    await stream.send_all(b"".join(records[: len(records) - without]))
    return stream


@pytest.mark.parametrize("without", [0, 1], ids=["established", "half open"])
async def test_certificates_of_clients_count(without: int) -> None:
    """libcrypto needs 54 bytes for each byte of this certificate. Its issuer is unknown."""
    shown = visitor(issuer("unknown"), "many", *[x509.DNSName("")] * 1900)
    verified = msgspec.structs.replace(tls("a"), clients=accepting(issuer("known"), optional=True))
    async with serving({"": verified}, SHOWN, of("", "b"), limits=MANY) as rig:
        warm = [await shaken(rig, showing(shown), without) for _ in range(5)]
        await quiet(0.02)
        before, counted = allocated(), rig.engine.statistics().buffered
        clients = [await shaken(rig, showing(shown), without) for _ in range(40)]
        await quiet(0.02)
        more, noted = allocated() - before, rig.engine.statistics().buffered - counted
        assert noted > 40 * 100_000
        if not SANITIZED:
            assert 0.75 * more < noted < 1.5 * more, (more // 40, noted // 40)
        for one in (*warm, *clients):
            await one.aclose()
        await soon(lambda: rig.engine.statistics().buffered == 0)
