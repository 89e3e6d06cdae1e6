"""Requests as streams: fields, bodies, trailers, and the ends of streams."""

import h2.settings
import pytest
import trio
from http2.client import AUTHORITY, Ask, Fields, client, head
from peer import Peer
from rig import OK, answering, backends, quiet, reporting, rule, running, saying, soon

from fastroute import snapshot
from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")

STREAM_WINDOW, CONNECTION_WINDOW = 262144, 1048576
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED, CANCEL = 0, 1, 2, 7, 8
WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE


async def test_many_requests_on_one_connection() -> None:
    async with backends(answering) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            for _ in range(3):
                asks = [await session.ask() for _ in range(100)]
                for ask in asks:
                    assert (await ask.response())[::2] == (200, b"ok")
            assert session.settings[3] == 128  # SETTINGS_MAX_CONCURRENT_STREAMS
            await soon(lambda: rig.engine.statistics().downstream_active == 0)
            fixed = rig.counters.fixed()
            assert (fixed["connections_accepted"], fixed["downstream_idle"], fixed["streams_downstream"]) == (1, 1, 0)
        await soon(lambda: rig.engine.statistics().downstream_idle == 0)
        assert rig.counters.request_counts(1) == {200: 300}
        assert {line["protocol"] for line in rig.lines()} == {"HTTP/2"}


@pytest.mark.parametrize(("limit", "opened"), [(1, 1), (200, 200)])
async def test_the_limit_of_streams(limit: int, opened: int) -> None:
    """A client that does not know it yet gets REFUSED_STREAM for what is above it."""

    async def waiting(peer: Peer) -> None:
        await peer.request()
        await peer.rest()

    async with backends(waiting) as [backend], running(rule("b"), limits=Limits(max_streams=limit)) as rig:
        rig.put("b", backend.port)
        async with client(rig.port, deaf=True) as session:
            asks = [Ask(session, 1 + 2 * number) for number in range(opened + 2)]
            for ask in asks:
                session.asks[ask.id] = ask
                session.link.send_headers(ask.id, head(), end_stream=True)
            await session.flush()  # before the client has read anything
            await session.until(lambda: all(ask.over for ask in asks[opened:]))
            assert [ask.reset for ask in asks] == [None] * opened + [REFUSED] * 2
            assert session.settings[3] == limit
            await soon(lambda: rig.engine.statistics().exchanges == opened)


async def test_trailers_in_both_directions() -> None:
    bodies: list[bytes] = []

    async def trailing(peer: Peer) -> None:
        await peer.head()
        bodies.append(await peer.until(b"\r\n\r\n"))
        answer = b"HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n"
        await peer.send(answer + b"5\r\nhello\r\n0\r\nX-T: yes\r\nContent-Length: 3\r\n\r\n")
        await peer.rest()

    async with backends(trailing) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask("POST", fields=[("te", "trailers")], body=b"abc", end=False)
            await ask.finish([("x-up", "1"), ("x-more", "2")])
            assert (await ask.response())[::2] == (200, b"hello")
            assert ask.trailers == [("x-t", "yes")]
    assert bodies == [b"3\r\nabc\r\n0\r\nx-up: 1\r\nx-more: 2\r\n\r\n"]


async def test_an_answer_in_one_read_keeps_its_fields() -> None:
    """Trailers that arrive with the head take no memory of its fields, also of those that filters have added."""
    lines = "".join(f"X-Field-{number}: {number}\r\n" for number in range(60))
    ends = "".join(f"X-End-{number}: {number}\r\n" for number in range(60))
    answer = f"HTTP/1.1 200 OK\r\n{lines}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{ends}\r\n".encode()
    added = snapshot.HeaderModifier(direction="response", add=(snapshot.HeaderValue("X-Added", "a" * 1000),))

    async with backends(saying(answer)) as [backend], running(rule("b", filters=(added,))) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask(fields=[("te", "trailers")])
            status, fields, body = await ask.response()
            assert (status, body, fields.pop("x-added"), fields.pop("date") != "") == (200, b"ok", "a" * 1000, True)
            assert fields == {":status": "200"} | {f"x-field-{number}": str(number) for number in range(60)}
            assert ask.trailers == [(f"x-end-{number}", str(number)) for number in range(60)]


async def test_trailers_without_content() -> None:
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask("POST", end=False)
            await ask.finish([("x-up", "1")])
            assert (await ask.response())[0] == 200
    assert b"Transfer-Encoding: chunked" in report[0]
    assert report[1] == b""


async def test_interim_answers_come_first() -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK
    async with backends(saying(answer)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask("POST", fields=[("expect", "100-continue")], body=b"abc")
            assert (await ask.response())[::2] == (200, b"ok")
            assert ask.interim == [100, 103]


async def test_crumbs_are_one_cookie() -> None:
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            fields = [("cookie", "a=1"), ("x-a", "b"), ("cookie", "b=2"), ("cookie", "c=3; d=4")]
            assert (await (await session.ask(fields=fields)).response())[0] == 200
    assert report[0].count(b"cookie:") == 1
    assert b"cookie: a=1; b=2; c=3; d=4\r\nx-a: b\r\n" in report[0]


CRUMBS = [("cookie", f"{i}={i}") for i in range(300)]
OTHERS = [(f"x-{i}", "b") for i in range(12)]


@pytest.mark.parametrize(
    ("fields", "trailers", "cookie", "status"),
    [
        (CRUMBS, [], "; ".join(value for _, value in CRUMBS), 200),
        ([CRUMBS[0], *OTHERS[:9], CRUMBS[1]], [], "0=0; 1=1", 200),
        ([*OTHERS[:9], CRUMBS[0], CRUMBS[1]], [], "0=0; 1=1", 200),
        ([CRUMBS[0], *OTHERS[:10], CRUMBS[1]], [], None, 431),
        ([*OTHERS[:10], CRUMBS[0]], [], None, 431),
        ([("cookie", ""), ("cookie", "a=1"), ("cookie", "")], [], "a=1; ", 200),
        ([("cookie", "a=1"), ("cookie", "b\x01")], [], None, 0),
        ([("cookie", "x" * 2000) for _ in range(5)], [], None, 431),
        (CRUMBS[:2], CRUMBS[:8], "0=0; 1=1", 200),
        (CRUMBS[:2], CRUMBS[:12], None, 431),  # of trailers nothing is joined
    ],
)
async def test_crumbs_count_as_one_field(fields: Fields, trailers: Fields, cookie: str | None, status: int) -> None:
    report: list[bytes] = []
    limits = Limits(max_head=8192, max_fields=10)
    async with backends(reporting(report)) as [backend], running(rule("b"), limits=limits) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask("POST", fields=fields, body=b"" if trailers else None, end=not trailers)
            if trailers:
                await ask.finish(trailers)
            assert (await ask.response())[0] == status
    if cookie is not None:
        assert report[0].count(b"cookie:") == 1
        assert b"\r\ncookie: " + cookie.encode() + b"\r\n" in report[0]


@pytest.mark.parametrize(
    ("authority", "hosts", "status"),
    [
        ("a", [], 200),
        ("A:80", ["a:80"], 200),
        (None, ["a"], 200),
        ("a", ["b"], 400),
        ("a", ["a:80"], 400),
        ("a", ["a", "a"], 400),
        (None, ["a", "a"], 400),
        ("a b", [], 400),
        ("u@a", [], 400),
    ],
)
async def test_host_and_authority_agree(authority: str | None, hosts: list[str], status: int) -> None:
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            fields = [one for one in head() if one[0] != ":authority"]
            fields += [(":authority", authority)] if authority is not None else []
            ask = await session.ask_with([*fields, *(("host", host) for host in hosts)])
            await ask.response()
            assert (ask.status, ask.reset) in ((status, None), (0, PROTOCOL_ERROR))
            assert ask.status == 200 or status != 200
            assert (await (await session.ask()).response())[0] == 200  # the connection goes on
    if status == 200:
        assert report[0].count(b"\r\nHost: ") == 1


MALFORMED = {
    "connection": [("connection", "close")],
    "keep-alive": [("keep-alive", "5")],
    "proxy-connection": [("proxy-connection", "close")],
    "transfer-encoding": [("transfer-encoding", "chunked")],
    "upgrade": [("upgrade", "websocket")],
    "te": [("te", "gzip")],
    "upper case": [("X-A", "b")],
    "no name": [("", "b")],
    "a space in a name": [("x a", "b")],
    "a line break": [("x-a", "b\r\nc: d")],
    "a NUL": [("x-a", "b\0")],
    "space around a value": [("x-a", " b")],
    "pseudo after": [("x-a", "b"), (":path", "/")],
    "unknown pseudo": [(":x", "b")],
    "status": [(":status", "200")],
    "two lengths": [("content-length", "0"), ("content-length", "0")],
    "an invalid length": [("content-length", "x")],
    "more content announced": [("content-length", "5")],
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_requests_end_their_streams(name: str) -> None:
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask(fields=MALFORMED[name])
            await ask.response()
            assert (ask.reset, ask.status) == (PROTOCOL_ERROR, 0)
            assert rig.counters.fixed()["http2_malformed"] == 1
            assert backend.connections == 0
            assert (await (await session.ask()).response())[0] == 200


@pytest.mark.parametrize("missing", [":method", ":scheme", ":path", ":authority"])
async def test_a_request_is_complete(missing: str) -> None:
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask_with([one for one in head() if one[0] != missing])
            await ask.response()
            assert ask.reset == PROTOCOL_ERROR or ask.status == 400
            assert backend.connections == 0


async def test_te_goes_on() -> None:
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            await (await session.ask(fields=[("te", "trailers")])).response()
            await (await session.ask()).response()
    assert b"TE: trailers\r\nConnection: TE\r\n" in report[0]
    assert b"TE:" not in report[2]


async def test_connect_is_not_served() -> None:
    async with running(rule("b"), log=True) as rig:
        async with client(rig.port) as session:
            ask = await session.ask_with([(":method", "CONNECT"), (":authority", AUTHORITY)])
            assert (await ask.response())[0] == 501
        assert [line["reason"] for line in rig.lines()] == ["connect_unsupported"]


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ([("x-a", "b" * 3000)], 431, "head_too_large"),
        ([(f"x-{i}", "b") for i in range(11)], 431, "fields_too_many"),
        ([(f"x-{i}", "b") for i in range(9)], 200, None),
    ],
)
async def test_limits_of_a_head(fields: list[tuple[str, str]], status: int, reason: str | None) -> None:
    limits = Limits(max_head=2048, max_fields=10)
    async with backends(answering) as [backend], running(rule("b"), limits=limits, log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            assert (await (await session.ask(fields=fields)).response())[0] == status
            assert session.settings[6] == 2048  # SETTINGS_MAX_HEADER_LIST_SIZE
            assert (await (await session.ask()).response())[0] == 200
        assert rig.lines()[0]["reason"] == reason


async def test_a_body_that_is_too_large() -> None:
    async with backends(answering) as [backend], running(rule("b"), limits=Limits(max_body=1000)) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask("POST", body=b"x" * 500, end=False)
            await ask.send(b"x" * 501)
            await ask.response()
            assert (ask.status, ask.reset) == (413, NO_ERROR)
            assert (await (await session.ask()).response())[0] == 200


async def test_an_unwanted_body_ends_without_an_error() -> None:
    async with running(rule("b", path="/only")) as rig, client(rig.port) as session:
        ask = await session.ask("POST", body=b"x" * 100, end=False)
        await ask.response()
        await session.until(lambda: ask.reset is not None)
        assert (ask.status, ask.reset) == (404, NO_ERROR)


async def test_the_end_of_a_request_may_come_after_the_answer() -> None:
    """Some clients send it behind the content, when the answer may have arrived already, and fail after a reset."""
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask("POST", fields=[("content-length", "3")], body=b"abc", end=False)
            await session.until(lambda: ask.ended)
            session.link.ping(b"12345678")
            await session.flush()
            await session.until(lambda: session.pongs)
            assert (ask.status, ask.reset) == (200, None)
            await ask.send(b"", end=True)
            assert (await (await session.ask()).response())[0] == 200
            assert session.goaways == []


async def test_a_client_that_ends_no_request_gets_no_more_than_its_streams() -> None:
    async with backends(answering) as [backend], running(rule("b"), limits=Limits(max_streams=20)) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            await session.until(lambda: session.settings)
            session.link.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = (
                1000  # it ignores those of the gateway
            )
            session.link.remote_settings.acknowledge()
            asks = []
            while len(asks) < 100 and not session.closed:
                ask = await session.ask("POST", fields=[("content-length", "1")], body=b"a", end=False)
                await session.until(lambda ask=ask: ask.over)
                asks.append(ask)
            assert sum(ask.status == 200 for ask in asks) == 20
        async with client(rig.port) as session:
            assert (await (await session.ask()).response())[0] == 200


async def test_a_client_that_resets_ends_its_exchange() -> None:
    closed = trio.Event()

    async def waiting(peer: Peer) -> None:
        head, _ = await peer.request()
        if b"/ok" in head:
            await peer.send(OK)
        elif not await peer.rest():
            closed.set()

    async with backends(waiting) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask()
            await soon(lambda: backend.connections == 1)
            await ask.cancel()
            with trio.fail_after(60):
                await closed.wait()
            await soon(lambda: [line["reason"] for line in rig.lines()] == ["client_closed"])
            assert (await (await session.ask(path="/ok")).response())[0] == 200


@pytest.mark.parametrize("cut", ["Content-Length: 9\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"])
async def test_a_cut_answer_resets_its_stream(cut: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + cut.encode()
    async with backends(saying(answer, close=True)) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask()
            await ask.response()
            assert (ask.status, ask.reset, ask.ended) == (200, INTERNAL_ERROR, False)
        assert rig.lines()[0]["reason"] == "upstream_truncated"


async def test_streams_are_answered_in_any_order() -> None:
    release = trio.Event()

    async def script(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            if b"/slow" in head:
                await release.wait()
            await peer.send(OK)

    async with backends(script) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            slow = await session.ask(path="/slow")
            for _ in range(5):
                assert (await (await session.ask()).response())[2] == b"ok"
            assert not slow.over
            release.set()
            assert (await slow.response())[2] == b"ok"


async def test_each_stream_has_its_own_deadlines() -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.rest()

    large = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))
    rules = [
        rule("s", name="0", path="/slow", request_timeout_ms=5000),
        rule("l", name="1", path="/large"),
        rule("q", name="2"),
    ]
    limits = Limits(body_idle_timeout=8, min_body_rate=0)
    async with backends(silent, large, answering) as ends, running(*rules, held=True, limits=limits, log=True) as rig:
        for name, end in zip("slq", ends, strict=True):
            rig.put(name, end.port)
        async with client(rig.port, settings={WINDOW: 10_000}, credits=False) as session:
            unsent = await session.ask("POST", fields=[("content-length", "5")], body=b"ab", end=False)
            timed, unread = await session.ask(path="/slow"), await session.ask(path="/large")
            await session.until(lambda: len(unread.body) == 10_000)
            await rig.passes(4.5)
            assert (timed.over, unread.over, unsent.over) == (False, False, False)
            await rig.passes(1)
            assert (await timed.response())[0] == 504
            assert (unread.over, unsent.over) == (False, False)
            await rig.timed_until(lambda: rig.engine.statistics().exchanges == 0, 0.5)
            await unsent.response()
            await unread.response()
            assert (unsent.status, unread.status, unread.reset) == (408, 200, INTERNAL_ERROR)
            assert (await (await session.ask()).response())[0] == 200


async def test_a_body_without_a_length_goes_in_chunks() -> None:
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask("PUT", body=b"one", end=False)
            await quiet()
            await ask.send(b"two", True)
            assert (await ask.response())[0] == 200
    assert b"Transfer-Encoding: chunked" in report[0]
    assert report[1] == b"onetwo"
