"""Pools of idle connections: one for each endpoint and pool key. Backends with equal keys share connections; those with
different keys never do, also while the keys change."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from rig import OK, PATIENCE, Backend, Peer, Rig, backends, connect, quiet, rule, running, soon
from securebackend import either, like

from fastroute import snapshot
from fastroute.ext.routing.balancer import Selector
from fastroute.ext.routing.tables import Upstreams
from fastroute.settings import Limits

UNUSABLE_MOST = FORGOTTEN = 16  # ext/exchange/upstream


def speaking(name: str) -> snapshot.Backend:
    return snapshot.Backend(tls=like(name))


PLAIN = snapshot.Backend()


@either
async def counting(peer: Peer) -> None:
    """Answers each request with its number on the connection and the local port of the gateway."""
    port = peer.stream.socket.getpeername()[1]
    number = 0
    while True:
        await peer.request()
        number += 1
        body = b"%d %d" % (port, number)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def ask(rig: Rig, path: str) -> tuple[int, int]:
    """The connection that was used, and how many requests it has had."""
    client = await connect(rig.port)
    await client.send(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
    status, _, body = await client.response()
    assert status == 200
    await client.close()
    port, number = map(int, body.split())
    return port, number


def rules(*names: str) -> list[snapshot.Rule]:
    return [rule(name, name=str(number), path=f"/{name}") for number, name in enumerate(names)]


@asynccontextmanager
async def sharing(*names: str) -> AsyncIterator[tuple[Rig, Backend]]:
    """Backends with these names that list one address."""
    async with backends(counting) as [backend], running(*rules(*names)) as rig:
        for name in names:
            rig.put(name, backend.port)
        yield rig, backend


async def test_backends_with_equal_keys_share_connections() -> None:
    async with sharing("a", "b", "c") as (rig, backend):
        rig.upstreams.speak("b", PLAIN)
        used = [await ask(rig, name) for name in "abcab"]
        assert [number for _, number in used] == [1, 2, 3, 4, 5]
        for name in "abc":
            rig.upstreams.speak(name, speaking("x"))  # equal, but each time another object
        rig.engine.wake()
        used = [await ask(rig, name) for name in "abcab"]
        assert [number for _, number in used] == [1, 2, 3, 4, 5]
        await soon(lambda: backend.open == 1)
        assert rig.upstreams.pool_keys == 2


async def test_backends_with_different_keys_never_share_a_connection() -> None:
    async with sharing("a", "b", "c") as (rig, backend):
        rig.upstreams.speak("b", speaking("x"))
        rig.upstreams.speak("c", speaking("y"))
        ports = {name: {(await ask(rig, name))[0] for _ in range(3)} for name in ("a", "b", "c", "a", "b", "c")}
        assert [len(one) for one in ports.values()] == [1, 1, 1]
        assert len(set.union(*ports.values())) == backend.connections == 3


async def test_an_unknown_protocol_changes_nothing() -> None:
    async with sharing("a") as (rig, _):
        await ask(rig, "a")
        with pytest.raises(ValueError, match="'h9' is no protocol"):
            rig.upstreams.speak("a", snapshot.Backend(protocol="h9"))
        assert (await ask(rig, "a"))[1] == 2


async def test_health_and_load_are_those_of_the_endpoint_whatever_the_key() -> None:
    upstreams = Upstreams()
    for name in ("a", "b"):
        upstreams.update(name, [("127.0.0.1", 1)])
    upstreams.speak("b", speaking("x"))
    a, b = Selector(upstreams, "a"), Selector(upstreams, "b")
    a.occupy("127.0.0.1:1", 2)
    a.fail("127.0.0.1:1", 0)
    upstreams.speak("a", speaking("y"))
    assert upstreams.statistics() == dict.fromkeys("ab", (("127.0.0.1:1", 2, 1),))
    assert b.choose(usable=True) is None


async def test_a_changed_key_closes_what_no_backend_may_use() -> None:
    """Also if a backend with other endpoints still has the old key."""
    async with sharing("a", "b") as (rig, backend):
        rig.put("elsewhere", 1)
        first, _ = await ask(rig, "a")
        rig.upstreams.speak("a", speaking("x"))
        assert (await ask(rig, "b")) == (first, 2)  # b has the old key
        second, number = await ask(rig, "a")
        assert (second != first, number) == (True, 1)
        rig.upstreams.speak("b", speaking("x"))
        rig.engine.wake()
        await soon(lambda: backend.open == 1)
        assert (await ask(rig, "b")) == (second, 2)


async def test_a_request_in_flight_keeps_its_connection_and_nothing_follows_on_it() -> None:
    go = trio.Event()
    heads: list[list[bytes]] = []

    async def slowly(peer: Peer) -> None:
        heads.append(mine := [])
        while True:
            mine.append((await peer.request())[0])
            if b"/a/slow" in mine[-1]:
                await go.wait()
            await peer.send(OK)

    async with backends(either(slowly)) as [backend], running(*rules("a")) as rig:
        rig.put("a", backend.port)
        slow, next_one = await connect(rig.port), await connect(rig.port)
        await slow.send(b"GET /a/slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await soon(lambda: backend.open == 1 and bool(heads[0]))
        rig.upstreams.speak("a", speaking("x"))
        go.set()
        assert (await slow.response())[0] == 200
        await soon(lambda: backend.open == 0)
        await next_one.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await next_one.response())[0] == 200
        assert [len(one) for one in heads] == [1, 1]


@asynccontextmanager
async def requesting(
    scripted: snapshot.Rule, other: Backend | None = None
) -> AsyncIterator[tuple[Rig, Backend, Callable[[], Awaitable[int]]]]:
    """A rig that has requested a connection to the backend "a" (and one to `other`, the backend "b"), but does not know
    yet that it is established; the backend; and a function that continues until the response and returns its status.

    The clock advances with each look at it, so that each turn of the engine handles only one event."""
    rig = Rig()
    rig.listen()
    rig.install(scripted)
    rig.engine.hold_clock(0.002)
    if other is not None:
        rig.put("b", other.port)

    async def go_on() -> int:
        rig.engine.wake()
        async with paused(rig):
            status, _, _ = await client.response()
            await quiet()
        return status

    async with backends(counting) as [backend]:
        rig.put("a", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        while rig.engine.statistics().upstream_active < (1 if other is None else 2):
            rig.engine.turn()
            await trio.lowlevel.checkpoint()
        yield rig, backend, go_on
    rig.close()


@pytest.mark.parametrize("still", [True, False], ids=["same address", "another address"])
async def test_nothing_is_sent_on_a_connection_that_was_requested_with_the_old_key(still: bool) -> None:
    async with backends(counting) as [other], requesting(rule("a")) as (rig, backend, go_on):
        rig.upstreams.speak("a", speaking("x"))
        if not still:
            rig.put("a", other.port)
        assert await go_on() == 200
        assert (backend.connections, other.connections) == ((2, 0) if still else (1, 1))
        assert (backend.open, other.open) == ((1, 0) if still else (0, 1))


async def test_a_connection_that_was_requested_with_the_same_key_is_used() -> None:
    async with requesting(rule("a")) as (rig, backend, go_on):
        rig.upstreams.speak("a", speaking("x"))
        rig.upstreams.speak("a", PLAIN)
        assert await go_on() == 200
        assert backend.connections == 1


async def test_a_mirror_sends_nothing_on_a_connection_with_the_old_key() -> None:
    mirrored = rule("b", filters=[snapshot.Mirror(backend="a")])
    async with backends(counting) as [other], requesting(mirrored, other) as (rig, backend, go_on):
        rig.upstreams.speak("a", speaking("x"))
        assert await go_on() == 200
        assert (backend.connections, backend.open) == (1, 0)
        assert rig.counters.fixed()["mirror_not_connected"] == 1


# --- edits under load


async def heard_epochs(peer: Peer, heard: list[list[int]]) -> None:
    """Records the X-Epoch of every request on the connection."""
    heard.append(mine := [])
    while True:
        head, _ = await peer.request()
        mine.append(int(head.lower().split(b"x-epoch: ")[1].split(b"\r\n")[0]))
        await peer.send(OK)


def stamped(name: str, number: int, epoch: int) -> snapshot.Rule:
    """The rule adds the epoch, so it is that of the tables with which the request was decided."""
    stamp = snapshot.HeaderValue("X-Epoch", str(epoch))
    modifier = snapshot.HeaderModifier(direction="request", set=(stamp,))
    return rule(name, name=str(number), path=f"/{name}", filters=[modifier])


async def loading(rig: Rig, path: bytes, answered: list[int], over: Callable[[], bool]) -> None:
    client = await connect(rig.port)
    methods = [b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"]
    while not over():
        await client.send(random.choice(methods) % path)
        answered.append((await client.response())[0])


@pytest.mark.parametrize("keys", [None, 2], ids=["new keys", "two keys in turn"])
async def test_edits_under_load_send_nothing_over_a_connection_of_another_key(keys: int | None) -> None:
    """Two backends with one address. At each edit one of them gets another key, and the rules another epoch, between
    two turns. A connection is requested for one request, with which it may be too late; the others were decided while
    it was in a pool, so all of them have its key."""
    heard: list[list[int]] = []
    answered: list[int] = []
    key_of: dict[int, str] = {}  # by epoch
    latest = {"a": 0, "b": 1}
    edits = 60

    def edit(rig: Rig, name: str, epoch: int) -> None:
        key_of[epoch] = f"{epoch if keys is None else (epoch // 2 + epoch) % keys}"
        latest[name] = epoch
        rig.upstreams.speak(name, speaking(key_of[epoch]))
        rig.install(*(stamped(one, number, latest[one]) for number, one in enumerate("ab")))
        rig.engine.wake()

    patient = Limits(connect_timeout=PATIENCE)  # the handshakes of this process may be slow under load
    async with backends(either(lambda peer: heard_epochs(peer, heard))) as [backend], running(limits=patient) as rig:
        for number, name in enumerate("ab"):
            rig.put(name, backend.port)
            edit(rig, name, number)
        async with trio.open_nursery() as nursery:
            for path in (b"a", b"b") * 4:
                nursery.start_soon(loading, rig, path, answered, lambda: len(key_of) == edits)
            for epoch in range(2, edits):
                seen = len(answered)
                await soon(lambda seen=seen: len(answered) > seen + 20)  # type: ignore[misc]
                edit(rig, "ab"[epoch % 2], epoch)
        assert set(answered) == {200}
        for epochs in heard:
            assert len({key_of[epoch] for epoch in epochs[1:]}) <= 1, epochs
            if keys is None and len(epochs) > 1:
                assert epochs[0] <= epochs[1]
        assert sum(map(len, heard)) == len(answered)
        await quiet()
        assert backend.open == rig.engine.statistics().upstream_idle
        rig.put("a")
        rig.put("b")
        rig.engine.wake()
        await soon(lambda: backend.open == 0)


async def test_any_sequence_of_edits_leaves_the_connections_that_a_plain_model_leaves() -> None:
    """One request at a time, so each pool has one idle connection at most."""
    drawn = random.Random(7)
    names, kinds = "abcd", [PLAIN, *(speaking(str(number)) for number in range(3))]
    async with backends(counting, counting) as ports, running(*rules(*names)) as rig:
        leads_to: dict[int, int] = {}  # by connection: the port of the backend
        for one in ports:
            one.script = noting(one, leads_to)
        listed: dict[str, set[int]] = {name: set() for name in names}
        kind = dict.fromkeys(names, 0)
        idle: dict[tuple[int, int], int] = {}  # by endpoint and key: the connection
        for _ in range(400):
            name = drawn.choice(names)
            action = drawn.choice(["put", "speak", "ask", "ask"])
            if action == "put":
                listed[name] = {one.port for one in ports if drawn.random() < 0.6}
                rig.put(name, *listed[name])
            elif action == "speak":
                kind[name] = drawn.randrange(len(kinds))
                rig.upstreams.speak(name, kinds[kind[name]])
            elif listed[name]:
                connection, number = await ask(rig, name)
                pool = leads_to[connection], kind[name]
                assert (idle.get(pool) == connection) == (number > 1)
                assert (pool in idle) == (number > 1)
                idle[pool] = connection
            rig.engine.wake()
            usable = {(port, kind[name]) for name in names for port in listed[name]}
            idle = {pool: connection for pool, connection in idle.items() if pool in usable}
            await soon(lambda: sum(one.open for one in ports) == len(idle))  # noqa: B023  (waited for at once)
            assert rig.engine.statistics().upstream_idle == len(idle)
        for _ in rig.upstreams.tidying():
            pass
        assert rig.upstreams.pool_keys == 1 + len({kind[name] for name in names} - {0})


def noting(backend: Backend, leads_to: dict[int, int]) -> Callable[[Peer], Awaitable[None]]:
    """`counting`, and records to which backend a connection leads."""

    async def script(peer: Peer) -> None:
        leads_to[peer.stream.socket.getpeername()[1]] = backend.port
        await counting(peer)

    return script


# --- limits of work


async def idle_connections(rig: Rig, count: int, path: bytes = b"a") -> None:
    """Opens so many idle connections, with the turns of `rig.turn_forever`."""
    clients = [await connect(rig.port) for _ in range(count)]
    for client in clients:
        await client.send(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
    for client in clients:
        assert (await client.response())[0] == 200
        await client.close()


class Gate:
    """Answers once `count` requests have arrived, so that each has its own connection."""

    def __init__(self, count: int) -> None:
        self.count, self.arrived, self.go = count, 0, trio.Event()
        self.peers: list[Peer] = []

    async def __call__(self, peer: Peer) -> None:
        self.peers.append(peer)
        while True:
            await peer.request()
            self.arrived += 1
            if self.arrived >= self.count:
                self.go.set()
            await self.go.wait()
            await peer.send(OK)


@asynccontextmanager
async def paused(rig: Rig) -> AsyncIterator[trio.CancelScope]:
    """Runs the engine until the scope is cancelled."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.turn_forever)
        yield nursery.cancel_scope
        nursery.cancel_scope.cancel()


async def test_a_turn_closes_only_a_few_connections_that_nobody_may_use() -> None:
    rig = Rig()
    rig.listen()
    rig.install(*rules("a"))
    async with backends(Gate(50)) as [backend]:
        rig.put("a", backend.port)
        async with paused(rig):
            await idle_connections(rig, 50)
            await quiet()
        assert rig.engine.statistics().upstream_idle == 50
        rig.upstreams.speak("a", speaking("x"))
        rig.engine.wake()
        left = 50
        while left:
            more = rig.engine.turn()
            assert left - FORGOTTEN <= rig.engine.statistics().upstream_idle < left
            left = rig.engine.statistics().upstream_idle
            assert more or left == 0
    rig.close()


async def test_a_request_closes_only_a_few_connections_that_have_ended() -> None:
    """Then it gets a new one. The connections end between two events of one batch: the engine learns of their end only
    when the request looks at them."""
    rig = Rig()
    rig.listen()
    rig.install(*rules("a"))
    gate = Gate(40)
    async with backends(gate) as [backend]:
        rig.put("a", backend.port)
        async with paused(rig):
            await idle_connections(rig, 40)
            first, second = await connect(rig.port), await connect(rig.port)
            await quiet()
        assert rig.engine.statistics().upstream_idle == 40
        rig.engine.hold_clock(0.003)  # each look at the clock uses up a turn: a turn handles one event
        await first.send(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n")
        await second.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        while rig.local("no_rule") == 0:
            rig.engine.turn()
        for peer in gate.peers:
            await peer.close()
        assert rig.engine.statistics().upstream_idle == 40
        while rig.engine.statistics().upstream_active == 0:
            rig.engine.turn()
        assert rig.engine.statistics().upstream_idle == 40 - UNUSABLE_MOST
        async with paused(rig):
            assert (await second.response())[0] == 200
            await soon(lambda: rig.engine.statistics().upstream_idle == 1)
        assert backend.connections == 41
    rig.close()
