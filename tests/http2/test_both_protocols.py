"""What matters to users, over HTTP/1.1 and over HTTP/2: one table of cases, each sent over both, plain and with TLS, to
backends of both."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from http2.client import Fields, client
from http2.conftest import Towards
from http2.server import Channel
from msgspec.structs import replace
from peer import Peer
from rig import OK, Rig, Script, connect, rule, running, saying, soon

from fastroute.snapshot import (
    Cors,
    HeaderModifier,
    HeaderValue,
    Mirror,
    Redirect,
    Retry,
    Rewrite,
    Rule,
    Session,
    WeightedBackend,
)

pytestmark = pytest.mark.usefixtures("transport")


class Reply(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes


class Sent(NamedTuple):
    """A request of a case."""

    method: str = "GET"
    path: str = "/"
    fields: Fields = ()
    body: bytes | None = None


async def over_http1(rig: Rig, sent: Sent) -> Reply:
    lines = [f"{sent.method} {sent.path} HTTP/1.1", "Host: a", *(f"{name}: {value}" for name, value in sent.fields)]
    if sent.body is not None:
        lines.append(f"Content-Length: {len(sent.body)}")
    peer = await connect(rig.port)
    await peer.send("\r\n".join([*lines, "", ""]).encode() + (sent.body or b""))
    reply = Reply(*await peer.response(to_head=sent.method == "HEAD"))
    await peer.close()
    return reply


async def over_http2(rig: Rig, sent: Sent) -> Reply:
    fields = [(name.lower(), value) for name, value in sent.fields]
    if sent.body is not None:
        fields.append(("content-length", str(len(sent.body))))
    async with client(rig.port) as session:
        ask = await session.ask(sent.method, sent.path, fields, sent.body)
        return Reply(*await ask.response())


@pytest.fixture(params=[over_http1, over_http2])
def ask(request: pytest.FixtureRequest) -> Callable:
    return request.param


@dataclass
class Case:
    sent: Sent
    status: int
    filters: tuple = ()
    rule: dict = field(default_factory=dict)
    answer: bytes = OK
    fields: dict[str, str] = field(default_factory=dict)  # of the answer, at least
    body: bytes | None = None
    backend: tuple[str, ...] = ()  # expressions that the head of the backend's request matches
    untouched: bool = False  # the backend gets no request


BIG = b"x" * 200_000
CORS = Cors(origins=("https://x.com",), methods=("GET", "PUT"), max_age=7)
REFUSED = WeightedBackend(weight=1, backend="b", status=500, reason="reference_refused")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\r\nuntil the end"
# Names and values of every size up to three words.
SIZED = [(("aZ-9^mQ" * 4)[:size], ("v;W" * 9)[:size]) for size in range(1, 26)]
CASES = {
    "an answer": Case(Sent(), 200, body=b"ok", fields={"content-length": "2"}),
    "a query and fields": Case(
        Sent(path="/a%7eb?c=d&e", fields=[("X-A", "b, c")]), 200,
        backend=(r"^GET /a~b\?c=d&e HTTP/1.1\r", "x-a: b, c\r"),
    ),
    "fields of many sizes": Case(
        Sent(fields=SIZED), 200,
        answer=b"HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nok" % "".join(map("%s: %s\r\n".__mod__, SIZED)).encode(),
        fields={name.lower(): value for name, value in SIZED},
        backend=tuple(f"{re.escape(name)}: {value}\r" for name, value in SIZED),
    ),
    "what is forwarded": Case(
        Sent(fields=[("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Client-Cert", "x"), ("Proxy", "x")]),
        200,
        backend=("X-Forwarded-For: 127.0.0.1\r", "X-Forwarded-Host: a\r", "Host: a\r", "(?!.*(client-cert|proxy):)"),
    ),
    "HEAD": Case(
        Sent("HEAD"), 200, answer=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        fields={"content-length": "2"}, body=b"",
    ),
    "no content": Case(Sent(), 204, answer=b"HTTP/1.1 204 No Content\r\n\r\n", body=b""),
    "not modified": Case(
        Sent(), 304, answer=b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 9\r\n\r\n',
        fields={"etag": '"x"'},
    ),
    "a body": Case(Sent("POST", body=BIG), 200, backend=("Content-Length: 200000\r",)),
    "an empty body": Case(Sent("POST", body=b""), 200, backend=("Content-Length: 0\r",)),
    "a large answer": Case(
        Sent(), 200, answer=b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + BIG, body=BIG
    ),
    "an answer in chunks": Case(Sent(), 200, answer=CHUNKED, body=b"abcde"),
    "an answer that ends with the connection": Case(Sent(), 200, answer=CLOSING, body=b"until the end"),
    "a redirect": Case(
        Sent(path="/a?b"), 302, (Redirect(status=302, hostname="b.com", port=8080),), untouched=True,
        fields={"location": "http{s}://b.com:8080/a?b"},
    ),
    "rewritten": Case(
        Sent(path="/a/b"), 200, (Rewrite(hostname="new", full_path="/c"),), backend=("^GET /c HTTP", "Host: new\r")
    ),
    "fields of the request changed": Case(
        Sent(fields=[("X-A", "old"), ("X-B", "b")]), 200,
        (HeaderModifier(direction="request", set=(HeaderValue("X-A", "new"),), remove=("x-b",)),),
        backend=("X-A: new\r", "(?!.*x-b)"),
    ),
    "fields of the answer changed": Case(
        Sent(), 200, (HeaderModifier(direction="response", add=(HeaderValue("X-New", "y"),)),), fields={"x-new": "y"}
    ),
    "a preflight": Case(
        Sent("OPTIONS", fields=[("Origin", "https://x.com"), ("Access-Control-Request-Method", "PUT")]), 204, (CORS,),
        fields={"access-control-allow-origin": "https://x.com", "access-control-max-age": "7"}, untouched=True,
    ),
    "an answer for another origin": Case(
        Sent(fields=[("Origin", "https://x.com")]), 200, (CORS,),
        fields={"access-control-allow-origin": "https://x.com"},
    ),
    "no rule": Case(Sent(path="/other"), 404, rule={"path": "/only"}, untouched=True),
    "a refused share": Case(
        Sent(), 500, rule={"backends": (REFUSED,)}, untouched=True,
        body=b"500 Internal Server Error: reference_refused\n",
    ),
    "a refused share, HEAD": Case(Sent("HEAD"), 500, rule={"backends": (REFUSED,)}, body=b"", untouched=True),
    "a backend that talks nonsense": Case(Sent(), 502, answer=b"nonsense\r\n\r\n"),
    "OPTIONS *": Case(Sent("OPTIONS", "*"), 200, untouched=True),
    "the last forward": Case(Sent("OPTIONS", fields=[("Max-Forwards", "0")]), 200, untouched=True),
    "one forward": Case(Sent("OPTIONS", fields=[("Max-Forwards", "2")]), 200, backend=("Max-Forwards: 1\r",)),
    "a loop": Case(Sent(fields=[("Fastroute-Loop", "mine")]), 508, untouched=True),
    "a mark": Case(
        Sent(fields=[("Fastroute-Loop", "a")]), 200, backend=("fastroute-loop: a\r.*Fastroute-Loop: mine\r",)
    ),
    "a path above the root": Case(Sent(path="/../x"), 400, untouched=True),
    "a long target": Case(Sent(path="/" + "x" * 9000), 414, untouched=True),
    "a bad host": Case(Sent(fields=[("X-Forwarded-Host", "x y")]), 200),
    "interim answers": Case(Sent(), 200, answer=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, body=b"ok"),
    "underscores": Case(Sent(fields=[("X_User", "root")]), 200, backend=("(?!.*x_user)",)),
}  # fmt: skip


def served(case: Case) -> Rule:
    options = dict(case.rule)
    return rule(*options.pop("backends", ("b",)), filters=case.filters, **options)


def recording(heads: list[str], answer: bytes) -> Script:
    async def script(peer: Peer) -> None:
        head, _ = await peer.request()
        heads.append(head.decode())
        if answer.startswith(b"nonsense") and isinstance(peer, Channel):
            await peer.link.raw(answer)
        else:
            await peer.send(answer)
        if b"Connection: close" in answer or answer.startswith(b"nonsense") or isinstance(peer, Channel):
            return
        await script(peer)

    return script


@pytest.mark.parametrize("name", CASES)
async def test_a_case(name: str, ask: Callable, towards: Towards, transport: str) -> None:
    case = CASES[name]
    heads: list[str] = []
    async with (
        towards.backends(recording(heads, case.answer)) as [backend],
        running(served(case), installation="mine", log=True) as rig,
    ):
        towards.put(rig, "b", backend.port)
        reply = await ask(rig, case.sent)
        assert reply.status == case.status, reply
        if case.body is not None:
            assert reply.body == case.body
        for one, value in case.fields.items():
            assert reply.fields[one] == value.replace("{s}", "s" if transport == "tls" else ""), reply.fields
        for expression in case.backend:
            assert re.search("(?is)^(?=.*)" + expression if "(?!" in expression else "(?is)" + expression, heads[0]), (
                heads
            )
        assert bool(heads) is not case.untouched
        await soon(lambda: len(rig.lines()) == 1)
        [line] = rig.lines()
        protocols = ("HTTP/2",) if ask is over_http2 else ("HTTP/1.1", None)  # None: refused before the version
        assert line["protocol"] in protocols
        assert line["upstream_protocol"] == (None if case.untouched else towards.name)
        assert line["status"] == case.status


async def test_mirrors_and_retries(ask: Callable, towards: Towards) -> None:
    copies: list[str] = []
    heads: list[str] = []
    answers = [b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", OK]

    async def failing(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            heads.append(head.decode() + body.decode())
            await peer.send(answers[min(len(heads) - 1, 1)])

    served = rule("b", filters=[Mirror(backend="m")], retry=Retry(attempts=2, codes=(503,), backoff_ms=1))
    async with towards.backends(failing, recording(copies, OK)) as [backend, mirror], running(served) as rig:
        towards.put(rig, "b", backend.port)
        towards.put(rig, "m", mirror.port)
        reply = await ask(rig, Sent("PUT", body=b"hello"))
        assert (reply.status, reply.body) == (200, b"ok")
        assert len(heads) == 2
        assert heads[0] == heads[1]
        assert heads[0].endswith("hello")
        await soon(lambda: bool(copies))


@pytest.mark.parametrize("header", [False, True])
async def test_sessions(ask: Callable, towards: Towards, header: bool) -> None:
    """The token of an answer leads to the same endpoint."""
    session = Session(name="sticky", key=bytes(16), header=header)
    scripts = [saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % i) for i in range(4)]
    async with towards.backends(*scripts) as ends, running(replace(rule("b"), session=session)) as rig:
        towards.put(rig, "b", *(end.port for end in ends))
        first = await ask(rig, Sent())
        if header:
            fields = [("sticky", first.fields["sticky"])]
        else:
            fields = [("Cookie", "x=y"), ("Cookie", first.fields["set-cookie"].partition(";")[0])]
            fields = fields if ask is over_http2 else [("Cookie", "; ".join(value for _, value in fields))]
        for _ in range(6):
            assert (await ask(rig, Sent(fields=fields))).body == first.body


@pytest.mark.parametrize("option", ["request_timeout_ms", "backend_timeout_ms"])
async def test_timeouts(ask: Callable, towards: Towards, option: str) -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.rest()

    async with towards.backends(silent) as [backend], running(rule("b", **{option: 300}), held=True) as rig:
        towards.put(rig, "b", backend.port)
        reply, seconds = await rig.timed(lambda: ask(rig, Sent()))
        assert reply.status == 504
        assert 0.3 <= seconds < 0.6


async def test_no_endpoint(ask: Callable, towards: Towards) -> None:
    async with running(rule("b")) as rig:
        towards.put(rig, "b")
        assert (await ask(rig, Sent())).status == 503


async def test_an_early_answer(ask: Callable, towards: Towards) -> None:
    """The client gets the answer of a backend that does not read the body."""

    async def hasty(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")

    async with towards.backends(hasty) as [backend], running(rule("b")) as rig:
        towards.put(rig, "b", backend.port)
        reply = await ask(rig, Sent("POST", body=b"x" * 1000))
        assert (reply.status, reply.body) == (413, b"no\n")
