"""What the engine adds to responses of backends, removes from them, and derives from them (RFC 9110, RFC 9112)."""

import re
import time

import pytest
import trio
from rig import GET, OK, PLAIN, Peer, answering, backends, chunked, connect, rule, running, saying

from fastroute import snapshot
from fastroute.snapshot import HeaderModifier, HeaderValue

pytestmark = pytest.mark.usefixtures("transport")

DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"


# ------------------------------------------------------------------------------------------------------------- Date


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: date\r\nDate: x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
    ],
    ids=["200", "204", "304", "500", "nominated", "after an interim one"],
)
async def test_an_answer_without_date_gets_one(answer: bytes) -> None:
    async with backends(saying(answer)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        _, fields, _ = await client.response()
        assert DATE.fullmatch(fields["date"])
        assert abs(time.time() - _seconds(fields["date"])) < 60


def _seconds(date: str) -> float:
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(date).timestamp()


async def test_a_backend_date_stays_alone() -> None:
    answer = b"HTTP/1.1 200 OK\r\nDATE: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n"
    async with backends(saying(answer)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        head = (await client.head()).lower()
        assert head.count(b"date:") == 1
        assert b"1994" in head


@pytest.mark.parametrize("answer", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"])
async def test_interim_answers_get_no_date(answer: bytes) -> None:
    async with backends(saying(answer + OK)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        assert await client.head() == answer


async def test_a_modifier_decides_about_the_date_that_was_added() -> None:
    modifier = HeaderModifier(direction="response", set=(HeaderValue("Date", "mine"),))
    async with backends(answering) as [backend], running(rule("b", filters=[modifier])) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        head = (await client.head()).lower()
        assert head.count(b"date:") == 1
        assert b"date: mine\r\n" in head


# ------------------------------------------------------------------------------------------------ Connection: close

BIG = b"Content-Length: 200000\r\n\r\n"
EXPECTING = b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
DENIED = b"HTTP/1.1 401 Denied\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize(
    ("framing", "pieces"),
    [
        (EXPECTING, (DENIED + b"no",)),
        (EXPECTING, (DENIED, b"no")),
        (EXPECTING, (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",)),
        (BIG, (DENIED + b"no",)),
        (BIG, (DENIED, b"no")),
        (BIG, (b"HTTP/1.1 302 Found\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(b"no"))),
        (BIG, (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",)),
        (BIG, (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"ok"),)),
        (BIG, (b"HTTP/1.1 204 No Content\r\n\r\n",)),
    ],
)
async def test_an_early_answer_says_that_the_connection_closes(framing: bytes, pieces: tuple[bytes, ...]) -> None:
    """The backend responds before the body of the request has arrived, and the rest of that body is not read."""

    async def early(peer: Peer) -> None:
        await peer.head()
        for piece in pieces:
            await peer.send(piece)
            await trio.sleep(0.005)
        await peer.rest()

    async with backends(early) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing)
        _, fields, _ = await client.response()
        assert fields.get("connection") == "close"
        assert await client.rest() == b""


@pytest.mark.parametrize("answer", [DENIED + b"no", OK], ids=["401", "200"])
async def test_an_early_answer_to_a_short_body_keeps_the_connection(answer: bytes) -> None:
    async def early(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer)
        await peer.rest()

    async with backends(early) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
            _, fields, _ = await client.response()
            assert "connection" not in fields
            await client.send(b"x" * 60000)


async def test_a_client_that_was_told_to_continue_keeps_its_connection() -> None:
    """After 100 (Continue), the body will arrive: it is read and discarded, as without Expect."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await trio.sleep(0.005)
        await peer.send(DENIED + b"no")

    async with backends(script) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + EXPECTING)
            assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            status, fields, _ = await client.response()
            assert status == 401
            assert "connection" not in fields
            await client.send(b"hello")


async def test_an_answer_that_streams_beside_its_request_does_not_say_close() -> None:
    """A client that sees `close` may stop sending, so a response with content still to come does not contain it."""
    size = 200_000

    async def echo(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 1000):
            await peer.send(await peer.exactly(1000))
        await peer.rest()

    async with backends(echo) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        assert b"close" not in await client.head()
        for _ in range(size // 1000):
            await client.send(b"x" * 1000)
            await client.exactly(1000)


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", OK),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", OK),
        (b"HEAD / HTTP/1.0\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        (b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nuntil the end"),
        (
            b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x"),
        ),
    ],
)
async def test_every_other_answer_that_ends_the_connection_says_so(request_bytes: bytes, answer: bytes) -> None:
    async with backends(saying(answer, close=True)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(request_bytes)
        head, _, _ = (await client.rest()).partition(b"\r\n\r\n")
        assert b"\r\nConnection: close" in head


async def test_answers_say_close_while_the_engine_drains() -> None:
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        assert "connection" not in (await client.response())[1]
        rig.engine.announce_drain()
        await client.send(GET)
        assert (await client.response())[1]["connection"] == "close"
        assert await client.rest() == b""


# --------------------------------------------------------------------------------------------------------- trailers

TRAILERS = b"X-Sum: 1\r\nContent-Length: 0\r\nTRANSFER-Encoding: x\r\nServer-Timing: a\r\nset-cookie: b\r\nETag: c\r\n"
PASSED = b"X-Sum: 1\r\nServer-Timing: a\r\nETag: c\r\n"


@pytest.mark.parametrize("cut", [0, 1, 7])
async def test_forbidden_trailers_of_an_answer_are_dropped(cut: int) -> None:
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"one", b"two", trailer=TRAILERS)
    pieces = [whole] if cut == 0 else [whole[i : i + cut] for i in range(0, len(whole), cut)]
    async with backends(saying(*pieces)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(GET)
            await client.head()
            assert await client.until(b"\r\n\r\n") == chunked(b"one", b"two", trailer=PASSED)
        assert client.buffer == b""
        assert backend.connections == 1


@pytest.mark.parametrize("cut", [0, 1, 7])
async def test_forbidden_trailers_of_a_request_are_dropped(cut: int) -> None:
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            await peer.head()
            got.append(await peer.until(b"\r\n\r\n"))
            await peer.send(OK)

    whole = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole += chunked(b"one", b"two", trailer=b"Host: b\r\n" + TRAILERS + b"X_Forwarded_For: 1\r\nAuthorization: x\r\n")
    pieces = [whole] if cut == 0 else [whole[i : i + cut] for i in range(0, len(whole), cut)]
    async with backends(script) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            for piece in pieces:
                await client.send(piece)
                await trio.sleep(0.001)
            assert (await client.response())[2] == b"ok"
        assert got == [chunked(b"one", b"two", trailer=PASSED)] * 2


async def test_fields_that_connection_names_do_not_pass_as_trailers() -> None:
    """RFC 9110 section 7.6.1 includes trailer fields. If Connection nominates fields, no trailers are forwarded."""
    answer = b"HTTP/1.1 200 OK\r\nConnection: x-hop\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer += chunked(b"x", trailer=b"X-Hop: 1\r\n")
    async with backends(saying(answer)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        await client.head()
        assert await client.until(b"\r\n\r\n") == chunked(b"x")


async def test_dropped_trailers_do_not_reach_mirrors_and_retries() -> None:
    got: list[bytes] = []

    async def noting(peer: Peer) -> None:
        await peer.head()
        got.append(await peer.until(b"\r\n\r\n"))
        later = b"HTTP/1.1 503 Later\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"  # the script ends here
        await peer.send(later if len(got) == 1 else OK)

    async def mirror(peer: Peer) -> None:
        await peer.head()
        mirrored.append(await peer.until(b"\r\n\r\n"))
        await peer.send(OK)

    mirrored: list[bytes] = []
    retry = snapshot.Retry(attempts=1, codes=(503,), backoff_ms=1)
    one = rule("b", filters=[snapshot.Mirror(backend="m", numerator=1, denominator=1)], retry=retry)
    async with backends(noting, mirror) as [backend, other], running(one) as rig:
        rig.put("b", backend.port)
        rig.put("m", other.port)
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"1\r\nx\r\n0\r\nX-", b"A: 1\r\nHo", b"st: b\r\n\r\n"):
            await client.send(piece)
            await trio.sleep(0.005)
        assert (await client.response())[0] == 200
        assert got == [chunked(b"x", trailer=b"X-A: 1\r\n")] * 2
        assert mirrored == got[:1]


# ------------------------------------------------------------------------------------- bodies that must not be there


@PLAIN
@pytest.mark.parametrize("promise", [b"Content-Length: 6\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("late", [b"poison", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"])
@pytest.mark.parametrize("together", [True, False])
async def test_a_body_after_an_answer_to_head_poisons_nobody(promise: bytes, late: bytes, together: bool) -> None:
    """Whether the body is sent with the head, or after the next request."""

    async def script(peer: Peer) -> None:
        head = await peer.head()
        while head.startswith(b"HEAD"):
            await peer.send(b"HTTP/1.1 200 OK\r\n" + promise + b"\r\n" + (late if together else b""))
            head = await peer.head()
            await peer.send(late)
        await peer.send(OK)

    async with backends(script) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for request, body in ((HEAD, b""), (GET, b"ok"), (GET, b"ok")):
            await client.send(request)
            status, _, got = await client.response(to_head=request is HEAD)
            assert (status, got) == (200, body)


@PLAIN
async def test_a_late_body_of_an_answer_to_head_costs_the_next_head_nothing() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        await peer.head()
        await peer.send(b"poison")

    async with backends(script) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(3):
            await client.send(HEAD)
            assert (await client.response(to_head=True))[0] == 200


@PLAIN
async def test_a_late_body_of_a_304_costs_the_next_get_nothing() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n")
        await peer.head()
        await peer.send(b"poison")

    async with backends(script) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(3):
            await client.send(GET)
            assert (await client.response())[0] == 304
        assert backend.connections == 3


@PLAIN
async def test_a_connection_serves_again_once_no_body_came() -> None:
    """A HEAD request can use the connection at once, other requests after one second without data."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

    async def script(peer: Peer) -> None:
        while True:
            head = await peer.head()
            await peer.send(answer if head.startswith(b"HEAD") else answer + b"ok")

    async with backends(script) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(3):
            await client.send(HEAD)
            await client.response(to_head=True)
        assert backend.connections == 1
        await client.send(GET)
        assert (await client.response())[2] == b"ok"
        assert backend.connections == 2
        await trio.sleep(1.1)
        for _ in range(2):  # two at once: both connections are used
            other = await connect(rig.port)
            await other.send(GET)
            assert (await other.response())[2] == b"ok"
        assert backend.connections == 2
