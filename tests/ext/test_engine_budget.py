"""The retry budget of a backend, on real sockets: what requests that fail cost the backend."""

import socket

import pytest
from rig import GET, OK, PATIENCE, PLAIN, Peer, Rig, Script, backends, connect, free_port, quiet, rule, running

from fastroute.ext.routing.budget import BUDGET_FLOOR, BUDGET_WINDOW
from fastroute.graph.httproute import MOST_ATTEMPTS
from fastroute.snapshot import Mirror, Retry

pytestmark = [pytest.mark.usefixtures("transport"), PLAIN]

BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
FLOOR = BUDGET_FLOOR * BUDGET_WINDOW  # retries in 10 s that are always possible
MOST = Retry(attempts=MOST_ATTEMPTS, codes=(503,), backoff_ms=1)


def always(report: list[bytes], answer: bytes = BUSY) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            report.append((await peer.request())[0])
            await peer.send(answer)

    return script


async def ask(rig: Rig, times: int) -> list[int]:
    """The statuses of that many requests on one connection, while the held clock advances with each of them."""
    client = await connect(rig.port)
    statuses = []
    for _ in range(times):
        await client.send(GET)
        (status, _, _), _ = await rig.timed(client.response, 0.005)
        statuses.append(status)
    return statuses


async def test_200_requests_that_fail_become_a_bounded_number() -> None:
    """20 % more, and 30 for each further window; without a budget there would be 20,200."""
    report: list[bytes] = []
    async with backends(always(report)) as [backend], running(rule("b", retry=MOST), held=True) as rig:
        rig.put("b", backend.port)
        assert set(await ask(rig, 200)) == {503}
        assert 200 + FLOOR <= len(report) <= 240 + FLOOR * (rig.clock // BUDGET_WINDOW)
        assert rig.counters.fixed()["retries_status"] == len(report) - 200
        assert rig.counters.fixed()["retries_unfunded"] >= 150


async def test_one_request_does_not_repeat_its_tries_without_end() -> None:
    """Also without a backoff it ends when the budget is empty, and there is a pause before each try."""
    report: list[bytes] = []
    hasty = Retry(attempts=MOST_ATTEMPTS, codes=(503,), backoff_ms=0)
    async with backends(always(report)) as [backend], running(rule("b", retry=hasty), held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        _, took = await rig.timed(client.response, 0.001)
        assert len(report) == 1 + FLOOR
        assert took >= FLOOR * 0.001 - 1e-6


@pytest.mark.parametrize("backoff", [400, 100])
async def test_tries_that_are_slower_than_the_budget_all_happen(backoff: int) -> None:
    """The budget limits a rate: pauses of 0.4 s and more, or that grow to as much, are fewer than 3 a second."""
    report: list[bytes] = []
    patient = Retry(attempts=MOST_ATTEMPTS, codes=(503,), backoff_ms=backoff)
    async with backends(always(report)) as [backend], running(rule("b", retry=patient), held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        (status, _, _), took = await rig.timed(client.response, 0.1)
        assert (status, len(report)) == (503, 1 + MOST_ATTEMPTS)
        assert took > MOST_ATTEMPTS / BUDGET_FLOOR
        assert rig.counters.fixed()["retries_unfunded"] == 0


async def test_a_refused_connection_is_replaced_without_budget() -> None:
    """A connection that was refused has not processed anything: the request is sent to the other endpoint."""
    async with (
        backends(always([]), always([], OK)) as [failing, good],
        running(rule("b", retry=MOST), held=True) as rig,
    ):
        rig.put("b", failing.port)
        await ask(rig, 20)
        denied = rig.counters.fixed()["retries_unfunded"]
        assert denied > 0
        rig.put("b", good.port, free_port())
        assert await ask(rig, 40) == [200] * 40  # each of them chooses one of the two endpoints at random
        assert rig.counters.fixed()["retries_connect"] > 0
        assert rig.counters.fixed()["retries_unfunded"] == denied


async def test_an_empty_budget_passes_the_answer_on_at_once() -> None:
    """The client gets the answer of the backend at once, and the connection is used again. Later there are retries
    again."""
    report: list[bytes] = []
    slow = Retry(attempts=1, codes=(503,), backoff_ms=400)
    async with backends(always(report)) as [backend], running(rule("b", retry=slow), log=True, held=True) as rig:
        rig.put("b", backend.port)
        clients = [await connect(rig.port) for _ in range(FLOOR + 1)]
        for client in clients:
            await client.send(GET)
            await quiet()
        assert (await clients[-1].response())[::2] == (503, b"busy")
        assert rig.counters.fixed()["retries_unfunded"] == 1
        for client in clients[:-1]:
            (status, _, _), _ = await rig.timed(client.response)
            assert status == 503
        await rig.passes(BUDGET_WINDOW)
        await clients[0].send(GET)
        _, took = await rig.timed(clients[0].response)
        assert took >= 0.39
        assert [line["reason"] for line in rig.lines()] == [None] * (FLOOR + 2)


async def test_each_backend_has_its_own_budget() -> None:
    report: list[bytes] = []
    async with backends(always(report)) as [backend], running(held=True) as rig:
        rig.install(rule("b", path="/b", retry=MOST), rule("c", name="1", path="/c", retry=MOST))
        for name in "bc":
            rig.put(name, backend.port)
        client = await connect(rig.port)
        for path in (b"/b", b"/c"):
            report.clear()
            for _ in range(10):
                await client.send(GET.replace(b"/", path, 1))
                await rig.timed(client.response, 0.001)
            assert len(report) == 10 + FLOOR


@pytest.mark.parametrize("ports", [1, 3])
async def test_connections_of_a_retry_are_in_the_budget(ports: int) -> None:
    """Without an endpoint that listens: up to three connections for each request, and those of the budget."""
    async with running(rule("b", retry=MOST), held=True) as rig:
        rig.put("b", *(free_port() for _ in range(ports)))
        assert set(await ask(rig, 50)) == {503}
        fixed = rig.counters.fixed()
        free = 50 * (ports - 1)
        assert fixed["retries_connect"] <= free + FLOOR * (1 + rig.clock // BUDGET_WINDOW)
        assert fixed["retries_unfunded"] > 0


async def test_a_request_without_budget_is_counted_once() -> None:
    async with running(rule("b", retry=Retry(attempts=10, codes=(503,), backoff_ms=1)), held=True) as rig:
        rig.put("b", free_port())
        await ask(rig, 1)
        assert rig.counters.fixed()["retries_unfunded"] == 0
        rig.put("b", *(free_port() for _ in range(3)))  # the budget ends within a round of three connections
        await ask(rig, 1)
        assert rig.counters.fixed()["retries_unfunded"] == 1


def stale(report: list[bytes]) -> Script:
    """A script that answers the first request of each connection with 503, and resets it at the second one."""

    async def script(peer: Peer) -> None:
        report.append((await peer.request())[0])
        await peer.send(BUSY)
        report.append((await peer.request())[0])
        await peer.reset()

    return script


async def test_resets_of_kept_connections_multiply_no_retries() -> None:
    report: list[bytes] = []
    async with backends(stale(report)) as [backend], running(rule("b", retry=MOST), held=True) as rig:
        rig.put("b", backend.port)
        assert set(await ask(rig, 100)) <= {502, 503}
        assert len(report) <= 200 + FLOOR * (1 + rig.clock // BUDGET_WINDOW)


async def test_a_mirror_is_not_sent_again() -> None:
    report: list[bytes] = []
    mirrored: list[bytes] = []
    served = rule("b", retry=MOST, filters=[Mirror(backend="m")])
    async with backends(always(report), always(mirrored, OK)) as [backend, copy], running(served, held=True) as rig:
        rig.put("b", backend.port)
        rig.put("m", copy.port)
        await ask(rig, 1)
        await quiet()
        assert len(report) > 1
        assert len(mirrored) == 1


async def test_a_retry_that_is_denied_is_not_the_test_of_an_endpoint() -> None:
    """An endpoint that has failed is tested by one request each second. A retry for which the budget is empty chooses
    it, but does not connect to it: the next request tests it."""
    once = Retry(attempts=1, codes=(503,), backoff_ms=1)
    later = Retry(attempts=1, codes=(503,), backoff_ms=1000)
    report: list[bytes] = []
    rules = [
        rule("b", retry=once),
        rule("b", name="1", path="/later", retry=later),
        rule("sick", name="2", path="/sick"),
        rule("busy", name="3", path="/busy"),
        rule("pair", name="4", path="/pair"),
    ]
    async with backends(always(report), hanging) as [busy, hung], running(*rules, held=True) as rig:
        rig.put("b", busy.port)
        rig.put("busy", hung.port)
        with socket.create_server(("127.0.0.1", 0)) as sick:
            port = sick.getsockname()[1]
            rig.put("sick", port)
            waiting = [await connect(rig.port) for _ in range(3)]
            for one, path in zip(waiting, (b"/sick", b"/busy", b"/busy"), strict=True):
                await one.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
                await quiet()
            kept, _ = sick.accept()
        with kept:
            client = await connect(rig.port)
            await client.send(b"GET /sick HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.response())[0] == 503
            await rig.passes(2)
            assert set(await ask(rig, FLOOR - 1)) == {503}
            await client.send(b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
            await quiet()
            rig.put("b", free_port(), port)  # the first one is less busy, and refuses
            (status, _, _), _ = await rig.timed(client.response, 0.1)
            assert status == 503
            assert rig.counters.fixed()["retries_unfunded"] == 1
            rig.put("pair", port, hung.port)
            with socket.create_server(("127.0.0.1", port)) as healthy:
                healthy.settimeout(PATIENCE)
                await client.send(b"GET /pair HTTP/1.1\r\nHost: a\r\n\r\n")
                await quiet()
                assert hung.open == 2
                healthy.accept()[0].close()


async def hanging(peer: Peer) -> None:
    await peer.rest()
