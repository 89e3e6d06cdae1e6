"""Responses that the engine generates, and its reactions to backends that violate the protocol."""

from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio
from rig import GET, Peer, answering, backends, chunked, connect, quiet, reporting, rule, running, saying, soon

from fastroute import snapshot
from fastroute.ext.reactor.counters import HANDSHAKE_SLOT, NAMELESS_SLOT, summed_histograms
from fastroute.ext.routing.tables import TableBuilder
from fastroute.publication import RuleSlots
from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")


@pytest.mark.parametrize(
    ("request_bytes", "status", "reason", "protocol"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "host_missing", "HTTP/1.1"),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400, "bare_lf", "HTTP/1.1"),
        (b"GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "path_above_root", "HTTP/1.1"),
        (b"GET /../x HTTP/1.0\r\n\r\n", 400, "path_above_root", "HTTP/1.0"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version_unsupported", None),
        (b"GET / HTTP/x\r\nHost: a\r\n\r\n", 400, "version_invalid", None),
        (b"GET /\r\n", 400, "version_invalid", None),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "target_too_long", None),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431, "head_too_large", "HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 250 + b"\r\n", 431, "fields_too_many", "HTTP/1.1"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
            "transfer_encoding_unsupported",
            "HTTP/1.1",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "framing_ambiguous",
            "HTTP/1.1",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            400,
            "chunk_size_invalid",
            "HTTP/1.1",
        ),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, None, None),
    ],
)
async def test_refused_requests(request_bytes: bytes, status: int, reason: str | None, protocol: str | None) -> None:
    """The client gets a complete response and the connection is closed, the request is logged and counted, later bytes
    are ignored."""
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(request_bytes + GET)
        got, fields, _ = await client.response()
        assert got == status
        assert fields["connection"] == "close"
        assert await client.rest() == b""
        [line] = rig.lines()
        assert (line["status"], line["protocol"]) == (status, protocol)
        if reason is not None:
            assert line["reason"] == reason
            assert rig.local(reason) == 1
        assert b"GET" not in b"".join(report)


NO_BACKEND = snapshot.WeightedBackend(weight=1, backend="x/y:1", status=500, reason="reference_refused")


@pytest.mark.parametrize(
    ("rules", "path", "status", "reason"),
    [
        ((), b"/", 404, "no_rule"),
        ((rule("b", path="/a"),), b"/b", 404, "no_rule"),
        ((rule(),), b"/", 500, "no_backend_refs"),
        ((rule(NO_BACKEND),), b"/", 500, "reference_refused"),
        ((rule(snapshot.WeightedBackend(weight=0, backend="b")),), b"/", 500, "zero_weights"),
        ((rule("empty"),), b"/", 503, "no_endpoint"),
        ((rule(filters=[snapshot.Redirect(status=301, hostname="b.example")]),), b"/", 301, "redirect"),
    ],
)
@pytest.mark.parametrize(
    ("body", "stays"),
    [
        (b"\r\n", True),
        (b"Content-Length: 5\r\n\r\nhello", True),
        (b"Content-Length: 65536\r\n\r\n" + b"x" * 65536, True),
        (b"Content-Length: 65537\r\n\r\n", False),
        (b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"hello", b"x" * 5000), True),
        (b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 70_000), False),
        (b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", False),
    ],
)
async def test_own_answers_keep_the_connection(
    rules: Sequence[snapshot.Rule], path: bytes, status: int, reason: str, body: bytes, stays: bool
) -> None:
    """After a small body was read; the next request is not parsed as part of this body."""
    async with running(*rules, log=True) as rig:
        rig.put("b", 1)
        client = await connect(rig.port)
        request = b"POST " + path + b" HTTP/1.1\r\nHost: a\r\n" + body
        await client.send(request)
        got, fields, _ = await client.response()
        assert got == status
        assert rig.local(reason) == 1
        if stays:
            assert "connection" not in fields
            await client.send(request)
            assert (await client.response())[0] == status
            lines = rig.lines()
            assert [line["reason"] for line in lines] == [reason, reason]
            assert all(line["gateway"] and line["listener"] for line in lines)
        else:
            assert await client.rest() == b""


async def test_what_no_rule_took_counts_for_the_listener_that_the_log_names() -> None:
    """A request without a listener is counted for none."""
    async with running(rule("b", path="/a"), log=True) as rig:
        client = await connect(rig.port)
        for request in (b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n",) * 2 + (b"GET /b HTTP/3.0\r\n\r\n",):
            await client.send(request)
            await client.response()
        named = [(line["gateway"], line["listener"], line["route"]) for line in rig.lines()]
        assert named == [("infra/gateway", "http", None)] * 2 + [(None, None, None)]
        assert rig.counters.request_counts(10) == {404: 2}
        assert rig.counters.request_counts(NAMELESS_SLOT) == {505: 1}
        assert summed_histograms([rig.counters], 0, rig.counters.histograms).keys() <= {HANDSHAKE_SLOT}


async def test_a_listener_that_is_made_anew_for_its_rules_counts_where_it_did() -> None:
    async with running(rule("b", path="/a"), log=True) as rig:
        builder = TableBuilder(rig.upstreams, rig.tables, 2, rig.certificates)
        builder.put_rule(rule("b", path="/c"), RuleSlots())
        rig.engine.install(builder.finish())
        client = await connect(rig.port)
        await client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.response())[0] == 404
        assert rig.counters.request_counts(10) == {404: 1}


async def test_a_client_that_leaves_before_the_answer_of_its_listener_counts_there() -> None:
    async with running(log=True) as rig:
        client = await connect(rig.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        await client.response()
        await client.close()
        await soon(lambda: bool(rig.counters.request_counts(10)))
        assert rig.counters.request_counts(10) == {404: 1}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "upstream_closed"),
        (b"HTTP/1.1 200 OK\r\nContent-", "upstream_closed"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "upstream_closed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "upstream_malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "upstream_malformed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "upstream_malformed"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "upstream_malformed"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", "upstream_malformed"),
    ],
)
async def test_broken_backends_are_502(answer: bytes, reason: str) -> None:
    async with backends(saying(answer, close=True)) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(GET)
            status, fields, _ = await client.response()
            assert status == 502
            assert "connection" not in fields
        assert rig.local(reason) == 2
        line = rig.lines()[0]
        assert line["upstream"] == f"127.0.0.1:{backend.port}"
        assert line["backend"] == "b"


@pytest.mark.parametrize(
    ("answer", "minor", "truncated"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", 1, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", 1, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nzz\r\n", 1, True),
        (b"HTTP/1.1 200 OK\r\n\r\n12345", 1, False),
    ],
)
async def test_cut_answers_look_cut(answer: bytes, minor: int, truncated: bool) -> None:
    async with (
        backends(saying(*answer.partition(b"12345"), close=True)) as [backend],
        running(rule("b"), log=True) as rig,
    ):
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET / HTTP/1.%d\r\nHost: a\r\n\r\n" % minor)
        if truncated:
            with pytest.raises(EOFError):
                await client.response()
            [line] = rig.lines()
            assert line["reason"] in ("upstream_truncated", "chunk_size_invalid")
            assert line["status"] == 200
        else:
            assert (await client.response())[2] == b"12345"


async def test_what_came_before_a_cut_arrives() -> None:
    """Complete responses and the beginning of a truncated one reach a client that reads late and still has data to
    send."""
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(big)
        await peer.request()
        await peer.send(big[:200_000])

    async with backends(script) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        upload = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"y" * 200_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, GET * 2 + upload)  # it ends only if the responses are read
            await quiet(0.02)
            assert len((await client.response())[2]) == 300_000
            assert len(await client.rest()) > 190_000
        assert [line["reason"] for line in rig.lines()] == [None, "upstream_truncated"]


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n12345", Peer.reset),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", Peer.close),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", Peer.reset),
    ],
)
async def test_a_cut_answer_to_http10_is_a_reset(answer: bytes, how: Callable[[Peer], Awaitable[None]]) -> None:
    """An HTTP/1.0 client detects the end only by the close: a truncated response must not look complete."""

    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        await quiet()  # the engine has received it
        await how(peer)

    async with backends(cut) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await client.rest()


async def test_max_body() -> None:
    async with backends(answering) as [backend], running(rule("b"), limits=Limits(max_body=1000)) as rig:
        rig.put("b", backend.port)
        for body, status in [
            (b"Content-Length: 1000\r\n\r\n" + b"x" * 1000, 200),
            (b"Content-Length: 1001\r\n\r\n", 413),
            (b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 500, b"x" * 500), 200),
            (b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 500, b"x" * 501), 413),
        ]:
            client = await connect(rig.port)
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + body)
            assert (await client.response())[0] == status


MODIFIER = snapshot.HeaderModifier(
    direction="response",
    set=(snapshot.HeaderValue("X-Frame-Options", "DENY"), snapshot.HeaderValue("Content-Type", "text/html")),
    add=(snapshot.HeaderValue("X-Added", "1"),),
    remove=("Date",),
)
CORS = snapshot.Cors(
    origins=("https://a.example",), methods=("GET",), headers=(), expose=(), credentials=False, max_age=5
)
REDIRECT = snapshot.Redirect(status=301, hostname="b.example")
PREFLIGHT = b"OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n\r\n"


@pytest.mark.parametrize(
    ("one", "request_bytes", "status"),
    [
        (rule(filters=[REDIRECT, MODIFIER]), GET, 301),
        (rule(filters=[MODIFIER, REDIRECT]), GET, 301),
        (rule(NO_BACKEND, filters=[MODIFIER]), GET, 500),
        (rule(filters=[MODIFIER]), GET, 500),
        (rule("empty", filters=[MODIFIER]), GET, 503),
        (rule("closing", filters=[MODIFIER]), GET, 502),
        (rule("silent", filters=[MODIFIER], request_timeout_ms=50), GET, 504),
        (rule("silent", filters=[CORS, MODIFIER]), PREFLIGHT, 204),
        (rule(snapshot.WeightedBackend(weight=1, backend="b", filters=(REDIRECT,)), filters=[MODIFIER]), GET, 301),
        (rule("empty", filters=[MODIFIER]), b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 503),
    ],
)
async def test_response_modifiers_of_a_rule_act_on_every_answer_it_gives(
    one: snapshot.Rule, request_bytes: bytes, status: int
) -> None:
    async def silent(peer: Peer) -> None:
        await peer.rest()

    async with backends(silent, saying(b"", close=True)) as [backend, closing], running(one) as rig:
        rig.put("silent", backend.port)
        rig.put("closing", closing.port)
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(request_bytes)
            got, fields, body = await client.response(to_head=request_bytes.startswith(b"HEAD"))
            assert got == status
            assert (fields["x-frame-options"], fields["x-added"], fields["content-type"]) == ("DENY", "1", "text/html")
            assert "date" not in fields
            assert "location" in fields if status == 301 else "location" not in fields
            assert "access-control-max-age" in fields if status == 204 else body.startswith(b"%d" % status) or not body


@pytest.mark.parametrize(
    ("one", "request_bytes", "status"),
    [
        (rule("b", path="/a", filters=[MODIFIER]), GET, 404),
        (rule("b", filters=[MODIFIER]), b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (
            rule("b", filters=[MODIFIER]),
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
            400,
        ),
        (rule(snapshot.WeightedBackend(weight=1, backend="empty", filters=(MODIFIER,))), GET, 503),
    ],
    ids=["no rule", "head", "body", "of a backendRef"],
)
async def test_response_modifiers_act_on_no_other_answer_of_ours(
    one: snapshot.Rule, request_bytes: bytes, status: int
) -> None:
    async with running(one) as rig:
        rig.put("b", 1)
        client = await connect(rig.port)
        await client.send(request_bytes)
        got, fields, _ = await client.response()
        assert got == status
        assert "x-added" not in fields
        assert fields["date"]


MANY = b"X: y\r\n" * 201
TOO_LARGE = b"X: " + b"x" * 70_000 + b"\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "answer", "line", "reason"),
    [
        (GET, TOO_LARGE, "502 Bad Gateway: upstream_malformed: head_too_large (--max-head)", "head_too_large"),
        (GET, MANY, "502 Bad Gateway: upstream_malformed: fields_too_many (--max-fields)", "fields_too_many"),
        (
            GET.replace(b"\r\n\r\n", b"\r\n" + TOO_LARGE + b"\r\n"),
            b"",
            "431 Request Header Fields Too Large: head_too_large (--max-head)",
            "head_too_large",
        ),
        (
            GET.replace(b"\r\n\r\n", b"\r\n" + MANY + b"\r\n"),
            b"",
            "431 Request Header Fields Too Large: fields_too_many (--max-fields)",
            "fields_too_many",
        ),
        (
            b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
            b"",
            "414 URI Too Long: target_too_long (--max-target)",
            "target_too_long",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n",
            b"",
            "413 Content Too Large: body_too_large (--max-body)",
            "body_too_large",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + MANY + b"\r\n",
            b"",
            "431 Request Header Fields Too Large: trailers_too_large (--max-head, --max-fields)",
            "trailers_too_large",
        ),
    ],
)
async def test_an_answer_names_the_option_that_sets_the_limit(
    request_bytes: bytes, answer: bytes, line: str, reason: str
) -> None:
    script = saying(b"HTTP/1.1 200 OK\r\n" + answer + b"\r\n", close=True)
    async with backends(script) as [backend], running(rule("b"), limits=Limits(max_body=1000), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(request_bytes)
        assert (await client.response())[2].decode() == line + "\n"
        assert rig.lines()[0]["reason"] == reason


@pytest.mark.parametrize(
    ("limits", "sent", "line"),
    [
        (Limits(head_timeout=0.05), GET[:20], "408 Request Timeout: head_timeout (--head-timeout)"),
        (
            Limits(body_idle_timeout=0.05),
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
            "408 Request Timeout: body_timeout (--body-idle-timeout)",
        ),
    ],
)
async def test_an_answer_names_the_option_that_sets_the_time(limits: Limits, sent: bytes, line: str) -> None:
    async with backends(answering) as [backend], running(rule("b"), limits=limits) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(sent)
        assert (await client.response())[2].decode() == line + "\n"
