"""How the engine forwards requests and responses on real sockets: framing, bodies, filters, interim responses."""

from collections.abc import Callable

import pytest
import trio
import trio.lowlevel
from rig import (
    GET,
    OK,
    Peer,
    answering,
    backends,
    chunked,
    connect,
    quiet,
    reporting,
    rule,
    running,
    saying,
)

from fastroute import snapshot

pytestmark = pytest.mark.usefixtures("transport")


BIG = bytes(range(256)) * 4096  # 1 MiB


@pytest.mark.parametrize(
    ("answer", "close", "status", "body"),
    [
        (OK, False, 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False, 204, b""),
        (b'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: "a"\r\n\r\n', False, 304, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False, 200, b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"one", b"two"), False, 200, b"onetwo"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x", trailer=b"A: b\r\n"),
            False,
            200,
            b"x",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", True, 200, b"until the end"),
        (b"HTTP/1.1 200 OK\r\n\r\n", True, 200, b""),
        (b"HTTP/1.0 200 OK\r\n\r\nold", True, 200, b"old"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nold", False, 200, b"old"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", True, 200, b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, False, 200, b"ok"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", False, 404, b"none"),
    ],
)
@pytest.mark.parametrize("cut", [0, 1, 7])
async def test_answers_pass(answer: bytes, close: bool, status: int, body: bytes, cut: int) -> None:
    """In one piece, byte by byte, and in pieces of 7; the client connection can always be used for another request."""
    pieces = [answer] if cut == 0 else [answer[i : i + cut] for i in range(0, len(answer), cut)]
    async with backends(saying(*pieces, close=close)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(GET)
            got_status, _, got_body = await client.response()
            assert (got_status, got_body) == (status, body)
        assert client.buffer == b""


@pytest.mark.parametrize(
    ("answer", "close", "body"),
    [
        (OK, False, b"ok"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"one", b"two" * 9),
            False,
            b"one" + b"two" * 9,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", True, b"until the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, False, b"ok"),
    ],
)
@pytest.mark.parametrize("cut", [0, 1, 7])
async def test_answers_pass_to_http10(answer: bytes, close: bool, body: bytes, cut: int) -> None:
    """No chunked coding, no interim responses, and the close ends a response without a length."""
    pieces = [answer] if cut == 0 else [answer[i : i + cut] for i in range(0, len(answer), cut)]
    async with backends(saying(*pieces, close=close)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        everything = await client.rest()
        head, _, got = everything.partition(b"\r\n\r\n")
        assert got == body
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert b"chunked" not in head.lower()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%03d",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n%03d\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%03d",
    ],
    ids=["length", "chunked", "interim"],
)
async def test_answers_in_two_pieces_cut_anywhere(answer: bytes) -> None:
    """Each request gets its own response over one kept connection: no state of the previous response remains."""
    number = 0

    async def counting(peer: Peer) -> None:
        nonlocal number
        while True:
            await peer.request()
            whole = answer % number
            cut = number % len(whole)
            await peer.send(whole[:cut]) if cut else None
            await quiet(0.001)
            await peer.send(whole[cut:])
            number += 1

    async with backends(counting) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for expected in range(len(answer % 0) + 2):
            await client.send(GET)
            assert (await client.response())[2] == b"%03d" % expected
        assert backend.connections == 1


async def test_requests_in_two_pieces_cut_anywhere() -> None:
    """The backend receives every request unchanged, and the client receives one response for each."""
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        size = 200
        for cut in range(size):
            body = b"%05d" % cut
            first = b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n%s" % (body, body)
            second = b"PUT /%s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % body + chunked(body, body)
            both = first + second
            await client.send(both[:cut])
            await quiet(0.001)
            await client.send(both[cut:])
            for _ in range(2):
                assert (await client.response())[2] == b"ok"
            assert report[-3:] == [body, report[-2], body + body]
            assert report[-4].startswith(b"POST /" + body)
            assert report[-2].startswith(b"PUT /" + body)
        assert backend.connections == 1


async def test_http10_keep_alive() -> None:
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            status, fields, body = await client.response()
            assert (status, fields["connection"].lower(), body) == (200, "keep-alive", b"ok")


async def test_head_answers_have_no_body() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    async with backends(saying(answer)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            status, fields, _ = await client.response(to_head=True)
            assert (status, fields["content-length"]) == (200, "1000")
        assert backend.connections == 1


@pytest.mark.parametrize("cut", [0, 1, 5])
@pytest.mark.parametrize(
    ("framing", "sent", "got"),
    [
        (b"", b"", b""),
        (b"Content-Length: 0\r\n", b"", b""),
        (b"Content-Length: 11\r\n", b"hello world", b"hello world"),
        (b"Transfer-Encoding: chunked\r\n", chunked(b"hello", b" ", b"world"), b"hello world"),
        (b"Transfer-Encoding: chunked\r\n", chunked(b"x" * 300, trailer=b"Checksum: 1\r\n"), b"x" * 300),
    ],
)
async def test_request_bodies_pass(framing: bytes, sent: bytes, got: bytes, cut: int) -> None:
    report: list[bytes] = []
    request = b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n" + sent
    async with backends(reporting(report)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            for i in range(0, len(request), cut or len(request)):
                await client.send(request[i : i + (cut or len(request))])
                if cut:
                    await trio.lowlevel.checkpoint()
            assert (await client.response())[2] == b"ok"
        assert [report[1], report[3]] == [got, got]
        assert backend.connections == 1


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_big_bodies_both_ways(framing: str) -> None:
    async def echo(peer: Peer) -> None:
        while True:
            _, body = await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    head = b"POST / HTTP/1.1\r\nHost: a\r\n"
    if framing == "length":
        request = head + b"Content-Length: %d\r\n\r\n" % len(BIG) + BIG
    else:
        pieces = [BIG[i : i + 77_777] for i in range(0, len(BIG), 77_777)]
        request = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*pieces)
    async with backends(echo) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send, request)
                status, _, body = await client.response()
            assert status == 200
            assert body == BIG
        assert backend.connections == 1


async def test_what_the_backend_gets(transport: str) -> None:
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(
            b"GET /%7Ea/./b/../c?q=%7E HTTP/1.1\r\nHost: Shop.Example:8080\r\nConnection: x-gone\r\nX-Gone: 1\r\n"
            b"Keep-Alive: 5\r\nX-Stays: 2\r\ntraceparent: 00-1-2-03\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
        )
        await client.response()
        start, *lines = report[0].decode().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        assert start == "GET /~a/c?q=%7E HTTP/1.1"
        assert fields.pop("x-request-id")
        assert fields == {
            "host": "Shop.Example:8080",
            "x-stays": "2",
            "traceparent": "00-1-2-03",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "http" if transport == "plain" else "https",
            "x-forwarded-host": "Shop.Example:8080",
        }
        [line] = rig.lines()
        assert {name: line[name] for name in line if name not in ("time", "duration_us", "upstream_duration_us")} == {
            "method": "GET",
            "host": "shop.example",
            "path": "/~a/c",
            "protocol": "HTTP/1.1",
            "status": 200,
            "reason": None,
            "bytes_received": 170,
            "bytes_sent": len(OK) + len("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
            "upstream": f"127.0.0.1:{backend.port}",
            "gateway": "infra/gateway",
            "listener": "http",
            "route": "apps/route",
            "rule": "0",
            "backend": "b",
            "client": "127.0.0.1",
            "request_id": line["request_id"],
            "route_kind": "HTTPRoute",
            "user_agent": None,
            "referer": None,
            "upstream_protocol": "HTTP/1.1",
            "tls_version": None if transport == "plain" else "TLSv1.3",
            "tls_server_name": None if transport == "plain" else "a",
            "grpc_status": None,
            "trace_id": None,
            "tries": 1,
        }
        assert line["request_id"].encode() in report[0]


@pytest.mark.parametrize("make", [lambda name: name], ids=["each"])
async def test_filters_change_requests_and_answers(make: Callable[[str], str]) -> None:
    report: list[bytes] = []
    one = rule(
        snapshot.WeightedBackend(
            weight=1,
            backend="b",
            filters=(snapshot.HeaderModifier(direction="response", set=(snapshot.HeaderValue("X-Target", "1"),)),),
        ),
        path="/old",
        filters=(
            snapshot.HeaderModifier(direction="request", set=(snapshot.HeaderValue("X-Rule", make("2")),)),
            snapshot.Rewrite(hostname="inner.example", prefix="/new"),
        ),
    )
    async with backends(reporting(report)) as [backend], running(one) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET /old/x HTTP/1.1\r\nHost: outer.example\r\n\r\n")
        _, fields, _ = await client.response()
        assert fields["x-target"] == "1"
        assert report[0].startswith(b"GET /new/x HTTP/1.1\r\n")
        assert b"Host: inner.example\r\n" in report[0]
        assert b"X-Rule: 2\r\n" in report[0]


async def test_filters_of_the_rule_come_before_those_of_the_backend() -> None:
    def both(level: str) -> tuple[snapshot.HeaderModifier, ...]:
        fields = {"set": (snapshot.HeaderValue("X-Set", level),), "add": (snapshot.HeaderValue("X-Add", level),)}
        return tuple(snapshot.HeaderModifier(direction=direction, **fields) for direction in ("request", "response"))

    report: list[bytes] = []
    target = snapshot.WeightedBackend(weight=1, backend="b", filters=both("backend"))
    async with backends(reporting(report)) as [backend], running(rule(target, filters=both("rule"))) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Add: client\r\n\r\n")
        _, fields, _ = await client.response()
        assert (fields["x-set"], fields["x-add"]) == ("backend", "rule,backend")
        assert b"X-Set: backend\r\n" in report[0]
        assert b"X-Add: client,rule,backend\r\n" in report[0]
