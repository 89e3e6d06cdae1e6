"""Connections to HTTP/2 backends: how many there are, which requests they carry, and when they end."""

import os

import trio
from h2.settings import SettingCodes
from http2.client import client
from http2.server import Channel, spoken
from http2.test_backends import HTTP2, POST, Gate, asked, serving
from peer import Peer
from rig import OK, Script, answering, backends, connect, free_port, no_descriptor, quiet, rule, running, soon
from securebackend import either, like

from fastroute import snapshot

STREAMS_MOST = 128  # of a connection to a backend
MIRRORED = rule("b", filters=[snapshot.Mirror(backend="m")])


async def test_a_full_connection_is_not_used() -> None:
    gate = Gate()
    async with serving(gate, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 2}) as (rig, backend):
        peers = []
        for number in range(1, 6):
            peers.append(await asked(rig))
            await soon(lambda number=number: len(gate.waiting) == number)  # type: ignore[misc]
        assert backend.connections == 3
        gate.open.set()
        assert [(await peer.response())[0] for peer in peers] == [200] * 5
        await soon(lambda: rig.engine.statistics().upstream_idle == 3)


async def test_a_connection_has_a_limit_of_streams_if_its_backend_states_none() -> None:
    gate = Gate()
    async with serving(gate, settings={SettingCodes.INITIAL_WINDOW_SIZE: 65535}) as (rig, backend):
        first = await asked(rig)
        await soon(lambda: len(gate.waiting) == 1)
        async with client(rig.port) as one, client(rig.port) as two:
            asks = [await one.ask() for _ in range(STREAMS_MOST - 1)]
            await soon(lambda: len(gate.waiting) == STREAMS_MOST)
            assert backend.connections == 1
            asks += [await two.ask() for _ in range(20)]
            await soon(lambda: len(gate.waiting) == STREAMS_MOST + 20)
            assert backend.connections == 2
            gate.open.set()
            assert [(await ask.response())[0] for ask in asks] == [200] * len(asks)
            assert (await first.response())[0] == 200


async def test_a_refused_connection_fails_the_requests_that_wait_for_it() -> None:
    async with running(rule("b"), held=True, log=True) as rig:
        rig.upstreams.speak("b", HTTP2)
        rig.put("b", free_port())
        async with client(rig.port) as session:
            asks = [await session.ask() for _ in range(5)]
            assert [(await ask.response())[0] for ask in asks] == [503] * 5
        await quiet()
        statistics = rig.engine.statistics()
        assert (statistics.upstream_active, statistics.upstream_idle, statistics.exchanges) == (0, 0, 0)
        assert rig.counters.fixed()["streams_upstream"] == 0


async def test_complete_answers_survive_the_end_of_the_connection() -> None:
    async def script(channel: Channel) -> None:
        await channel.request()
        await channel.send(OK)
        await channel.link.peer.end_of_writing()

    async with serving(script) as (rig, backend):
        for number in range(1, 4):
            peer = await asked(rig, POST)
            assert (await peer.response())[2] == b"ok"
            await soon(lambda: backend.open == 0)
            assert backend.connections == number


async def test_a_request_gets_no_stream_of_a_connection_that_has_ended() -> None:
    """Its event is in the same batch as that of the request, after it. A POST may not be sent twice."""
    links = []

    async def script(channel: Channel) -> None:
        await channel.request()
        links.append(channel.link)
        await channel.send(OK)

    async with serving(script) as (rig, backend):
        for number in range(1, 4):
            peer = await asked(rig, POST)
            assert (await peer.response())[0] == 200
            assert backend.connections == 2 * number - 1
            later = await connect(rig.port)
            await quiet()
            os.write(later.stream.socket.fileno(), POST)
            links[-1].peer.stream.socket.close()
            assert (await later.response())[0] == 200
            links[-1].peer.stream.socket.close()
            await soon(lambda: rig.engine.statistics().upstream_idle == 0)
        assert rig.local("upstream_closed") == 0


async def test_the_oldest_idle_connections_make_room() -> None:
    """Sixteen at most. Each backend has its own pool key, and so its own connection."""
    names = [f"b{number}" for number in range(20)]
    rules = [rule(name, name=str(number), path=f"/{name}") for number, name in enumerate([*names, "other"])]
    waiting, release = trio.Event(), trio.Event()

    async def other(peer: Peer) -> None:
        await peer.request()
        waiting.set()
        await release.wait()
        await peer.send(OK)

    async with backends(either(spoken(answering)), other) as [backend, late], running(*rules, held=True) as rig:
        rig.put("other", late.port)
        for name in names:
            rig.upstreams.speak(name, snapshot.Backend(protocol="h2", tls=like(name)))
            rig.put(name, backend.port)
            peer = await asked(rig, f"GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert (await peer.response())[2] == b"ok"
            await peer.close()
        await quiet()
        assert (backend.connections, rig.engine.statistics().upstream_idle) == (20, 20)
        peer = await connect(rig.port)
        with no_descriptor():
            await peer.send(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
            await soon(waiting.is_set)
        assert rig.engine.statistics().upstream_idle == 4
        release.set()
        assert (await peer.response())[2] == b"ok"


async def test_a_drain_closes_connections_after_their_streams() -> None:
    gate = Gate()
    async with (
        backends(spoken(gate), spoken(answering)) as [backend, idle],
        running(rule("b", name="0", path="/wait"), rule("i", name="1"), held=True) as rig,
    ):
        for name, port in (("b", backend.port), ("i", idle.port)):
            rig.upstreams.speak(name, HTTP2)
            rig.put(name, port)
        done = await asked(rig)
        assert (await done.response())[2] == b"ok"
        await done.close()
        peer = await asked(rig, b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        await soon(lambda: len(gate.waiting) == 1)
        rig.engine.drain()
        await soon(lambda: idle.open == 0)
        assert backend.open == 1
        gate.open.set()
        assert (await peer.response())[2] == b"ok"
        await soon(lambda: backend.open == 0)
        await peer.close()
        await soon(lambda: rig.engine.statistics().drained)


async def test_mirrors_share_a_connection_too() -> None:
    """A copy has the content and the trailers of its request, also if they come in pieces."""
    got: list[tuple[bytes, list[tuple[str, str]]]] = []
    copied: list[tuple[bytes, list[tuple[str, str]]]] = []

    def noting(found: list[tuple[bytes, list[tuple[str, str]]]]) -> Script:
        async def script(peer: object) -> None:
            assert isinstance(peer, Channel)
            _, body = await peer.request()
            found.append((body, list(peer.trailers)))
            await peer.send(OK)

        return spoken(script)

    async with backends(noting(got), noting(copied)) as [backend, mirror], running(MIRRORED, held=True) as rig:
        for name, port in (("b", backend.port), ("m", mirror.port)):
            rig.upstreams.speak(name, HTTP2)
            rig.put(name, port)
        peer = await connect(rig.port)
        for number in range(1, 6):
            await peer.send(POST.replace(b"Content-Length: 2\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc"))
            await quiet()
            await peer.send(b"\r\n2\r\nde\r\n0\r\nX-Sum: 9\r\n\r\n")
            assert (await peer.response())[2] == b"ok"
            await soon(lambda number=number: len(copied) == number)  # type: ignore[misc]
        assert copied == got == [(b"abcde", [("x-sum", "9")])] * 5
        assert (backend.connections, mirror.connections) == (1, 1)
        await soon(lambda: rig.counters.fixed()["mirrored"] == 5)
