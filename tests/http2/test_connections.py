"""Connections: how HTTP/2 begins, what their ends look like, deadlines, certificates."""

import h2.connection
import pytest
import trio
import trio.lowlevel
from certificates import certificate
from http2.client import agreeing, client
from peer import Peer
from rig import GET, OK, PLAIN, TRANSPORT, answering, backends, connect, listener, quiet, rule, running, soon

from fastroute.settings import Limits
from fastroute.snapshot import ListenerTLS

pytestmark = pytest.mark.usefixtures("transport")

NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 3
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LAST = 2**31 - 1
TLS = pytest.mark.parametrize("transport", ["tls"], indirect=True)


# --- beginnings


@PLAIN
async def test_a_preface_in_pieces() -> None:
    link = h2.connection.H2Connection()
    link.initiate_connection()
    link.send_headers(1, [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")], True)
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        for byte in link.data_to_send():
            await peer.send(bytes([byte]))
            await trio.lowlevel.checkpoint()
        while b"ok" not in peer.buffer:
            assert await peer.more()


@PLAIN
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 400),
        (b"PRI / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"PRIX / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"P / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (GET + PREFACE, 200),
    ],
)
@pytest.mark.parametrize("pieces", [1, 7])
async def test_what_only_resembles_a_preface(request_: bytes, status: int, pieces: int) -> None:
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        for at in range(0, len(request_), len(request_) // pieces + 1):
            await peer.send(request_[at : at + len(request_) // pieces + 1])
            await quiet()
        assert (await peer.response())[0] in (status, 505)


@PLAIN
async def test_a_preface_behind_a_proxy_header() -> None:
    """Both arrive together; the address is the client's for each request."""
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
    options = {"proxy_protocol": True, "trusted_proxies": ("127.0.0.0/8",)}
    async with backends(answering) as [backend], running(rule("b"), log=True, **options) as rig:
        rig.put("b", backend.port)
        async with client(rig.port, before=header) as session:
            for _ in range(2):
                assert (await (await session.ask()).response())[0] == 200
        assert [line["client"] for line in rig.lines()] == ["192.0.2.1"] * 2


@TLS
async def test_alpn_decides() -> None:
    async with backends(answering) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        for offered, chosen in ((("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1")):
            peer = await connect(rig.port, "a", agreeing(*offered))
            assert peer.stream.tls.selected_alpn_protocol() == chosen
            await peer.close()
        peer = await connect(rig.port, "a", agreeing("http/1.1"))
        await peer.send(PREFACE)  # prior knowledge is for connections without TLS
        assert (await peer.response())[0] in (400, 505)


@TLS
async def test_http1_after_the_agreement_on_http2() -> None:
    async with running(rule("b")) as rig:
        peer = await connect(rig.port, "a", agreeing("h2"))
        await peer.send(GET)
        assert b"HTTP/1" not in await peer.rest()
        assert rig.counters.fixed()["http2_no_preface"] == 1


async def test_a_slow_preface() -> None:
    async with running(rule("b"), held=True) as rig:
        peer = await connect(rig.port, "a", None if TRANSPORT.get() == "plain" else agreeing())
        await peer.send(PREFACE)
        _, seconds = await rig.timed(peer.rest, 0.1)
        assert 9 < seconds < 12
        assert rig.counters.fixed()["http2_timeout"] == 1


async def test_a_slow_block_of_fields() -> None:
    """HEADERS whose CONTINUATION does not come: nothing else can arrive on the connection."""
    async with backends(answering) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            assert (await (await session.ask()).response())[0] == 200
            await session.raw(b"\0\0\1\1\0\0\0\0\3\x82")  # END_HEADERS is not set
            _, seconds = await rig.timed(lambda: session.until(lambda: session.closed), 0.1)
            assert 9 < seconds < 12
        assert rig.counters.fixed()["http2_timeout"] == 1


# --- ends


async def test_an_idle_connection_is_told_and_closed() -> None:
    async with backends(answering) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            assert (await (await session.ask()).response())[0] == 200
            await quiet()
            _, seconds = await rig.timed(lambda: session.until(lambda: session.closed), 0.5)
            assert 74 < seconds < 77
            assert session.goaways == [(1, NO_ERROR)]


async def test_a_connection_with_streams_is_not_idle() -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.rest()

    async with backends(silent) as [backend], running(rule("b"), held=True, limits=Limits(idle_timeout=10)) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask()
            await soon(lambda: backend.open == 1)
            for _ in range(5):
                await rig.passes(9)
            assert not session.goaways
            await ask.cancel()
            await rig.passes(9)
            assert not session.goaways
            await rig.passes(2)
            await session.until(lambda: session.closed)


async def test_a_drain_closes_idle_connections() -> None:
    """After a second, in which a client may begin a request."""
    async with backends(answering) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            assert (await (await session.ask()).response())[0] == 200
            await quiet()
            rig.engine.drain()
            await session.until(lambda: session.goaways)
            await rig.passes(0.9)
            assert not session.closed
            await rig.passes(0.2)
            await session.until(lambda: session.closed)
            assert session.goaways == [(LAST, NO_ERROR), (1, NO_ERROR)]
        await soon(lambda: rig.engine.statistics().drained)


@pytest.mark.parametrize("end", ["closed", "reset"])
async def test_the_end_of_a_connection_ends_its_exchanges(end: str) -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.rest()

    async with backends(silent) as [backend], running(rule("b"), held=True, log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            for _ in range(7):
                await session.ask()
            await soon(lambda: backend.open == 7)
            await (session.peer.close() if end == "closed" else session.peer.reset())
            await soon(lambda: backend.open == 0)
            await soon(lambda: rig.engine.statistics().exchanges == 0)
        assert [line["reason"] for line in rig.lines()] == ["client_closed"] * 7
        fixed = rig.counters.fixed()
        names = ("downstream_active", "downstream_idle", "streams_downstream", "upstream_active")
        assert [fixed[name] for name in names] == [0] * 4


@pytest.mark.parametrize("cause", ["drain", "age", "requests"])
async def test_a_connection_leaves_with_two_goaways(cause: str) -> None:
    """Streams that the client begins before it sees the first one are served; streams in progress end as usual."""
    release = trio.Event()

    async def slow(peer: Peer) -> None:
        head, _ = await peer.request()
        if b"/slow" in head:
            await release.wait()
        await peer.send(OK)
        await slow(peer)

    limits = Limits(
        max_connection_age=20.0 if cause == "age" else None,
        max_requests_per_connection=2 if cause == "requests" else 1000,
    )
    async with backends(slow) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask(path="/slow")
            await soon(lambda: backend.connections == 1)
            if cause == "drain":
                rig.engine.drain()
            elif cause == "age":
                await rig.passes(23)
            else:
                assert (await (await session.ask()).response())[0] == 200
            await session.until(lambda: session.goaways)
            assert session.goaways == [(LAST, NO_ERROR)]
            late = await session.ask()
            assert (await late.response())[0] == 200
            await rig.passes(1.5)
            await session.until(lambda: len(session.goaways) == 2)
            assert session.goaways[1] == (late.id, NO_ERROR)
            too_late = await session.ask()
            await rig.passes(1.5)
            assert not session.closed
            assert not too_late.over
            assert rig.engine.statistics().exchanges == 1
            release.set()
            assert (await ask.response())[0] == 200
            await session.until(lambda: session.closed)


async def test_a_client_that_says_goodbye() -> None:
    async with backends(answering) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask()
            await session.raw(b"\0\0\x08\7\0\0\0\0\0" + bytes(8))  # GOAWAY
            assert (await ask.response())[0] == 200
            await rig.timed(lambda: session.until(lambda: session.closed), 0.1)


VIOLATIONS = {
    "DATA on the connection": b"\0\0\1\0\0\0\0\0\0x",
    "HEADERS of a stream that has ended": b"\0\0\4\1\5\0\0\0\1\x82\x86\x84\x41",
    "HEADERS with a lower number": b"\0\0\4\1\5\0\0\0\3\x82\x86\x84\x41",
    "HEADERS with an even number": b"\0\0\4\1\5\0\0\0\x0a\x82\x86\x84\x41",
    "PRIORITY of the connection": b"\0\0\5\2\0\0\0\0\0\0\0\0\0\1",
    "CONTINUATION without HEADERS": b"\0\0\1\x09\4\0\0\0\7\x82",
    "a push": b"\0\0\5\5\4\0\0\0\7\0\0\0\2\x82",
    "a window that overflows": b"\0\0\4\x08\0\0\0\0\0\x7f\xff\xff\xff",
    "windows of streams that are too large": b"\0\0\6\4\0\0\0\0\0\0\4\x80\0\0\0",
}


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_a_violation_ends_the_connection(name: str) -> None:
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            for highest in (0, 3):  # the numbers of the streams are 1 and 5
                session.link.highest_outbound_stream_id = highest
                assert (await (await session.ask()).response())[0] == 200
            await session.raw(VIOLATIONS[name])
            await session.until(lambda: session.closed)
            assert session.goaways[-1][1] in (PROTOCOL_ERROR, FLOW_CONTROL_ERROR)
        await soon(lambda: rig.counters.fixed()["http2_violation"] == 1)


async def test_frames_of_a_stream_that_was_reset_here_are_ignored() -> None:
    """They were on the way when the client got the reset."""
    async with running(rule("b", path="/only")) as rig, client(rig.port) as session:
        for _ in range(100):
            ask = await session.ask("POST", body=b"x", end=False)
            await session.until(lambda ask=ask: ask.reset is not None)
            assert (ask.status, ask.reset) == (404, NO_ERROR)
            number = ask.id.to_bytes(4, "big")
            await session.raw(b"\0\0\1\0\0" + number + b"x")
            await session.raw(b"\0\0\5\1\5" + number + b"\0\1x\1y")
        assert (await (await session.ask()).response())[0] == 404
        assert session.goaways == []


# --- certificates


@TLS
async def test_another_listeners_host_is_misdirected() -> None:
    """A client that coalesces connections asks for a host for which another listener has the certificate."""
    async with backends(answering) as [backend], running(log=True) as rig:
        rig.put("b", backend.port)
        listeners = [
            listener(rig.port, name, f"{name}.example.com", ListenerTLS(certificates=(f"certs/{name}",)))
            for name in ("one", "two")
        ]
        for name in ("one", "two"):
            rig.certificates.put(f"certs/{name}", certificate("one.example.com", "two.example.com"))
        from msgspec.structs import replace

        rules = [
            replace(rule("b", name=str(i)), listener=name, hostnames=(f"{name}.example.com",))
            for i, name in enumerate(("one", "two"))
        ]
        rig.install_all(listeners, *rules)
        rig.certificates.commit()
        async with client(rig.port, name="one.example.com") as session:
            for host, status in (("one", 200), ("two", 421), ("one", 200)):
                fields = [
                    (":method", "GET"),
                    (":scheme", "https"),
                    (":authority", f"{host}.example.com"),
                    (":path", "/"),
                ]
                assert (await (await session.ask_with(fields)).response())[0] == status
        assert [line["reason"] for line in rig.lines()] == [None, "misdirected", None]
