"""How namespaces share the mirrors of a worker: none of them can use all copies or all queued bytes."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from rig import Peer, Rig, answering, backends, connect, quiet, reporting, rule, running, soon
from securebackend import dns, issued, secured, showing, tls_to

from fastroute.snapshot import Mirror, Rule

pytestmark = pytest.mark.usefixtures("transport")

MOST = 512  # mirrors of a worker
BODY = 900_000


def mirroring(namespace: str, name: str, mirrors: int) -> Rule:
    """The requests to /NAMESPACE, each with that many copies to the backend NAMESPACE."""
    copies = [Mirror(backend=namespace)] * mirrors
    return rule("b", name=name, route=f"{namespace}/route", path=f"/{namespace}", filters=copies)


def request(namespace: str, size: int = 0) -> bytes:
    head = b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (namespace.encode(), size)
    return head + b"x" * size


async def send(client: Peer, namespace: str, times: int, size: int = 0) -> None:
    for _ in range(times):
        await client.send(request(namespace, size))
        assert (await client.response())[0] == 200
    await quiet()


def failures(rig: Rig) -> dict[str, int]:
    found = {name: count for name, count in rig.counters.fixed().items() if name.startswith("mirror_") and count}
    return {name.removeprefix("mirror_"): count for name, count in found.items()}


async def hanging(peer: Peer) -> None:
    """Reads, and never answers."""
    await peer.rest()


@contextmanager
def unreachable() -> Iterator[int]:
    """A port that answers no attempt to connect: its queue is full."""
    with socket.socket() as full, ExitStack() as queue:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        queue.enter_context(socket.create_connection(full.getsockname()))
        yield full.getsockname()[1]


def busy(rig: Rig, namespace: str) -> int:
    """The mirrors of a namespace that are in progress."""
    return sum(in_flight for _, in_flight, _ in rig.upstreams.statistics()[namespace])


async def test_a_namespace_without_copies_gets_its_share() -> None:
    """One namespace holds all copies of a worker, at a backend that never answers. Every copy of another one is sent;
    it ends the oldest copy of the first, which counts as mirrored because it was sent completely."""
    got: list[bytes] = []
    async with (
        backends(answering, hanging, reporting(got)) as [backend, hung, fine],
        running(mirroring("greedy", "0", 16), mirroring("modest", "1", 1)) as rig,
    ):
        for name, one in (("b", backend), ("greedy", hung), ("modest", fine)):
            rig.put(name, one.port)
        client = await connect(rig.port)
        await send(client, "greedy", MOST // 16)
        await soon(lambda: busy(rig, "greedy") == MOST)
        for number in range(20):
            await send(client, "modest", 1)
            await soon(lambda number=number: len(got) == 2 * (number + 1))  # type: ignore[misc]
        assert busy(rig, "greedy") == MOST - 1
        assert rig.counters.fixed()["mirrored"] == MOST + 20
        assert failures(rig) == {}


async def test_namespaces_that_want_more_have_equal_shares() -> None:
    """The shares settle: afterwards no copy ends another one."""
    names = ["first", "second", "third"]
    rules = [mirroring(name, str(number), 16) for number, name in enumerate(names)]
    async with backends(answering, hanging) as [backend, hung], running(*rules) as rig:
        rig.put("b", backend.port)
        for name in names:
            rig.put(name, hung.port)
        client = await connect(rig.port)
        for name in names:
            await send(client, name, MOST // 16)
        await soon(lambda: hung.open == MOST)
        connections = hung.connections
        for _ in range(3):
            for name in names:
                await send(client, name, 2)
        assert hung.connections == connections
        assert failures(rig)["overloaded"] >= 3 * 3 * 32


async def test_copies_that_were_not_sent_are_counted_if_they_are_displaced() -> None:
    served = [mirroring("greedy", "0", 16), mirroring("modest", "1", 4)]
    with unreachable() as nowhere:
        async with backends(answering, hanging) as [backend, fine], running(*served, held=True) as rig:
            rig.put("b", backend.port)
            rig.put("greedy", nowhere)
            rig.put("modest", fine.port)
            client = await connect(rig.port)
            await send(client, "greedy", MOST // 16)
            await send(client, "modest", 5)
            await soon(lambda: rig.counters.fixed()["mirrored"] == 20)
            assert failures(rig) == {"displaced": 20}
            await rig.timed_until(lambda: rig.engine.statistics().upstream_active == 20, 1)
            assert failures(rig) == {"displaced": 20, "not_connected": MOST - 20}
            assert rig.engine.statistics().mirrors_behind == 0


@pytest.mark.parametrize("transport", ["plain"], indirect=True)
async def test_queued_bytes_are_shared_too() -> None:
    """80 copies of one namespace fill the 64 MiB; the copies of another one take the place of as many bytes."""
    served = [mirroring("greedy", "0", 8), mirroring("modest", "1", 8)]
    with unreachable() as nowhere, unreachable() as elsewhere:
        async with backends(answering) as [backend], running(*served, held=True) as rig:
            rig.put("b", backend.port)
            rig.put("greedy", nowhere)
            rig.put("modest", elsewhere)
            client = await connect(rig.port)
            await send(client, "greedy", 10, BODY)
            slow = failures(rig)["slow"]
            await send(client, "modest", 2, BODY)
            assert busy(rig, "modest") == 16
            assert failures(rig) == {"slow": slow, "displaced": 16}
            assert rig.engine.statistics().mirrors_behind <= 64 << 20
            await send(client, "modest", 10, BODY)  # both want more than half
            assert failures(rig)["displaced"] <= 40
            assert failures(rig)["slow"] > slow + 40
            await rig.timed_until(lambda: rig.engine.statistics().upstream_active == 0, 1)
            assert rig.engine.statistics().mirrors_behind == 0


@pytest.mark.parametrize("transport", ["plain"], indirect=True)
async def test_the_mirror_with_the_most_bytes_ends() -> None:
    """Of a namespace with 78 copies of 900 KB and then some small ones. None of the large ones was sent."""
    served = [mirroring("greedy", "0", 13), mirroring("modest", "1", 1)]
    with unreachable() as nowhere:
        async with backends(answering, hanging) as [backend, hung], running(*served, held=True) as rig:
            rig.put("b", backend.port)
            rig.put("greedy", nowhere)
            rig.put("modest", hung.port)
            client = await connect(rig.port)
            await send(client, "greedy", 5, BODY)
            await send(client, "greedy", 2, 1000)
            before = rig.engine.statistics().mirrors_behind
            assert 5 * 13 * BODY < before < 64 << 20
            await send(client, "greedy", 1, (64 << 20) // 13 - 5 * BODY - 5000)
            before = rig.engine.statistics().mirrors_behind
            await send(client, "modest", 1, BODY)
            assert failures(rig) == {"displaced": 1}
            assert before - rig.engine.statistics().mirrors_behind >= BODY // 2


@pytest.mark.parametrize("transport", ["plain"], indirect=True)
async def test_a_search_does_not_visit_every_mirror_or_namespace() -> None:
    """63 namespaces hold 504 copies and nearly all of the 64 MiB. Eight copies of another one end copies of them."""
    names = [f"n{number}" for number in range(63)]
    served = [mirroring(name, str(number), 8) for number, name in enumerate([*names, "late"])]
    with unreachable() as nowhere:
        async with backends(answering) as [backend], running(*served, held=True) as rig:
            rig.put("b", backend.port)
            for name in [*names, "late"]:
                rig.put(name, nowhere)
            client = await connect(rig.port)
            for name in names:
                await send(client, name, 1, 132_000)
            assert busy(rig, names[0]) == 8 * len(names)  # they share an endpoint
            before = rig.engine.statistics().searched
            await send(client, "late", 1, 100_000)
            assert failures(rig)["displaced"] >= 3
            assert rig.engine.statistics().searched - before < 500


async def test_what_waited_for_a_handshake_is_queued_no_longer() -> None:
    script = secured(showing(issued(dns("a.example.com"))), hanging)
    async with backends(answering, script) as [backend, hung], running(mirroring("m", "0", 1)) as rig:
        rig.put("b", backend.port)
        rig.upstreams.speak("m", tls_to("a.example.com"))
        rig.put("m", hung.port)
        await send(await connect(rig.port), "m", 1, 1000)
        await soon(lambda: rig.counters.fixed()["mirrored"] == 1)
        assert busy(rig, "m") == 1
        assert rig.engine.statistics().mirrors_behind == 0
