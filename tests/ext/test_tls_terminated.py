"""Connections of TLSRoutes whose TLS ends at the gateway: the decrypted bytes go to a backend, also over TLS again."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
import trio
from certificates import certificate, trusting
from passages import echoing, ended, gone, listening, naming, passage, passing, pinged, reasons, traffic
from rig import Peer, Rig, backends, connect, free_port, quiet, soon
from securebackend import secured, showing, tls_to

from fastroute import snapshot
from fastroute.snapshot import Mode

BACKEND = "apps/a:80/raw"
NAME = "a.example.com"
TLS = snapshot.ListenerTLS(certificates=("certs/a",), protocol="raw", alpn=())


def route(*backends: str | snapshot.WeightedBackend) -> snapshot.Rule:
    return passage(*backends, hostname=NAME, kind="TLSRoute")


@asynccontextmanager
async def ending(*rules: snapshot.Rule, tls: snapshot.ListenerTLS = TLS, **options: Any) -> AsyncIterator[Rig]:
    """A Rig with one listener, which ends TLS and passes the bytes on."""
    async with passing(*rules, mode=Mode.TERMINATE, **options) as rig:
        rig.certificates.put("certs/a", certificate("a", "*.example.com"))
        rig.install_all([listening(rig.port, Mode.TERMINATE, "*.example.com", tls=tls)], *rules)
        rig.certificates.commit()
        yield rig


async def said(rig: Rig, name: str = NAME) -> bytes:
    """All bytes that a client gets that sends no ClientHello of its own until it is asked, in cleartext."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    peer = await connect(rig.port)
    await peer.send(outgoing.read())
    with trio.fail_after(60):
        try:
            return await peer.rest()
        except trio.BrokenResourceError:
            return b""


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_decrypted_bytes_go_both_ways(most: ssl.TLSVersion) -> None:
    async with backends(echoing) as [backend], ending(route(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port, NAME, trusting(most=most))
        for size in (1, 100, 300_000):
            await pinged(client, b"x" * size)
        await client.say_end()
        assert await client.rest() == b""
        await gone(rig)
        [line] = rig.lines()
        assert (line["protocol"], line["reason"], line["upstream_protocol"]) == ("TLS", None, "TCP")
        assert (line["tls_version"], line["tls_server_name"]) == (
            "TLSv1.2" if most is ssl.TLSVersion.TLSv1_2 else "TLSv1.3",
            NAME,
        )
        assert (line["bytes_received"], line["bytes_sent"]) == (300_101, 300_101)
        assert traffic(rig) == {"connections": 1, "received": 300_101, "sent": 300_101}


async def test_a_backend_speaks_first() -> None:
    async with backends(naming(b"220 ready")) as [backend], ending(route(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port, NAME, trusting())
        assert await client.rest() == b"220 ready"


async def test_a_client_that_has_said_its_end_still_receives() -> None:
    async def answering_late(peer: Peer) -> None:
        asked = await peer.rest()
        await peer.send(b"late " + asked)

    async with backends(answering_late) as [backend], ending(route(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port, NAME, trusting())
        await client.send(b"x")
        await client.say_end()
        assert await client.rest() == b"late x"


async def test_a_reset_of_the_backend_is_no_end_of_tls() -> None:
    """The client must not take the bytes before it for all."""

    async def breaking(peer: Peer) -> None:
        await peer.send(b"part")
        await peer.exactly(1)
        await peer.reset()

    async with backends(breaking) as [backend], ending(route(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port, NAME, trusting())
        assert await client.exactly(4) == b"part"
        await client.send(b"x")
        with pytest.raises(trio.BrokenResourceError):
            await client.rest()
        await gone(rig)
        assert reasons(rig) == ["upstream_truncated"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (snapshot.WeightedBackend(weight=1, backend="x", status=500, reason="reference_refused"), "reference_refused"),
        (snapshot.WeightedBackend(weight=0, backend=BACKEND), "zero_weights"),
        ("apps/none:80/raw", "no_endpoint"),
    ],
)
async def test_without_a_backend_no_byte_is_said(target: str | snapshot.WeightedBackend, reason: str) -> None:
    async with ending(route(target)) as rig:
        assert await said(rig) == b""
        await gone(rig)
        [line] = rig.lines()
        assert (line["reason"], line["tls_server_name"], line["route"]) == (reason, NAME, f"apps/{NAME}")
        assert rig.local(reason) == 1


async def test_without_a_route_no_byte_is_said() -> None:
    async with ending(route(BACKEND)) as rig:
        assert await said(rig, "b.example.com") == b""
        assert await said(rig, "other.org") == b""
        await gone(rig)
        assert reasons(rig) == ["no_rule", "no_listener"]


async def test_a_backend_that_cannot_be_connected() -> None:
    async with ending(route(BACKEND)) as rig:
        rig.put(BACKEND, free_port())
        client = await connect(rig.port, NAME, trusting())
        assert await ended(client) == "reset"  # the end of TLS would be that of the backend
        await gone(rig)
        assert reasons(rig) == ["connect_failed"]


async def test_a_route_that_changes_during_the_handshake() -> None:
    """The connection goes where it was sent by its ClientHello, and nothing is freed too early."""
    async with backends(naming(b"here")) as [backend], ending(route(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting().wrap_bio(incoming, outgoing, server_hostname=NAME)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        peer = await connect(rig.port)
        await peer.send(outgoing.read())
        await peer.more()
        incoming.write(peer.buffer)
        rig.install_all([])
        for _ in range(3):
            await quiet()
        tls.do_handshake()
        await peer.send(outgoing.read())
        peer.buffer = b""
        got = b""
        while not got:
            await peer.more()
            incoming.write(peer.buffer)
            peer.buffer = b""
            try:
                got = tls.read(100)
            except ssl.SSLWantReadError:
                continue
        assert got == b"here"


# --- encrypted again


@pytest.mark.parametrize("header", [False, True])
async def test_bytes_go_to_the_backend_over_tls(header: bool) -> None:
    """A PROXY header comes before it, in cleartext. No protocol is offered (ALPN)."""
    seen: list[ssl.SSLObject] = []
    headers: list[bytes] = []
    context = showing(certificate(NAME), alpn=("http/1.1",))

    async def greeted(peer: Peer) -> None:
        if header:
            headers.append(await peer.stream.receive_some(28))  # type: ignore[arg-type]
        await secured(context, speaking, seen)(peer)

    async def speaking(peer: Peer) -> None:
        await peer.send(b"220 ready")
        await echoing(peer)

    async with backends(greeted) as [backend], ending(route(BACKEND)) as rig:
        like = msgspec.structs.replace(tls_to(NAME), protocol="raw", proxy_protocol=header)
        rig.upstreams.speak(BACKEND, like)
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port, NAME, trusting())
        assert await client.exactly(9) == b"220 ready"
        await pinged(client, b"y" * 200_000)
        assert seen[0].selected_alpn_protocol() is None
        assert len(headers) == header
        if header:
            assert headers[0].startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1")
        await client.close()
        await soon(lambda: bool(rig.lines()))
        [line] = rig.lines()
        assert line["upstream_protocol"] == "TLS"


async def test_a_backend_whose_certificate_is_not_valid() -> None:
    context = showing(certificate("other.org"))
    async with backends(secured(context, naming(b"x"))) as [backend], ending(route(BACKEND)) as rig:
        rig.upstreams.speak(BACKEND, msgspec.structs.replace(tls_to(NAME), protocol="raw"))
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port, NAME, trusting())
        with suppress(trio.BrokenResourceError):
            assert await client.rest() == b""
        await gone(rig)
        assert reasons(rig) == ["upstream_certificate_invalid"]


async def test_a_tcp_route_can_use_tls_towards_its_backend() -> None:
    context = showing(certificate(NAME))
    async with (
        backends(secured(context, naming(b"220 ready"))) as [backend],
        passing(passage(BACKEND)) as rig,
    ):
        rig.upstreams.speak(BACKEND, msgspec.structs.replace(tls_to(NAME), protocol="raw"))
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        assert await client.rest() == b"220 ready"
        await client.close()
        await gone(rig)
        [line] = rig.lines()
        assert (line["protocol"], line["upstream_protocol"], line["reason"]) == ("TCP", "TLS", None)


# --- clients


async def test_a_client_of_any_protocol_is_served() -> None:
    """Also if it offers one that no listener of the gateway knows (ALPN)."""
    async with (
        backends(naming(b"here")) as [backend],
        ending(route(BACKEND), tls=msgspec.structs.replace(TLS, alpn=("h2", "http/1.1"))) as rig,
    ):
        rig.put(BACKEND, backend.port)
        for alpn in ((), ("postgresql",), ("h2",)):
            client = await connect(rig.port, NAME, trusting(alpn=alpn))
            assert await client.rest() == b"here"


async def test_a_handshake_that_fails_begins_no_connection() -> None:
    async with backends(naming(b"x")) as [backend], ending(route(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting().wrap_bio(incoming, outgoing, server_hostname=NAME)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        await client.send(outgoing.read())
        await client.more()
        await client.send(b"\x15\x03\x03\0\2\2\x28")  # an alert
        with pytest.raises((trio.BrokenResourceError, EOFError)):
            await client.exactly(1 << 20)
        await gone(rig)
        assert backend.connections == 0
        assert traffic(rig) == {}


async def test_an_end_without_that_of_tls_is_no_end_for_the_backend() -> None:
    """Bytes of the client may be missing (RFC 8446 section 6.1)."""
    ends: list[str] = []

    async def reading(peer: Peer) -> None:
        assert await peer.exactly(4) == b"part"
        ends.append(await ended(peer))

    async with backends(reading) as [backend], ending(route(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port, NAME, trusting())
        await client.send(b"part")
        await client.end_of_writing()
        await gone(rig)
        await soon(lambda: ends == ["reset"])
        assert reasons(rig) == ["client_closed"]


async def test_after_the_end_of_the_backend_a_client_may_leave_without_that_of_tls() -> None:
    async with backends(naming(b"220 ready")) as [backend], ending(route(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port, NAME, trusting())
        assert await client.rest() == b"220 ready"
        await client.close()
        await gone(rig)
        assert reasons(rig) == [None]
