"""TLS handshakes on real sockets: resumed sessions, handshakes that fail, and data that arrives with their end."""

import contextlib
import os
import random
import socket
import ssl

import pytest
import trio
import trio.lowlevel
from certificates import trusting
from https import SHOWN, greeting, of, request, serving, tls
from rig import Peer, Rig, SecureStream, answering, backends, connect, listener, quiet, reporting, soon

from fastroute.ext.tls.ticket import KEY_SIZE, set_keys
from fastroute.settings import Limits

# --- sessions


async def resumed(rig: Rig, session: ssl.SSLSession | None, context: ssl.SSLContext) -> tuple[bool, ssl.SSLSession]:
    """Whether a client with a ticket resumed its session, and its ticket afterwards."""

    def speak() -> tuple[bool, ssl.SSLSession]:
        with (
            socket.create_connection(("127.0.0.1", rig.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="a.example.com", session=session) as client,
        ):
            client.sendall(request("a.example.com"))
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
            found = client.session
            assert found is not None
            return bool(client.session_reused), found

    return await trio.to_thread.run_sync(speak)


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tickets_open_sessions_as_long_as_their_key_is_known(most: ssl.TLSVersion) -> None:
    first, second, third = (os.urandom(KEY_SIZE) for _ in range(3))
    context = trusting(most=most)
    async with backends(answering) as [backend], serving({"": tls("a")}, SHOWN, of("", "b")) as rig:
        rig.put("b", backend.port)
        set_keys([first])
        reused, session = await resumed(rig, None, context)
        assert not reused
        assert (await resumed(rig, session, context))[0]
        set_keys([second, first])  # rotated: the old ticket is still accepted, and the client gets one with the new key
        reused, newer = await resumed(rig, session, context)
        assert reused
        set_keys([third, second])
        assert (await resumed(rig, newer, context))[0]
        assert not (await resumed(rig, session, context))[0]
        assert rig.counters.fixed()["tls_resumed"] == 3
        set_keys([])


async def test_a_ticket_of_one_listener_opens_no_other() -> None:
    context = trusting()
    world = {"a.example.com": tls("a"), "*.example.com": tls("wild")}
    set_keys([os.urandom(KEY_SIZE)])
    async with backends(answering) as [backend], serving(world, SHOWN, *(of(name, "b") for name in world)) as rig:
        rig.put("b", backend.port)
        session = (await resumed(rig, None, context))[1]
        rig.install_all([listener(rig.port, "*.example.com", "*.example.com", tls("a"))], of("*.example.com", "b"))
        assert not (await resumed(rig, session, context))[0]
    set_keys([])


def test_keys_that_are_none() -> None:
    with pytest.raises(ValueError, match="80 bytes"):
        set_keys([b"short"])


# --- failed handshakes


async def test_handshakes_end_in_time() -> None:
    async with serving({"": tls("a")}, SHOWN, limits=Limits(head_timeout=1)) as rig:
        rig.engine.hold_clock()
        silent = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
        stuck = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
        await stuck.send(await greeting("a.example.com"))
        await rig.passes(0.9)
        assert rig.counters.fixed()["tls_timeout"] == 0
        await rig.passes(0.2)
        assert (await stuck.rest())[:1] == b"\x16"
        assert await silent.rest() == b""
        assert rig.counters.fixed()["tls_timeout"] == 2
        assert rig.engine.statistics().downstream_idle == 0


async def test_the_oldest_of_too_many_handshakes_gives_way() -> None:
    async with serving({"": tls("a")}, SHOWN, limits=Limits(max_handshakes=2)) as rig:
        stuck = []
        for _ in range(4):
            stuck.append(Peer(await trio.open_tcp_stream("127.0.0.1", rig.port)))
            await stuck[-1].send(await greeting("a.example.com"))
            await stuck[-1].exactly(5)
        for one in stuck[:2]:
            await one.rest()
        assert rig.counters.fixed()["tls_crowded"] == 2
        await connect(rig.port, "a.example.com", trusting())
        assert rig.counters.fixed()["tls_crowded"] == 3


@pytest.mark.parametrize("cut", [1, 7, 100])
async def test_a_handshake_in_pieces(cut: int) -> None:
    async with serving({"": tls("a")}, SHOWN) as rig:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = trusting().wrap_bio(incoming, outgoing, server_hostname="a.example.com")
        client = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                data = outgoing.read()
                for at in range(0, len(data), cut):
                    await client.send(data[at : at + cut])
                    await trio.lowlevel.checkpoint()
                await client.more()
                incoming.write(client.buffer)
                client.buffer = b""
        data = outgoing.read()
        for at in range(0, len(data), cut):
            await client.send(data[at : at + cut])
        session.write(request("a.example.com"))
        await client.send(outgoing.read())
        while b"404" not in client.buffer:
            await client.more()
            incoming.write(client.buffer)
            client.buffer = b""
            with contextlib.suppress(ssl.SSLWantReadError):
                client.buffer = session.read(1000)


CLOSING = request("a.example.com").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("early", "late", "says_end", "answers"),
    [
        (CLOSING, [], False, 1),
        (CLOSING, [], True, 1),
        (CLOSING[:20], [CLOSING[20:]], False, 1),
        (CLOSING[:20], [CLOSING[20:]], True, 1),
        (request("a.example.com"), [CLOSING], False, 2),
        (request("a.example.com") + CLOSING[:20], [CLOSING[20:-2], CLOSING[-2:]], False, 2),
        (request("a.example.com") * 3 + CLOSING, [], True, 4),
    ],
)
async def test_what_comes_with_the_end_of_the_handshake(
    early: bytes, late: list[bytes], says_end: bool, answers: int
) -> None:
    """In the segment of the client Finished message: a request, a part of one, several requests, or the end too."""
    async with serving({"": tls("a")}, SHOWN) as rig:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = trusting().wrap_bio(incoming, outgoing, server_hostname="a.example.com")
        client = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
        with contextlib.suppress(ssl.SSLWantReadError):
            session.do_handshake()
        await client.send(outgoing.read())
        await client.more()
        incoming.write(client.buffer)
        client.buffer = b""
        session.do_handshake()
        session.write(early)
        for piece in late:
            await client.send(outgoing.read())
            await quiet()
            session.write(piece)
        if says_end:
            with contextlib.suppress(ssl.SSLWantReadError):
                session.unwrap()
        await client.send(outgoing.read())
        incoming.write(await client.rest())
        got = b""
        with contextlib.suppress(ssl.SSLZeroReturnError, ssl.SSLSyscallError):
            while data := session.read(65536):
                got += data
        assert got.count(b"HTTP/1.1 404") == answers


async def test_the_proxy_header_comes_before_tls() -> None:
    report: list[bytes] = []
    async with (
        backends(reporting(report)) as [backend],
        serving({"": tls("a")}, SHOWN, of("", "b"), proxy_protocol=True, trusted_proxies=("127.0.0.0/8",)) as rig,
    ):
        rig.put("b", backend.port)
        stream = await trio.open_tcp_stream("127.0.0.1", rig.port)
        await stream.send_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 1000 443\r\n")
        client = Peer(SecureStream(stream, trusting(), "a.example.com"))
        await client.send(request("a.example.com"))
        assert (await client.response())[0] == 200
        assert b"x-forwarded-for: 192.0.2.7" in b"".join(report).lower()


async def test_drain_ends_clients_that_never_spoke() -> None:
    async with serving({"": tls("a")}, SHOWN, limits=Limits(head_timeout=60)) as rig:
        rig.engine.hold_clock()
        silent = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
        await quiet()
        rig.engine.drain()
        await rig.passes(1.1)
        assert await silent.rest() == b""
        await soon(lambda: rig.engine.statistics().drained)


async def test_a_large_answer_and_upload_pass() -> None:
    big = bytes(range(256)) * 8192
    sent = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(big), big)
    report: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            report.append((await peer.request())[1])
            await peer.send(sent)

    async with backends(script) as [backend], serving({"": tls("a")}, SHOWN, of("", "b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port, "a.example.com", trusting())
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                head = b"POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: %d\r\n\r\n" % len(big)
                nursery.start_soon(client.send, head + big)
                assert (await client.response())[2] == big
        assert report == [big, big]


async def test_mutated_clients_end_nobody_else() -> None:
    """Clients whose first flights have mutated bytes: every connection ends, and the next client is served."""
    chance = random.Random(5)
    async with backends(answering) as [backend], serving({"": tls("a")}, SHOWN, of("", "b")) as rig:
        rig.put("b", backend.port)
        for _ in range(150):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            session = trusting().wrap_bio(incoming, outgoing, server_hostname="a.example.com")
            client = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
            spoiled = chance.randrange(3)  # the number of the mutated flight
            with contextlib.suppress(ssl.SSLError, trio.BrokenResourceError):
                for flight in range(3):
                    with contextlib.suppress(ssl.SSLWantReadError):
                        session.do_handshake()
                        session.write(request("a.example.com"))
                    data = bytearray(outgoing.read())
                    for _ in range(chance.randrange(1, 4) if flight == spoiled and data else 0):
                        data[chance.randrange(len(data))] = chance.randrange(256)
                    await client.send(bytes(data))
                    with trio.move_on_after(0.05):
                        await client.more()
                    incoming.write(client.buffer)
                    client.buffer = b""
            await client.close()
        served = await connect(rig.port, "a.example.com", trusting())
        await served.send(request("a.example.com"))
        assert (await served.response())[0] == 200
        await served.close()
        await soon(lambda: rig.engine.statistics().downstream_idle == 0)
