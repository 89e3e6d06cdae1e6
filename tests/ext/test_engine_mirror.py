"""Mirrors on real sockets: the requests they get, their share, and that they never affect the original request."""

import socket
from collections import Counter
from contextlib import ExitStack

import pytest
import trio
from rig import (
    GET,
    OK,
    PLAIN,
    Backend,
    Peer,
    Rig,
    Script,
    answering,
    backends,
    chunked,
    connect,
    quiet,
    reporting,
    rule,
    running,
    soon,
)

from fastroute.snapshot import HeaderModifier, HeaderValue, Mirror, Redirect, Rewrite, WeightedBackend

pytestmark = pytest.mark.usefixtures("transport")

COPY = Mirror(backend="m")


def failures(rig: Rig) -> dict[str, int]:
    """The number of failed mirrored requests by reason."""
    found = {name: count for name, count in rig.counters.fixed().items() if name.startswith("mirror_") and count}
    return {name.removeprefix("mirror_"): count for name, count in found.items()}


def mirrored(rig: Rig) -> int:
    return rig.counters.fixed()["mirrored"]


BODIES = [
    b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000,
    b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"one", b"two" * 999),
]


@pytest.mark.parametrize("request_", BODIES)
@pytest.mark.parametrize("pieces", [1, 9])
async def test_a_mirror_gets_what_the_backend_gets(request_: bytes, pieces: int) -> None:
    """Including X-Request-ID. Connections are reused."""
    got: list[bytes] = []
    copies: list[bytes] = []
    others: list[bytes] = []
    filters = [COPY, Mirror(backend="n")]
    async with (
        backends(reporting(got), reporting(copies), reporting(others)) as [backend, mirror, other],
        running(rule("b", filters=filters)) as rig,
    ):
        for name, one in (("b", backend), ("m", mirror), ("n", other)):
            rig.put(name, one.port)
        client = await connect(rig.port)
        for number in range(3):
            step = -(-len(request_) // pieces)
            for start in range(0, len(request_), step):
                await client.send(request_[start : start + step])
                await quiet(0.001)
            assert (await client.response())[::2] == (200, b"ok")
            await soon(lambda number=number: mirrored(rig) == 2 * (number + 1))  # type: ignore[misc]
            await quiet()
        assert got == copies == others
        assert (mirror.connections, other.connections) == (1, 1)
        assert failures(rig) == {}


async def test_filters_before_a_mirror_are_in_its_copy_and_those_after_it_are_not() -> None:
    def add(value: str) -> HeaderModifier:
        return HeaderModifier(direction="request", add=(HeaderValue("X-Seen", value),))

    first, second, third = [], [], []  # type: ignore[var-annotated]
    target = WeightedBackend(weight=1, backend="b", filters=(add("3"), Mirror(backend="n"), add("4")))
    served = rule(target, filters=[add("1"), COPY, Rewrite(hostname="inside", full_path="/new"), add("2")])
    async with (
        backends(reporting(first), reporting(second), reporting(third)) as [backend, mirror, other],
        running(served) as rig,
    ):
        for name, one in (("b", backend), ("m", mirror), ("n", other)):
            rig.put(name, one.port)
        client = await connect(rig.port)
        await client.send(GET)
        await client.response()
        await soon(lambda: bool(second and third))

    def seen(report: list[bytes]) -> tuple[bytes, bytes, bytes]:
        lines = report[0].split(b"\r\n")
        fields = dict(line.split(b": ", 1) for line in lines[1:] if line)
        return lines[0], fields[b"Host"], fields[b"X-Seen"]

    assert seen(second) == (b"GET / HTTP/1.1", b"a", b"1")
    assert seen(third) == (b"GET /new HTTP/1.1", b"inside", b"1,2,3")
    assert seen(first) == (b"GET /new HTTP/1.1", b"inside", b"1,2,3,4")


@PLAIN
@pytest.mark.parametrize(("numerator", "denominator"), [(1, 5), (1, 2), (999, 1000)])
async def test_a_share_of_the_requests(numerator: int, denominator: int) -> None:
    """Within 4 sigma of a binomial distribution: fails by chance once in 15,000 runs."""
    copies = Mirror(backend="m", numerator=numerator, denominator=denominator)
    async with backends(answering, answering) as [backend, mirror], running(rule("b", filters=[copies])) as rig:
        rig.put("b", backend.port)
        rig.put("m", mirror.port)
        client = await connect(rig.port)
        count, share = 1000, numerator / denominator
        for _ in range(count):
            await client.send(GET)
            await client.response()
        await quiet()
        sigma = (count * share * (1 - share)) ** 0.5
        assert abs(mirrored(rig) - count * share) <= 4 * sigma + 1
        assert failures(rig) == {}


async def test_what_the_gateway_answers_itself_is_not_mirrored() -> None:
    got: list[bytes] = []
    served = rule("b", filters=[COPY, Redirect(status=302, hostname="x")])
    refused = rule(
        WeightedBackend(weight=1, backend="c", status=500, reason="reference_refused"),
        name="1",
        path="/r",
        filters=[COPY],
    )
    nowhere = rule("none", name="2", path="/n", filters=[COPY])
    async with backends(reporting(got)) as [mirror], running(served, refused, nowhere) as rig:
        rig.put("m", mirror.port)
        client = await connect(rig.port)
        for path, status in ((b"/", 302), (b"/r", 500), (b"/n", 503)):
            await client.send(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.response())[0] == status
        await quiet()
        assert (got, mirrored(rig), failures(rig)) == ([], 0, {})


# --- mirrors that misbehave


async def deaf(peer: Peer) -> None:
    """Never reads."""
    await trio.sleep_forever()


async def silent(peer: Peer) -> None:
    """Reads, and never answers."""
    await peer.rest()


async def resetting(peer: Peer) -> None:
    await peer.reset()


async def resetting_later(peer: Peer) -> None:
    await peer.head()
    await peer.reset()


async def early(peer: Peer) -> None:
    """Responds before the body has arrived, and keeps the connection."""
    await peer.head()
    await peer.send(OK)
    await peer.rest()


async def babbling(peer: Peer) -> None:
    """Sends data before any request."""
    await peer.send(b"220 hello\r\n")
    await peer.rest()


async def endless(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await peer.send(b"x" * 65536)


async def twice(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.send(OK + OK)


async def slowly(peer: Peer) -> None:
    while True:
        await peer.request()
        for byte in b"HTTP/1.1 100 Continue\r\n\r\n" + OK:
            await peer.send(bytes([byte]))
            await trio.lowlevel.checkpoint()


BAD: list[Script] = [deaf, silent, resetting, resetting_later, early, babbling, endless, twice, slowly]


@pytest.mark.parametrize("script", BAD)
@pytest.mark.parametrize("size", [0, 10, 3_000_000])
async def test_no_mirror_is_felt(script: Script, size: int) -> None:
    """The responses are correct while the clock is stopped, so no request waits for the timeout of its mirror;
    afterwards no resources of the mirrors remain."""
    body = b"x" * size
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + body
    async with (
        backends(answering, script) as [backend, mirror],
        running(rule("b", filters=[COPY]), held=True) as rig,
    ):
        rig.put("b", backend.port)
        rig.put("m", mirror.port)
        client = await connect(rig.port)
        for _ in range(4):
            await client.send(request)
            assert (await client.response())[::2] == (200, b"ok")
        await rig.timed_until(lambda: mirrored(rig) + sum(failures(rig).values()) == 4, 10)
        await rig.timed_until(lambda: rig.engine.statistics().upstream_active == 0, 10)
        if script is deaf and size > 1000:  # several copies may be behind
            assert set(failures(rig)) <= {"slow", "timeout"}
        if script is slowly and size < 1000:
            assert mirrored(rig) == 4
        assert rig.engine.statistics().mirrors_behind == 0
        counted = rig.upstreams.statistics()
        assert [in_flight for _, in_flight, _ in (*counted["m"], *counted["b"])] == [0, 0]


async def test_a_mirror_without_endpoints_or_that_refuses() -> None:
    """A copy is not sent to an endpoint that is avoided."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        dead = probe.getsockname()[1]
    filters = [COPY, Mirror(backend="empty")]
    async with backends(answering) as [backend], running(rule("b", filters=filters), held=True) as rig:
        rig.put("b", backend.port)
        rig.put("m", dead)
        client = await connect(rig.port)
        for _ in range(3):
            await client.send(GET)
            assert (await client.response())[0] == 200
            await quiet()
        assert failures(rig) == {"no_endpoint": 5, "not_connected": 1}


@PLAIN
async def test_there_are_only_so_many_at_once() -> None:
    """The 513th copy is dropped; it never waits."""
    async with backends(answering, silent) as [backend, mirror], running(rule("b", filters=[COPY] * 16)) as rig:
        rig.put("b", backend.port)
        rig.put("m", mirror.port)
        client = await connect(rig.port)
        for _ in range(40):
            await client.send(GET)
            assert (await client.response())[0] == 200
        await soon(lambda: mirrored(rig) == 512)
        assert failures(rig) == {"overloaded": 128}
        assert rig.engine.statistics().upstream_active == 512


async def test_copies_beyond_their_room_are_lost() -> None:
    """32 copies of a head of 60 KB exceed the buffer limit; the request is served nevertheless."""
    target = WeightedBackend(weight=1, backend="b", filters=(COPY,) * 16)
    async with backends(answering, answering) as [backend, mirror], running(rule(target, filters=[COPY] * 16)) as rig:
        rig.put("b", backend.port)
        rig.put("m", mirror.port)
        client = await connect(rig.port)
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"x" * 60_000 + b"\r\n\r\n")
        assert (await client.response())[0] == 200
        await soon(lambda: mirrored(rig) + failures(rig).get("overloaded", 0) == 32)
        assert 10 < mirrored(rig) < 32


@pytest.mark.parametrize("gone", ["reset", "closed", "broken"])
async def test_a_request_that_is_never_whole_ends_its_mirrors(gone: str) -> None:
    async with backends(silent, silent) as [backend, mirror], running(rule("b", filters=[COPY])) as rig:
        rig.put("b", backend.port)
        rig.put("m", mirror.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
        await soon(lambda: mirror.open == 1)
        if gone == "broken":
            await client.send(b"lo\r\nnonsense\r\n")
        else:
            await (client.reset() if gone == "reset" else client.close())
        await soon(lambda: mirror.open == 0)
        assert (mirrored(rig), failures(rig)) == (0, {"incomplete": 1})


async def test_a_mirror_takes_its_bytes_at_its_own_pace() -> None:
    """The mirror does not read while the body passes; it then receives the 900 KB that were buffered for it."""
    got: list[bytes] = []

    answered = trio.Event()

    async def late(peer: Peer) -> None:
        await answered.wait()
        got.append((await peer.request())[1])
        await peer.send(OK)

    body = bytes(range(256)) * 3500
    async with backends(answering, late) as [backend, mirror], running(rule("b", filters=[COPY])) as rig:
        rig.put("b", backend.port)
        rig.put("m", mirror.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert (await client.response())[0] == 200
        answered.set()
        await soon(lambda: bool(got))
        assert got == [body]
        await soon(lambda: mirrored(rig) == 1)


async def test_closing_the_engine_ends_mirrors_at_every_point() -> None:
    for script in (deaf, silent, early, slowly):
        async with backends(silent, script) as [backend, mirror], running(rule("b", filters=[COPY] * 3)) as rig:
            rig.put("b", backend.port)
            rig.put("m", mirror.port)
            client = await connect(rig.port)
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
            await quiet()


async def test_tables_and_endpoints_go_while_mirrors_are_on_their_way() -> None:
    """12 clients with 20 requests each, with bodies in pieces, while mirrors of every kind and tables change."""
    async with backends(answering, *BAD) as [backend, *mirrors], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        done = Counter[int]()

        async def ask(number: int) -> None:
            client = await connect(rig.port)
            for _ in range(20):
                await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
                await trio.sleep(0.002)
                await client.send(b"def")
                done[(await client.response())[0]] += 1

        async def churn() -> None:
            for round_ in range(60):
                some: list[Backend] = mirrors[round_ % 9 :]
                rig.put("m", *(mirror.port for mirror in some))
                rig.install(rule("b", filters=[COPY] * (round_ % 4)))
                rig.engine.wake()
                await trio.sleep(0.005)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(churn)
            for number in range(12):
                nursery.start_soon(ask, number)
        assert done == {200: 240}
        rig.install()


@PLAIN
async def test_all_mirrors_together_are_bounded() -> None:
    """80 copies of 900 KB that never get a connection: at most 64 MiB of them are buffered, some are dropped, and all
    memory is freed."""
    body = b"x" * 900_000
    with socket.socket() as full, ExitStack() as queue:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        queue.enter_context(socket.create_connection(full.getsockname()))
        served = rule("b", filters=[COPY] * 8)
        async with backends(answering) as [backend], running(served, held=True) as rig:
            rig.put("b", backend.port)
            rig.put("m", full.getsockname()[1])
            client = await connect(rig.port)
            for _ in range(10):
                await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                assert (await client.response())[0] == 200
            now = rig.engine.statistics()
            assert now.upstream_active * len(body) < now.mirrors_behind <= 64 * 1024**2
            assert failures(rig) == {"slow": 80 - now.upstream_active}
            assert 60 < now.upstream_active < 80
            await rig.timed_until(lambda: rig.engine.statistics().upstream_active == 0, 1)
            assert rig.engine.statistics().mirrors_behind == 0
            assert sum(failures(rig).values()) == 80
