"""Connections of TCPRoutes over real sockets: limits, changes of the configuration, drains, and the PROXY protocol."""

import socket

import msgspec
import pytest
from passages import (
    RAW,
    echoing,
    ended,
    gone,
    listening,
    naming,
    passage,
    passing,
    pinged,
    reasons,
    silent,
    speak,
    traffic,
    turned_away,
)
from rig import Peer, backends, connect, loopback, quiet, soon

from fastroute import snapshot
from fastroute.settings import Limits

BACKEND = "apps/a:80/raw"
MUCH = 24_000_000  # more than the kernel buffers for two connections

# --- limits


async def test_an_idle_connection_ends() -> None:
    async with (
        backends(echoing) as [backend],
        passing(passage(BACKEND), limits=Limits(tunnel_idle_timeout=100), held=True) as rig,
    ):
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        for _ in range(3):
            await pinged(client)
            await rig.passes(70)
        assert rig.lines() == []
        await rig.passes(31)
        assert await ended(client) == "reset"
        await gone(rig)
        assert reasons(rig) == ["tunnel_idle"]


async def test_the_connections_of_one_client_are_limited() -> None:
    async with (
        backends(echoing) as [backend],
        passing(passage(BACKEND), limits=Limits(max_connections_per_client=2)) as rig,
    ):
        rig.put(BACKEND, backend.port)
        clients = [await connect(rig.port) for _ in range(2)]
        for client in clients:
            await pinged(client)
        assert await turned_away(rig.port) in ("reset", "closed")
        await pinged(clients[0])
        await clients[0].close()
        await soon(lambda: rig.engine.statistics().downstream_active == 1)
        await pinged(await connect(rig.port))


async def test_the_greediest_ends_if_the_buffers_are_full() -> None:
    """A client that does not read holds output in the engine. One that reads keeps its connection."""

    async def pouring(peer: Peer) -> None:
        if await peer.exactly(1) == b"p":
            await peer.stream.send_all(b"x" * MUCH)
        else:
            await echoing(peer)

    limits = Limits(max_buffered=1 << 20)
    async with backends(pouring) as [backend], passing(passage(BACKEND), limits=limits) as rig:
        rig.put(BACKEND, backend.port)
        good = await connect(rig.port)
        await good.send(b"-")
        greedy = [await connect(rig.port) for _ in range(24)]
        for one in greedy:
            await one.send(b"p")
        await soon(lambda: rig.counters.fixed()["ended_buffers_full"] > 0)
        await quiet(0.05)
        assert rig.buffered() <= 1 << 20
        await pinged(good)
        assert "buffers_full" in reasons(rig)


# --- changes, drain


async def test_open_connections_survive_every_change() -> None:
    async with backends(echoing, echoing) as [first, second], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, first.port)
        client = await connect(rig.port)
        await pinged(client)
        other = passage("apps/b:80/raw")
        speak(rig, other)
        rig.put("apps/b:80/raw", second.port)
        rig.install_all([listening(rig.port)], other)
        await pinged(client)
        rig.upstreams.remove(BACKEND)
        await pinged(client)
        rig.install_all([listening(rig.port)])
        await pinged(client)
        rig.install_all([])
        await pinged(client)
        rig.engine.unlisten(listening(rig.port).place)
        await pinged(client)
        assert (first.connections, second.connections) == (1, 0)
        await client.end_of_writing()
        assert await client.rest() == b""
        await gone(rig)
        assert [(line["backend"], line["reason"]) for line in rig.lines()] == [("apps/a:80", None)]


async def test_new_connections_follow_changes() -> None:
    async with backends(naming(b"1"), naming(b"2")) as [first, second], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, first.port)
        assert await (await connect(rig.port)).rest() == b"1"
        other = passage("apps/b:80/raw")
        speak(rig, other)
        rig.put("apps/b:80/raw", second.port)
        rig.install_all([listening(rig.port)], other)
        assert await (await connect(rig.port)).rest() == b"2"
        rig.install_all([listening(rig.port)])
        assert await turned_away(rig.port) == "reset"


async def test_a_client_that_waits_at_a_removed_listener_is_reset() -> None:
    """Its bytes are no request."""
    async with passing(passage(BACKEND)) as rig:
        other = rig.listen()
        rig.install_all([listening(rig.port), listening(other, id="other")], passage(BACKEND))
        await quiet()
        with socket.create_connection(("127.0.0.1", other)) as waiting:
            rig.install_all([listening(rig.port)], passage(BACKEND))
            rig.engine.unlisten(loopback(other))
            waiting.settimeout(0)
            await gone(rig)
            await quiet()
            with pytest.raises(ConnectionResetError):
                waiting.recv(100)
        assert reasons(rig) == ["no_listener"]


async def test_a_changed_key_while_a_backend_is_connected() -> None:
    """Nothing is sent on a connection whose key is not that of its backend any more."""
    with silent() as port:
        async with (
            backends(naming(b"here")) as [backend],
            passing(passage(BACKEND), limits=Limits(connect_timeout=1), held=True) as rig,
        ):
            rig.put(BACKEND, port)
            client = await connect(rig.port)
            await soon(lambda: rig.engine.statistics().upstream_active == 1)
            rig.upstreams.speak(BACKEND, snapshot.Backend())
            rig.put(BACKEND, port, backend.port)
            how, _ = await rig.timed(lambda: ended(client))
            assert how == "reset"
            assert reasons(rig) == ["backend_invalid"]
            assert backend.connections == 0


async def test_a_drain_waits_for_it() -> None:
    async with backends(echoing) as [backend], passing(passage(BACKEND), held=True) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        await pinged(client)
        rig.engine.drain()
        await rig.passes(20)
        await pinged(client)
        assert not rig.engine.statistics().drained
        await client.end_of_writing()
        assert await client.rest() == b""
        await rig.timed_until(lambda: rig.engine.statistics().drained, 0.1)
        assert reasons(rig) == [None]


async def test_what_is_left_at_the_end_of_a_drain_is_reset() -> None:
    ends: list[str] = []

    async def noting(peer: Peer) -> None:
        await peer.exactly(1)
        ends.append(await ended(peer))

    async with backends(noting) as [backend], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        await client.send(b"x")
        await soon(lambda: traffic(rig).get("received") == 1)
        rig.engine.drain()
        rig.engine.close()
        assert await ended(client) == "reset"
        await soon(lambda: ends == ["reset"])
        assert reasons(rig) == ["drained"]


# --- the PROXY protocol

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def preface(client: str, own: str, ports: tuple[int, int]) -> bytes:
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    ends = socket.inet_pton(family, client) + socket.inet_pton(family, own)
    content = ends + b"".join(port.to_bytes(2, "big") for port in ports)
    return SIGNATURE + b"\x21" + (b"\x21" if ":" in client else b"\x11") + len(content).to_bytes(2, "big") + content


async def test_a_header_of_the_client_side_is_read() -> None:
    options = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.1"]}
    async with backends(echoing) as [backend], passing(passage(BACKEND), **options) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        await client.send(preface("10.1.2.3", "10.9.9.9", (1234, 80)) + b"bytes")
        assert await client.exactly(5) == b"bytes"
        await client.end_of_writing()
        assert await client.rest() == b""
        await gone(rig)
        [line] = rig.lines()
        assert (line["client"], line["bytes_received"]) == ("10.1.2.3", 5)


async def test_a_connection_without_the_header_is_closed() -> None:
    options = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.1"]}
    async with backends(echoing) as [backend], passing(passage(BACKEND), **options) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        await client.send(b"bytes")
        assert await ended(client) in ("reset", "closed")
        assert backend.connections == 0


async def test_a_header_before_a_passage_that_ends_at_once() -> None:
    options = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.1"]}
    async with passing(**options) as rig:
        client = await connect(rig.port)
        await client.send(preface("10.1.2.3", "10.9.9.9", (1234, 80)) + b"bytes")
        assert await ended(client) == "reset"
        assert reasons(rig) == ["no_rule"]


@pytest.mark.parametrize("told", [None, "10.1.2.3", "2001:db8::7"])
async def test_a_header_for_the_backend_comes_first(told: str | None) -> None:
    """Also if the backend speaks first: it waits for the header."""
    seen: list[bytes] = []

    async def greeted(peer: Peer) -> None:
        seen.append(await peer.exactly(28 if told is None or "." in told else 52))
        await peer.send(b"hello")
        await echoing(peer)

    options = {} if told is None else {"proxy_protocol": True, "trusted_proxies": ["127.0.0.1"]}
    async with backends(greeted) as [backend], passing(passage(BACKEND), **options) as rig:
        rig.upstreams.speak(BACKEND, msgspec.structs.replace(RAW, proxy_protocol=True))
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        port = client.stream.socket.getsockname()[1]
        if told is not None:
            await client.send(preface(told, "10.9.9.9" if "." in told else "2001:db8::1", (1234, 80)))
        assert await client.exactly(5) == b"hello"
        await pinged(client)
        if told is None:
            assert seen == [preface("127.0.0.1", "127.0.0.1", (port, rig.port))]
        else:
            own = "127.0.0.1" if "." in told else "::"
            assert seen == [preface(told, own, (1234, rig.port))]
