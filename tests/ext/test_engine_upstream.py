"""Endpoints: selection, connection pools and retries."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from rig import GET, OK, PATIENCE, PLAIN, Peer, Rig, Script, answering, backends, connect, quiet, rule, running, soon

from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"


@contextmanager
def refusing() -> Iterator[int]:
    """A port that refuses connections: bound, but not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def silent() -> Iterator[int]:
    """A port that does not answer SYNs, because its accept queue is full."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def naming(name: bytes) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(name), name))

    return script


async def get(rig: Rig, request: bytes = GET) -> tuple[int, bytes]:
    """One request on a separate connection."""
    client = await connect(rig.port)
    await client.send(request)
    status, _, body = await client.response()
    await client.close()
    return status, body


async def test_connections_are_reused_last_in_first_out() -> None:
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        clients = [await connect(rig.port) for _ in range(8)]
        for _ in range(5):
            for client in clients:
                await client.send(GET)
            for client in clients:
                assert (await client.response())[2] == b"ok"
        assert backend.connections <= 8
        used = backend.connections
        for _ in range(10):
            assert await get(rig) == (200, b"ok")
        assert backend.connections == used
        assert rig.engine.statistics().upstream_idle == used


def numbering(cut: int, interim: bytes) -> Script:
    """Answers every request with its number on the connection; sends `cut` bytes of it first, the rest later."""

    async def script(peer: Peer) -> None:
        for number in range(9):
            await peer.request()
            answer = interim + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number
            await peer.send(answer[:cut])
            await quiet(0.002)
            await peer.send(answer[cut:])

    return script


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 3])
@pytest.mark.parametrize("cut", [1, 17, 36, 37, 38])
async def test_no_answer_comes_twice(cut: int, interim: bytes) -> None:
    """A response head that arrived in pieces leaves no state on the connection for the next request."""
    async with backends(numbering(cut, interim)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        assert [await get(rig) for _ in range(3)] == [(200, b"%d" % number) for number in range(3)]
        assert backend.connections == 1


@pytest.mark.parametrize("request_bytes", [GET, POST])
async def test_a_refused_connection_goes_to_another_endpoint(request_bytes: bytes) -> None:
    async with backends(naming(b"alive")) as [backend], running(rule("b")) as rig:
        with refusing() as one, refusing() as two:
            rig.put("b", one, two, backend.port)
            for _ in range(20):
                assert await get(rig, request_bytes) == (200, b"alive")
        assert rig.counters.fixed()["retries_connect"] >= 1


@PLAIN
async def test_a_silent_endpoint_costs_one_connect_timeout() -> None:
    limits = Limits(connect_timeout=1)
    async with backends(naming(b"alive")) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        with silent() as port:
            rig.put("b", port, backend.port)
            tried = 0.0
            for _ in range(10):
                answer, took = await rig.timed(lambda: get(rig, POST), 0.05)
                assert answer == (200, b"alive")
                tried += took >= 0.9
            assert tried <= 1


@pytest.mark.parametrize(("dead", "reason"), [(refusing, "connect_failed"), (silent, "connect_timeout")])
async def test_no_endpoint_accepts(dead: object, reason: str) -> None:
    """At most three attempts; then 503, and the client connection stays open."""
    async with running(rule("b"), limits=Limits(connect_timeout=1), log=True, held=True) as rig:
        with dead() as a, dead() as b, dead() as c, dead() as d:  # type: ignore[operator]
            rig.put("b", a, b, c, d)
            client = await connect(rig.port)
            for _ in range(2):
                await client.send(GET)
                (status, _, _), _ = await rig.timed(client.response, 0.1)
                assert status == 503
            assert rig.local(reason) == 2
            assert rig.counters.fixed()["retries_connect"] == 4
            assert rig.lines()[0]["reason"] == reason


async def test_a_failing_endpoint_is_avoided_and_comes_back() -> None:
    async with backends(naming(b"alive")) as [alive], running(rule("b"), held=True) as rig:
        dead = socket.socket()
        dead.bind(("127.0.0.1", 0))
        rig.put("b", alive.port, dead.getsockname()[1])
        for _ in range(100):
            assert await get(rig) == (200, b"alive")
        assert rig.counters.fixed()["retries_connect"] <= 3
        dead.listen()
        dead.setblocking(False)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(dead))
        async with trio.open_nursery() as nursery:

            async def handle(stream: trio.SocketStream) -> None:
                peer = Peer(stream)
                try:
                    await naming(b"back")(peer)
                except (EOFError, trio.BrokenResourceError):
                    await peer.close()

            nursery.start_soon(trio.serve_listeners, handle, [listener])
            with trio.fail_after(PATIENCE):
                while await get(rig) != (200, b"back"):
                    rig.advance(0.1)
            assert rig.clock < 60
            nursery.cancel_scope.cancel()


def dying_after(requests: int, how: str) -> Script:
    """A script that answers `requests` requests, then reads one more and closes or resets without a response."""

    async def script(peer: Peer) -> None:
        for _ in range(requests):
            await peer.request()
            await peer.send(OK)
        await peer.request()
        if how == "reset":
            await peer.reset()

    return script


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (GET, 200),
        (b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 200),
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 502),
        (b"PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", 502),
        (b"MAGIC / HTTP/1.1\r\nHost: a\r\n\r\n", 502),
        (POST, 502),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 502),
    ],
)
async def test_a_reused_connection_dies_before_a_byte(how: str, request_bytes: bytes, status: int) -> None:
    async with backends(dying_after(1, how)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        assert (await client.response())[0] == 200
        await client.send(request_bytes)
        assert (await client.response())[0] == status
        assert rig.counters.fixed()["retries_reused"] == (1 if status == 200 else 0)
        assert backend.connections == (2 if status == 200 else 1)


async def test_a_fresh_connection_is_not_tried_again() -> None:
    async with backends(dying_after(0, "close")) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        assert (await get(rig))[0] == 502
        assert backend.connections == 1


async def test_only_one_fresh_try() -> None:
    """The reused connection breaks, then the new one too: 502."""
    answered = 0

    async def once(peer: Peer) -> None:
        nonlocal answered
        await peer.request()
        if answered == 0:
            answered += 1
            await peer.send(OK)
            await peer.request()

    async with backends(once) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        assert (await get(rig))[0] == 200
        assert (await get(rig))[0] == 502
        assert backend.connections == 2


@pytest.mark.parametrize("byte", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_nothing_is_repeated_after_the_first_byte(byte: bytes) -> None:
    async def half(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(byte)

    async with backends(half) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET * 2)
        assert (await client.response())[0] == 200
        assert (await client.response())[0] == 502
        assert backend.connections == 1


@pytest.mark.parametrize("request_bytes", [GET, POST])
async def test_idle_connections_that_died_are_not_used(request_bytes: bytes) -> None:
    """The backend closes after every response without announcing it: the next request does not use the connection, not
    even a POST."""

    async def closing(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)

    async with backends(closing) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        for _ in range(10):
            assert await get(rig, request_bytes) == (200, b"ok")
            await soon(lambda: rig.engine.statistics().upstream_idle == 0)
        assert rig.engine.statistics().upstream_idle == 0
        assert backend.connections == 10


@pytest.mark.parametrize("extra", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"])
@pytest.mark.parametrize("late", [False, True])
async def test_bytes_nobody_asked_for_end_the_connection(extra: bytes, late: bool) -> None:
    """After a response, or on an idle connection: they are the response to no request."""

    async def talkative(peer: Peer) -> None:
        await peer.request()
        if late:
            await peer.send(OK)
            await quiet()
            await peer.send(extra)
        else:
            await peer.send(OK + extra)
        await peer.more()

    async with backends(talkative) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for i in range(3):
            await client.send(GET)
            assert (await client.response())[2] == b"ok"
            await soon(lambda: backend.open == 0)
            assert backend.connections == i + 1
        assert client.buffer == b""


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b""])
@PLAIN
async def test_what_an_idle_connection_says_is_heard_before_it_is_used(extra: bytes) -> None:
    """A request and the end (or an unsolicited response) of the idle connection that would be used arrive together."""
    go = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        if go.is_set():
            return await answering(peer)
        await go.wait()
        await peer.send(extra)
        return None

    rig = Rig()
    rig.listen()
    rig.install(rule("b"))
    async with backends(script) as [backend]:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for request in (GET, POST):
            await client.send(request)
            await quiet()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rig.turn_forever)
                assert (await client.response())[2] == b"ok"
                nursery.cancel_scope.cancel()
            await client.send(GET)
            go.set()
            await quiet()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rig.turn_forever)
                assert (await client.response())[2] == b"ok"
                nursery.cancel_scope.cancel()
        assert backend.connections == 2
        assert rig.counters.fixed()["retries_reused"] == 0
    rig.close()


async def test_idle_connections_grow_old() -> None:
    limits = Limits(upstream_idle_timeout=10)
    async with backends(answering) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        rig.put("b", backend.port)
        await get(rig)
        await rig.passes(9)
        assert backend.open == 1
        await rig.passes(1.1)
        await soon(lambda: backend.open == 0)
        await get(rig)
        assert backend.connections == 2


async def test_an_endpoint_that_leaves_keeps_only_what_is_in_flight() -> None:
    go = trio.Event()

    async def slowly(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            if b"/slow" in head:
                await go.wait()
            await peer.send(OK)

    async with backends(slowly, naming(b"new")) as [old, new], running(rule("b")) as rig:
        rig.put("b", old.port)
        slow = await connect(rig.port)
        await slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await soon(lambda: old.open == 1)
        await get(rig)
        assert old.open == 2
        rig.put("b", new.port)
        rig.engine.wake()
        await soon(lambda: old.open == 1)
        assert await get(rig) == (200, b"new")
        go.set()
        assert (await slow.response())[2] == b"ok"
        await soon(lambda: old.open == 0)


async def test_the_less_busy_endpoint_is_chosen() -> None:
    """One of two endpoints delays its responses: other requests go to the free one."""
    go = trio.Event()

    async def holding(peer: Peer) -> None:
        while True:
            await peer.request()
            await go.wait()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld")

    async with backends(holding, naming(b"free")) as [held, free], running(rule("b")) as rig:
        rig.put("b", held.port, free.port)
        clients = [await connect(rig.port) for _ in range(20)]
        for client in clients:
            await client.send(GET)
            await quiet(0.005)
        go.set()
        answers = [(await client.response())[2] for client in clients]
        assert answers.count(b"held") <= 2


async def test_weights_are_exact() -> None:
    from fastroute.snapshot import WeightedBackend

    one = rule(WeightedBackend(weight=70, backend="a"), WeightedBackend(weight=30, backend="b"))
    async with backends(naming(b"a"), naming(b"b")) as [a, b], running(one) as rig:
        rig.put("a", a.port)
        rig.put("b", b.port)
        client = await connect(rig.port)
        answers = []
        for _ in range(100):
            await client.send(GET)
            answers.append((await client.response())[2])
        for start in range(91):
            assert answers[start : start + 10].count(b"a") == 7


async def test_ipv6_endpoints() -> None:
    listeners = await trio.open_tcp_listeners(0, host="::1")
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery, running(rule("b"), log=True) as rig:

        async def handle(stream: trio.SocketStream) -> None:
            peer = Peer(stream)
            await peer.request()
            await peer.send(OK)

        nursery.start_soon(trio.serve_listeners, handle, listeners)
        rig.upstreams.update("b", [("::1", port)])
        assert await get(rig) == (200, b"ok")
        assert rig.lines()[0]["upstream"] == f"[::1]:{port}"
        nursery.cancel_scope.cancel()
