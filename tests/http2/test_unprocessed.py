"""Requests that an HTTP/2 backend has not processed are tried again, whatever the method. Backends that are silent."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from h2.settings import SettingCodes
from http2.client import client
from http2.server import CANCEL, REFUSED, Channel, Link, spoken
from rig import GET, OK, Peer, Rig, Script, backends, connect, quiet, rule, running, soon

from fastroute import snapshot
from fastroute.settings import Limits

HTTP2 = snapshot.Backend(protocol="h2")
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
LONG = 100_000  # more than is kept of a body
EITHER = pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
Answer = Callable[[Channel], Awaitable[None]]


class Taking:
    """A script that notes the requests, and answers when `open` is set."""

    def __init__(self) -> None:
        self.open = trio.Event()
        self.links: list[Link] = []
        self.taken: list[tuple[int, int, bytes]] = []  # connection, stream, body

    async def __call__(self, peer: Peer) -> None:
        assert isinstance(peer, Channel)
        _, body = await peer.request()
        self.taken.append((self.links.index(peer.link), peer.id, body))
        await self.open.wait()
        await peer.send(OK)


def resetting(code: int) -> Answer:
    async def script(channel: Channel) -> None:
        await channel.request()
        await channel.reset(code)

    return script


def towards(rig: Rig, *ports: int) -> None:
    rig.upstreams.speak("b", HTTP2)
    rig.put("b", *ports)


async def asked(rig: Rig, request: bytes = GET) -> Peer:
    peer = await connect(rig.port)
    await peer.send(request)
    return peer


async def answered(rig: Rig, request: bytes) -> int:
    peer = await asked(rig, request)
    status: int = (await peer.response())[0]
    await peer.close()
    return status


@EITHER
async def test_another_endpoint_is_tried(request_: bytes) -> None:
    taking = Taking()
    taking.open.set()
    async with (
        backends(spoken(resetting(REFUSED)), spoken(taking, taking.links)) as [no, yes],
        running(rule("b"), held=True) as rig,
    ):
        towards(rig, no.port, yes.port)
        assert [await answered(rig, request_) for _ in range(20)] == [200] * 20
        assert len(taking.taken) == 20
        assert (no.connections, yes.connections) == (1, 1)
        counted = rig.counters.fixed()
        assert 0 < counted["retries_refused"] < 20
        assert counted["retries_connect"] == 0
        assert all(failures == 0 for _, _, failures in rig.upstreams.statistics()["b"])


@EITHER
async def test_the_only_endpoint_is_asked_three_times(request_: bytes) -> None:
    links: list[Link] = []
    async with (
        backends(spoken(resetting(REFUSED), links)) as [backend],
        running(rule("b"), held=True, log=True) as rig,
    ):
        towards(rig, backend.port)
        assert await answered(rig, request_) == 503
        assert [line["reason"] for line in rig.lines()] == ["upstream_refused"]
        assert backend.connections == 1
        assert len(links[0].channels) == 3
        assert rig.counters.fixed()["retries_refused"] == 2
        await quiet()
        assert rig.engine.statistics().upstream_idle == 1


async def test_a_request_that_was_refused_once_is_served() -> None:
    count = 0

    async def script(channel: Channel) -> None:
        nonlocal count
        count += 1
        await channel.request()
        await (channel.reset(REFUSED) if count == 1 else channel.send(OK))

    async with backends(spoken(script)) as [backend], running(rule("b")) as rig:
        towards(rig, backend.port)
        async with client(rig.port) as session:
            ask = await session.ask("POST", body=b"ab")
            assert (await ask.response())[0] == 200


async def test_a_backend_that_leaves_says_which_requests_it_processes() -> None:
    """The others are tried again on a new connection. Those that it processes are not, also if the connection ends."""
    taking = Taking()
    async with backends(spoken(taking, taking.links)) as [backend], running(rule("b"), held=True) as rig:
        towards(rig, backend.port)
        clients = []
        for number in range(1, 5):
            clients.append(await asked(rig, POST))
            await soon(lambda number=number: len(taking.taken) == number)  # type: ignore[misc]
        await taking.links[0].leave(3)
        await soon(lambda: len(taking.taken) == 6)
        assert sorted(stream for connection, stream, _ in taking.taken if connection == 1) == [1, 3]
        await taking.links[0].peer.close()
        for one in clients[:2]:
            assert (await one.response())[0] == 502
        taking.open.set()
        for one in clients[2:]:
            assert (await one.response())[0] == 200
        assert backend.connections == 2


async def test_a_backend_that_leaves_may_finish() -> None:
    taking = Taking()
    async with backends(spoken(taking, taking.links)) as [backend], running(rule("b")) as rig:
        towards(rig, backend.port)
        before = await asked(rig)
        await soon(lambda: len(taking.taken) == 1)
        await taking.links[0].leave(2**31 - 1)
        await soon(lambda: rig.counters.fixed()["streams_upstream"] == 1)
        await quiet()
        after = await asked(rig)
        await soon(lambda: len(taking.taken) == 2)
        assert backend.connections == 2
        taking.open.set()
        assert [(await peer.response())[0] for peer in (before, after)] == [200, 200]
        await soon(lambda: backend.open == 1)


async def test_a_request_is_tried_three_times_at_most() -> None:
    async def script(channel: Channel) -> None:
        await channel.request()
        await channel.link.leave(0)

    async with backends(spoken(script)) as [backend], running(rule("b"), held=True, log=True) as rig:
        towards(rig, backend.port)
        assert await answered(rig, POST) == 503
        assert [line["reason"] for line in rig.lines()] == ["upstream_refused"]
        assert backend.connections == 3
        await soon(lambda: backend.open == 0)


@EITHER
async def test_another_reset_is_not_tried_again(request_: bytes) -> None:
    async with (
        backends(spoken(resetting(CANCEL)), spoken(resetting(CANCEL))) as both,
        running(rule("b"), held=True, log=True) as rig,
    ):
        towards(rig, *(one.port for one in both))
        assert await answered(rig, request_) == 502
        assert await answered(rig, request_) == 502
        assert [line["reason"] for line in rig.lines()] == ["upstream_closed"] * 2


async def test_the_part_of_the_body_that_was_sent_is_sent_again() -> None:
    taking = Taking()
    taking.open.set()

    async def script(channel: Channel) -> None:
        if backend.connections > 1:
            await taking(channel)
            return
        await channel.head()
        assert await channel.exactly(2) == b"he"
        await channel.link.leave(0)

    async with backends(spoken(script, taking.links)) as [backend], running(rule("b"), held=True) as rig:
        towards(rig, backend.port)
        peer = await asked(rig, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        await soon(lambda: backend.connections == 2)
        await peer.send(b"llo")
        assert (await peer.response())[0] == 200
        assert [body for _, _, body in taking.taken] == [b"hello"]


async def test_trailers_are_kept_for_the_next_try() -> None:
    tries: list[tuple[bytes, list[tuple[str, str]]]] = []

    async def script(channel: Channel) -> None:
        _, body = await channel.request()
        tries.append((body, list(channel.trailers)))
        if len(tries) == 1:
            await channel.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        elif len(tries) == 2:
            await channel.reset(REFUSED)
        else:
            await channel.send(OK)

    retry = snapshot.Retry(codes=(503,), attempts=1, backoff_ms=1)
    async with backends(spoken(script)) as [backend], running(rule("b", retry=retry)) as rig:
        towards(rig, backend.port)
        peer = await asked(rig, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await peer.send(b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 9\r\n\r\n")
        assert (await peer.response())[0] == 200
    assert tries == [(b"abcde", [("x-sum", "9")])] * 3


@pytest.mark.parametrize("before", ["a long body", "an interim answer"])
async def test_what_cannot_be_taken_back_is_not_tried_again(before: str) -> None:
    """Too much of the body was sent to keep it, or the backend has answered."""

    async def script(channel: Channel) -> None:
        await (channel.request() if before == "a long body" else channel.send(b"HTTP/1.1 103 Early Hints\r\n\r\n"))
        await channel.reset(REFUSED)

    async with backends(spoken(script), spoken(script)) as both, running(rule("b"), log=True) as rig:
        towards(rig, *(one.port for one in both))
        body = bytes(LONG if before == "a long body" else 2)
        peer = await asked(rig, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert (await peer.response())[0] == 502
        assert sum(one.connections for one in both) == 1
        assert [line["reason"] for line in rig.lines()] == ["upstream_closed"]


@EITHER
async def test_a_connection_that_dies(request_: bytes) -> None:
    """On a new connection, only requests that may be repeated are sent again."""

    async def script(channel: Channel) -> None:
        await channel.request()
        if backend.connections == 1 and channel.id == 3:
            await channel.link.peer.close()
            return
        await channel.send(OK)

    async with backends(spoken(script)) as [backend], running(rule("b"), log=True) as rig:
        towards(rig, backend.port)
        assert await answered(rig, GET) == 200
        assert await answered(rig, request_) == (200 if request_ is GET else 502)
        assert await answered(rig, request_) == 200
        assert backend.connections == 2


# --- silence


def deaf(script: Script) -> Script:
    """The connection reads nothing more after DEAF is set."""

    async def serve(peer: Peer) -> None:
        more = peer.more

        async def more_or_nothing() -> bool:
            if DEAF.is_set():
                await trio.sleep_forever()
            return await more()

        peer.more = more_or_nothing  # type: ignore[method-assign]
        await spoken(script)(peer)

    return serve


DEAF = trio.Event()


async def test_a_backend_that_is_silent_is_asked_whether_it_is_alive() -> None:
    taking = Taking()
    async with backends(spoken(taking, taking.links)) as [backend], running(rule("b"), held=True) as rig:
        towards(rig, backend.port)
        peer = await asked(rig, POST)
        await soon(lambda: bool(taking.taken))
        await rig.passes(59)
        assert taking.links[0].pings == 0
        await rig.passes(1.1)
        await soon(lambda: taking.links[0].pings == 1)
        for _ in range(10):
            await rig.passes(360)
        await soon(lambda: 1 < taking.links[0].pings <= 11)
        taking.open.set()
        assert (await peer.response())[0] == 200
        assert backend.connections == 1


async def test_a_backend_that_gives_no_sign_of_life_is_given_up() -> None:
    global DEAF
    DEAF = trio.Event()
    taking = Taking()

    async def script(peer: Peer) -> None:
        assert isinstance(peer, Channel)
        taking.links.append(peer.link)
        DEAF.set()
        await taking(peer)

    async with backends(deaf(script)) as [backend], running(rule("b"), held=True, log=True) as rig:
        towards(rig, backend.port)
        peer = await asked(rig, POST)
        await soon(lambda: bool(taking.taken))
        await rig.passes(60.1)
        await rig.passes(19)
        assert not rig.lines()
        await rig.passes(1.1)
        assert (await peer.response())[0] == 502
        assert [line["reason"] for line in rig.lines()] == ["upstream_closed"]
        await soon(lambda: rig.engine.statistics().upstream_active == 0)


async def test_an_idle_connection_is_closed() -> None:
    links: list[Link] = []

    async def script(channel: Channel) -> None:
        await channel.request()
        await channel.send(OK)

    limits = Limits(upstream_idle_timeout=5)
    async with backends(spoken(script, links)) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        towards(rig, backend.port)
        assert await answered(rig, POST) == 200
        await rig.passes(4.5)
        assert backend.open == 1
        await rig.passes(1)
        await soon(lambda: backend.open == 0)
        assert links[0].goaways == [(0, 0)]


async def test_a_backend_that_does_not_speak_in_time() -> None:
    """It accepts the connection, and sends no SETTINGS."""

    async def script(peer: Peer) -> None:
        await peer.rest()

    async with backends(script) as [backend], running(rule("b"), held=True, log=True) as rig:
        towards(rig, backend.port)
        peer = await asked(rig, POST)
        await soon(lambda: rig.counters.fixed()["streams_upstream"] == 1)
        await rig.passes(9.5)
        assert not rig.lines()
        await rig.passes(1)
        assert (await peer.response())[0] == 502


async def test_more_requests_with_bodies_than_a_new_connection_takes() -> None:
    """Those that its SETTINGS do not allow are tried again, each with its own fields and body."""
    served: list[tuple[bytes, bytes]] = []

    async def script(peer: Peer) -> None:
        head, body = await peer.request()
        served.append((head.split(b" ")[1], body))
        await peer.send(OK)

    async def limited(peer: Peer) -> None:
        await peer.send(b"\0\0\6\4\0\0\0\0\0" + b"\0\3\0\0\0\1")  # MAX_CONCURRENT_STREAMS is 1
        # Settings of the library without a limit: it would end the connection if streams came before SETTINGS.
        await spoken(script, settings={SettingCodes.INITIAL_WINDOW_SIZE: 65535})(peer)

    bodies = [b"%d" % number * 9 for number in range(5)]
    async with backends(limited) as [backend], running(rule("b"), held=True) as rig:
        towards(rig, backend.port)
        async with client(rig.port) as session:
            asks = [await session.ask("POST", f"/{body.decode()}", body=body) for body in bodies]
            assert [(await ask.response())[0] for ask in asks] == [200] * 5
    assert sorted(served) == [(b"/" + body, body) for body in bodies]
