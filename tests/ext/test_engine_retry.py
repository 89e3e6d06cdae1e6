"""Retries configured in a rule, on real sockets: what is retried, where, with which bytes; what the client gets."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
import trio
from rig import (
    GET,
    OK,
    PLAIN,
    Peer,
    Script,
    answering,
    backends,
    chunked,
    connect,
    free_port,
    quiet,
    rule,
    running,
    soon,
)

from fastroute.ext.reactor.counters import UPSTREAM_OTHER_SLOT
from fastroute.settings import Limits
from fastroute.snapshot import Retry

pytestmark = pytest.mark.usefixtures("transport")

BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
TWICE = Retry(attempts=2, codes=(500, 503), backoff_ms=20)


def failing(times: int, report: list[bytes], answer: bytes = BUSY) -> Script:
    """A script that answers the first requests on all its connections with `answer`, and the others with OK."""
    left = [times]

    async def script(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            report.append(head + body)
            left[0] -= 1
            await peer.send(answer if left[0] >= 0 else OK)

    return script


@pytest.mark.parametrize(
    ("failures", "status", "tries"), [(0, 200, 1), (1, 200, 2), (2, 200, 3), (3, 503, 3), (9, 503, 3)]
)
async def test_listed_codes_are_tried_again(failures: int, status: int, tries: int) -> None:
    """Backoff of 2 to 4 and 4 to 8 seconds; the connection is reused, because the response was complete."""
    report: list[bytes] = []
    retry = Retry(attempts=2, codes=(500, 503), backoff_ms=2000)
    served = rule("b", retry=retry)
    async with backends(failing(failures, report)) as [backend], running(served, log=True, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        await quiet()
        (got, _, body), took = await rig.timed(client.response, 0.2)
        assert (got, body) == (status, b"ok" if status == 200 else b"busy")
        assert (0, 2, 6)[tries - 1] <= took + 1e-6 < (1, 5, 15)[tries - 1]
        assert len(report) == tries
        assert len(set(report)) == 1
        assert backend.connections == 1
        assert rig.counters.fixed()["retries_status"] == tries - 1
        [line] = rig.lines()
        assert (line["status"], line["upstream"], line["tries"]) == (status, f"127.0.0.1:{backend.port}", tries)
        assert line["upstream_duration_us"] >= (0, 2_000_000, 6_000_000)[tries - 1]
        microseconds, *counts = rig.counters.histogram(UPSTREAM_OTHER_SLOT)
        assert sum(counts) == 1
        assert (0, 2_000_000, 6_000_000)[tries - 1] <= microseconds <= line["upstream_duration_us"]
        await client.send(GET)
        await rig.timed(client.response, 0.2)


@pytest.mark.parametrize("retry", [None, Retry(attempts=0, codes=(503,)), Retry(attempts=3, codes=(500, 502, 504))])
async def test_other_codes_pass(retry: Retry | None) -> None:
    report: list[bytes] = []
    async with backends(failing(1, report)) as [backend], running(rule("b", retry=retry)) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        assert (await client.response())[::2] == (503, b"busy")
        assert len(report) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Busy\r\n\r\nuntil the end",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nnot all",
        b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\nx",
    ],
)
async def test_what_is_left_of_a_refused_answer_reaches_nobody(answer: bytes) -> None:
    """The gateway closes the connection of the refused answer."""
    report: list[bytes] = []
    async with backends(failing(1, report, answer)) as [backend], running(rule("b", retry=TWICE)) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(GET)
            assert (await client.response())[::2] == (200, b"ok")
        assert backend.connections == 2
        await soon(lambda: backend.open == 1)
        assert len(report) == 3


async def test_each_try_goes_to_another_endpoint() -> None:
    seen: list[int] = []

    def numbered(number: int) -> Script:
        async def script(peer: Peer) -> None:
            while True:
                await peer.request()
                seen.append(number)
                await peer.send(BUSY)

        return script

    retry = Retry(attempts=5, codes=(503,), backoff_ms=1000)
    async with backends(*map(numbered, range(3))) as started, running(rule("b", retry=retry), held=True) as rig:
        rig.put("b", *(backend.port for backend in started))
        client = await connect(rig.port)
        for _ in range(8):
            seen.clear()
            await client.send(GET)
            (status, _, _), _ = await rig.timed(client.response, 1)
            assert status == 503
            assert sorted(seen[:3]) == [0, 1, 2]
            assert len(seen) == 6
            assert all(one != other for one, other in pairwise(seen))


BODIES: list[tuple[bytes, bytes]] = [
    (b"Content-Length: 5\r\n\r\nhello", b"hello"),
    (b"Content-Length: 65536\r\n\r\n" + b"x" * 65536, b"x" * 65536),
    (b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"one", b"two" * 9), b"one" + b"two" * 9),
]


@pytest.mark.parametrize(("sent", "body"), BODIES)
@pytest.mark.parametrize("pieces", [1, 7])
async def test_the_body_is_sent_again(sent: bytes, body: bytes, pieces: int) -> None:
    report: list[bytes] = []
    async with backends(failing(2, report)) as [backend], running(rule("b", retry=TWICE)) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        request = b"POST / HTTP/1.1\r\nHost: a\r\n" + sent
        step = -(-len(request) // pieces)
        for start in range(0, len(request), step):
            await client.send(request[start : start + step])
            await quiet(0.002)
        assert (await client.response())[0] == 200
        assert len(report) == 3
        assert len(set(report)) == 1
        assert report[0].endswith(b"\r\n\r\n" + body)


async def test_a_body_that_still_comes_goes_on_after_what_was_kept() -> None:
    """The backend refuses after the head; the rest of the body follows the buffered part in the next attempt."""
    report: list[bytes] = []
    tries = [0]

    async def early(peer: Peer) -> None:
        tries[0] += 1
        if tries[0] == 1:
            await peer.until(b"first,")
            await peer.send(BUSY)
            await peer.rest()
            return
        report.append((await peer.request())[1])
        await peer.send(OK)

    async with backends(early) as [backend], running(rule("b", retry=TWICE)) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nfirst,")
        await soon(lambda: tries == [2])
        await client.send(b"second")
        assert (await client.response())[0] == 200
        assert report == [b"first,second"]


async def test_a_pause_is_none_of_the_clients_time() -> None:
    """A client that waits for 100 (Continue) does not time out if the backoff was longer than its timeout."""
    tries = [0]

    async def second(peer: Peer) -> None:
        head = await peer.head()
        tries[0] += 1
        if tries[0] == 1:
            await peer.send(BUSY)
        else:
            assert b"100-continue" in head.lower()
            await rig.passes(0.5)
            await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert await peer.exactly(5) == b"hello"
            await peer.send(OK)
        await peer.rest()

    paused = rule("b", retry=Retry(attempts=1, codes=(503,), backoff_ms=4000))
    async with running(paused, limits=Limits(body_idle_timeout=1), held=True) as rig, backends(second) as [backend]:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        await soon(lambda: tries == [1])
        await rig.timed_until(lambda: tries == [2], 0.2)
        assert (await client.head()).startswith(b"HTTP/1.1 100 ")
        await client.send(b"hello")
        assert (await client.response())[0] == 200


async def test_a_body_over_the_bound_is_sent_once() -> None:
    report: list[bytes] = []
    size = 65537
    async with backends(failing(1, report)) as [backend], running(rule("b", retry=TWICE)) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        assert (await client.response())[::2] == (503, b"busy")
        assert len(report) == 1


POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"


def breaking(*ends: str) -> Script:
    """A script that ends its connections in the ways of `ends`, one after the other; further connections answer
    requests."""
    left: Iterator[str] = iter(ends)

    async def script(peer: Peer) -> None:
        end = next(left, "")
        if end == "at once":
            await peer.reset()
            return
        await peer.request()
        if end == "silence":
            await peer.rest()
        elif end == "in the head":
            await peer.send(OK[:20])
        elif end == "in the body":
            await peer.send(OK[:-1])
        elif end == "after an interim head":
            await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        elif not end:
            await peer.send(OK)
            await answering(peer)
        await quiet(0.002)  # the engine has received the data
        await peer.reset()

    return script


@pytest.mark.parametrize("request_", [GET, POST])
@pytest.mark.parametrize("end", ["silence", "in the head", "after an interim head", "closed"])
async def test_what_may_have_been_processed_is_repeated_if_that_does_no_harm(request_: bytes, end: str) -> None:
    retry = Retry(attempts=1, backoff_ms=10)
    served = rule("b", retry=retry, backend_timeout_ms=1000)
    async with backends(breaking(end)) as [backend], running(served, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(request_)
        (status, _, _), _ = await rig.timed(client.response, 0.05)
        assert status == (200 if request_ is GET else 504 if end == "silence" else 502)
        reason = "retries_timeout" if end == "silence" else "retries_closed"
        assert rig.counters.fixed()[reason] == (request_ is GET)


async def test_an_answer_that_has_begun_is_not_repeated() -> None:
    async with backends(breaking("in the body")) as [backend], running(rule("b", retry=TWICE)) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        with pytest.raises(EOFError):
            await client.response()
        assert backend.connections == 1


async def test_a_refused_connection_is_tried_again_whatever_the_method() -> None:
    """Two backoffs, and three rounds of all endpoints; then 503."""
    retry = Retry(attempts=2, backoff_ms=2000)
    async with running(rule("b", retry=retry), held=True) as rig:
        rig.put("b", free_port(), free_port())
        client = await connect(rig.port)
        await client.send(POST)
        (status, _, _), took = await rig.timed(client.response, 0.2)
        assert status == 503
        assert 6 <= took + 1e-6 < 15
        assert rig.local("connect_failed") == 1
        assert rig.counters.fixed()["retries_connect"] == 5


async def test_a_backend_that_comes_up_during_a_pause_is_found() -> None:
    retry = Retry(attempts=3, backoff_ms=1000)
    async with running(rule("b", retry=retry), held=True) as rig, backends(answering) as [backend]:
        rig.put("b", free_port())
        client = await connect(rig.port)
        await client.send(POST)
        await soon(lambda: rig.engine.statistics().exchanges == 1)
        await quiet()
        rig.put("b", backend.port)
        rig.engine.wake()
        (status, _, _), _ = await rig.timed(client.response, 0.1)
        assert status == 200


async def test_no_endpoint_is_no_reason_to_wait() -> None:
    async with running(rule("b", retry=Retry(attempts=9, codes=(503,), backoff_ms=1000))) as rig:
        client = await connect(rig.port)
        await client.send(GET)
        assert (await client.response())[0] == 503
        assert rig.local("no_endpoint") == 1


async def test_one_healthy_pod_of_two_is_enough() -> None:
    """HTTPRouteRetryConnectionError of the conformance suite."""
    async with backends(answering) as [backend], running(rule("b", retry=Retry(attempts=100))) as rig:
        rig.put("b", backend.port, free_port())
        for _ in range(10):
            client = await connect(rig.port)
            await client.send(GET)
            assert (await client.response())[0] == 200


@pytest.mark.parametrize("backoff", [300, 600_000])
async def test_the_request_timeout_is_above_all(backoff: int) -> None:
    """The request timeout ends an attempt as well as a backoff."""
    report: list[bytes] = []
    retry = Retry(attempts=1000, codes=(503,), backoff_ms=backoff)
    served = rule("b", retry=retry, request_timeout_ms=2500)
    async with backends(failing(9999, report)) as [backend], running(served, log=True, held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(GET)
            await quiet()
            (status, _, _), took = await rig.timed(client.response, 0.05)
            assert status == 504
            assert 2.5 <= took + 1e-6 < 3.5
        assert rig.lines()[0]["reason"] == "request_timeout"
        assert len(report) == 2 if backoff > 1000 else len(report) > 4


@pytest.mark.parametrize("gone", ["reset", "closed"])
async def test_a_client_that_leaves_ends_the_pause(gone: str) -> None:
    report: list[bytes] = []
    retry = Retry(attempts=3, codes=(503,), backoff_ms=60_000)
    async with backends(failing(9, report)) as [backend], running(rule("b", retry=retry), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        await soon(lambda: len(report) == 1)
        await quiet()
        assert rig.engine.statistics().exchanges == 1
        await (client.reset() if gone == "reset" else client.close())
        await soon(lambda: rig.engine.statistics().exchanges == 0)
        assert len(report) == 1
        [line] = rig.lines()
        assert (line["status"], line["reason"]) == (None, "client_closed")


@PLAIN
async def test_pauses_hold_nobody_up_and_end_with_the_engine() -> None:
    """500 requests wait at once: other requests are served meanwhile; closing the engine then frees all of them. Each
    backend gets few of them, because its retries are limited."""
    report: list[bytes] = []
    retry = Retry(attempts=1, codes=(503,), backoff_ms=60_000)
    names = [f"b{number}" for number in range(250)]
    paused, fine = rule(*names, retry=retry, path="/p"), rule("c", name="1")
    async with backends(failing(9999, report), answering) as [busy, good], running(paused, fine, held=True) as rig:
        for name in names:
            rig.put(name, busy.port)
        rig.put("c", good.port)
        clients = [await connect(rig.port) for _ in range(500)]
        for client in clients:
            await client.send(b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
        await soon(lambda: len(report) == 500)
        client = await connect(rig.port)
        await client.send(GET)
        assert (await client.response())[0] == 200
        await soon(lambda: rig.engine.statistics().exchanges == 500)
        assert rig.engine.statistics().exchanges == 500


async def test_a_backend_timeout_while_connecting_is_a_connection_not_made() -> None:
    """A full accept queue accepts no connection: a POST can be retried, because no backend has received it."""
    import socket

    with socket.socket() as stuck:
        stuck.bind(("127.0.0.1", 0))
        stuck.listen(0)
        fill = [socket.create_connection(stuck.getsockname()) for _ in range(1)]
        retry = Retry(attempts=1, backoff_ms=10)
        limits = Limits(connect_timeout=10)
        served = rule("b", retry=retry, backend_timeout_ms=1000)
        async with backends(answering) as [good], running(served, limits=limits, held=True) as rig:
            rig.put("b", stuck.getsockname()[1])
            client = await connect(rig.port)
            await client.send(POST)
            await soon(lambda: rig.engine.statistics().upstream_active == 1)
            rig.put("b", stuck.getsockname()[1], good.port)
            (status, _, _), _ = await rig.timed(client.response, 0.1)
            assert status == 200
            assert rig.counters.fixed()["retries_connect"] == 1
        for one in fill:
            one.close()


async def test_chaos() -> None:
    """Backends disconnect at every point; clients send requests with and without bodies: all responses are valid."""
    ends = ("at once", "silence", "in the head", "after an interim head", "closed")
    retry = Retry(attempts=4, codes=(503,), backoff_ms=300)
    names = [f"b{number}" for number in range(60)]
    served = rule(*names, retry=retry, backend_timeout_ms=600)
    statuses: dict[int, int] = {}

    async with (
        backends(breaking(*ends * 12), breaking(*ends[::-1] * 12), failing(60, [])) as started,
        running(served, held=True) as rig,
    ):
        for name in names:
            rig.put(name, *(backend.port for backend in started))

        async def visit(number: int) -> None:
            client = await connect(rig.port)
            for _ in range(6):
                await client.send(POST if number % 3 == 0 else GET)
                status, _, body = await client.response()
                assert body == b"ok" or status in (502, 503, 504)
                statuses[status] = statuses.get(status, 0) + 1

        async def visits() -> None:
            async with trio.open_nursery() as nursery:
                for number in range(30):
                    nursery.start_soon(visit, number)

        await rig.timed(visits, 0.05)
        assert sum(statuses.values()) == 180
        assert statuses[200] > 90
        assert rig.engine.statistics().exchanges == 0
