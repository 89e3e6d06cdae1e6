"""Calls of gRPC-Web that a GRPCRoute takes: its backend serves gRPC."""

import base64
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from http2.server import Channel, spoken
from http2.webclient import BINARY, TEXT, call, framed
from msgspec.structs import replace
from peer import Peer
from rig import Rig, backends, connect, rule, running, soon

from fastroute.settings import Limits
from fastroute.snapshot import Backend, Cors, Mirror, WeightedBackend

PROTOCOLS = ("HTTP/1.1", "HTTP/2")
KINDS = (BINARY, TEXT)
HEAD = [(":status", "200"), ("content-type", "application/grpc+proto"), ("x-head", "1")]
REFUSED = WeightedBackend(weight=1, backend="b", status=500, reason="reference_refused")
SHARING = Cors(origins=("https://page.example.com",), methods=("POST",), headers=("*", "Authorization"))


@pytest.fixture(params=["plain"])
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


@dataclass
class Seen:
    """What the backend got."""

    requests: list[tuple[bytes, bytes]] = field(default_factory=list)


def replying(seen: Seen, *messages: bytes, end: Sequence[tuple[str, str]] = (("grpc-status", "0"),)) -> Callable:
    async def script(channel: Channel) -> None:
        seen.requests.append(await channel.request())
        await channel.answer(HEAD)
        for message in messages:
            await channel.content(framed(message))
        await channel.finish(end)

    return script


@asynccontextmanager
async def serving(script: Callable, *targets: str | WeightedBackend, log: bool = True, **options):
    """A rig with the rule of a GRPCRoute for the service a.B."""
    served = replace(rule(*(targets or ("b",)), path="/a.B", **options), calls=True)
    async with backends(spoken(script)) as [backend], running(served, log=log, limits=Limits(max_body=100_000)) as rig:
        rig.upstreams.speak("b", Backend(protocol="h2"))
        rig.put("b", backend.port)
        yield rig


def as_text(*parts: bytes) -> bytes:
    """Each part encoded separately, with its own padding."""
    return b"".join(map(base64.b64encode, parts))


def in_kind(kind: str, body: bytes) -> bytes:
    return as_text(body) if kind.startswith(TEXT) else body


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", [BINARY, f"{BINARY}+proto", TEXT, f"{TEXT}+proto"])
async def test_a_call(protocol: str, kind: str) -> None:
    seen = Seen()
    end = [("grpc-status", "7"), ("grpc-message", "no way"), ("x-tail-bin", "AAEC")]
    async with serving(replying(seen, b"first", b"", b"x" * 40_000, end=end)) as rig:
        found = await call(rig, protocol, kind, [in_kind(kind, framed(b"hello"))])
        assert found.status == 200
        assert found.fields["content-type"] == kind.removesuffix("+proto") + "+proto"
        assert found.fields["x-head"] == "1"
        assert found.messages == [b"first", b"", b"x" * 40_000]
        assert found.trailers == dict(end)
        [(head, body)] = seen.requests
        suffix = b"+proto" if kind.endswith("+proto") else b""
        assert b"Content-Type: application/grpc%s\r\n" % suffix in head
        assert b"\r\nTe: trailers\r\n" in head
        assert body == framed(b"hello")
        await soon(lambda: len(rig.lines()) == 1)
        line = rig.lines()[0]
        assert (line["protocol"], line["grpc_status"], line["upstream_protocol"]) == (protocol, 7, "HTTP/2")
        assert rig.counters.used_calls() == [(1, 7, 1)]


SPLITS = {
    "whole": lambda data: [as_text(data)],
    "each octet encoded separately": lambda data: [as_text(bytes([octet])) for octet in data],
    "parts with padding in one piece": lambda data: [as_text(data[:1], data[1:3], data[3:])],
    "split in every place": lambda data: [bytes([octet]) for octet in as_text(data)],
    "pieces of five": lambda data: [as_text(data)[i : i + 5] for i in range(0, len(as_text(data)), 5)],
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("split", SPLITS)
async def test_text_may_be_split_and_padded_anywhere(protocol: str, split: str) -> None:
    seen = Seen()
    message = bytes(range(256))
    async with serving(replying(seen, b"ok")) as rig:
        found = await call(rig, protocol, TEXT, SPLITS[split](framed(message)))
        assert (found.messages, found.outcome[0]) == ([b"ok"], "0")
        assert seen.requests[0][1] == framed(message)


WRONG = {
    "no digit": b"AAA.",
    "a space": b"AAAA AAAA",
    "a line break": b"AAAA\r\n",
    "padding first": b"====",
    "padding too early": b"A===",
    "a digit after padding": b"AA=A",
    "incomplete": b"AAAAA",
    "without padding": b"AAAAAA",
    "only one digit": b"A",
    "other digits": b"AA-_",
    "NUL": b"AAA\0",
    "octets above 127": b"\xff\xfe\xfd\xfc",
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize("pieces", [1, 2])
async def test_wrong_text_is_refused(protocol: str, text: str, pieces: int) -> None:
    async def script(channel: Channel) -> None:
        await channel.until_reset()

    async with serving(script) as rig:
        parts = [WRONG[text]] if pieces == 1 else [b"AAAA", WRONG[text]]
        found = await call(rig, protocol, TEXT, parts)
        assert (found.status, found.messages, found.trailers) == (200, [], None)
        assert found.outcome == ("13", "grpc_web_text_invalid")
        await soon(lambda: rig.engine.statistics().exchanges == 0)
        assert rig.lines()[0]["reason"] == "grpc_web_text_invalid"


async def test_wrong_text_after_the_answer_has_begun() -> None:
    async def script(channel: Channel) -> None:
        await channel.answer(HEAD)
        await channel.content(framed(b"early"))
        await channel.until_reset()

    async with serving(script) as rig:
        peer = await connect(rig.port)
        lines = ["POST /a.B/C HTTP/1.1", "Host: a", f"Content-Type: {TEXT}", "Transfer-Encoding: chunked"]
        await peer.send("\r\n".join(lines).encode() + b"\r\n\r\n4\r\nAAAA\r\n")
        start = await peer.until(base64.b64encode(framed(b"early")))
        assert b"200 OK" in start
        await peer.send(b"4\r\n!!!!\r\n")
        rest = await peer.until(b"\r\n0\r\n\r\n")
        assert b"grpc-status: 13\r\n" in base64.b64decode(rest.split(b"\r\n")[2])
        await peer.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_of_fields_only(protocol: str, kind: str) -> None:
    async def script(channel: Channel) -> None:
        await channel.request()
        await channel.answer([*HEAD, ("grpc-status", "5"), ("grpc-message", "none")], end=True)

    async with serving(script) as rig:
        found = await call(rig, protocol, kind, [in_kind(kind, framed(b"x"))])
        assert (found.messages, found.trailers, found.outcome) == ([], None, ("5", "none"))
        assert found.fields["content-type"] == f"{kind}+proto"


ACCEPTS = {
    (BINARY, TEXT): TEXT,
    (TEXT, BINARY): BINARY,
    (TEXT, f"{TEXT}+proto"): TEXT,
    (TEXT, "*/*"): TEXT,
    (BINARY, "application/json"): BINARY,
}


@pytest.mark.parametrize(("asked", "accepted"), ACCEPTS)
async def test_accept_chooses_the_form_of_the_answer(asked: str, accepted: str) -> None:
    seen = Seen()
    async with serving(replying(seen, b"ok")) as rig:
        found = await call(rig, "HTTP/1.1", asked, [in_kind(asked, framed(b"x"))], fields=[("accept", accepted)])
        assert found.fields["content-type"] == f"{ACCEPTS[asked, accepted]}+proto"
        assert (found.messages, found.outcome[0], seen.requests[0][1]) == ([b"ok"], "0", framed(b"x"))


async def test_an_answer_that_is_not_one_of_grpc() -> None:
    async def script(channel: Channel) -> None:
        await channel.request()
        await channel.answer([(":status", "404"), ("content-type", "text/html")])
        await channel.content(b"<p>none</p>", end=True)

    async with serving(script) as rig:
        found = await call(rig, "HTTP/1.1", TEXT, [as_text(framed(b"x"))])
        assert (found.status, found.fields["content-type"], found.messages) == (404, "text/html", [b"<p>none</p>"])


MIRRORED = replace(rule("b", path="/a.B", filters=[Mirror(backend="m")]), calls=True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_mirror_gets_the_same_call(protocol: str, kind: str, pieces: int) -> None:
    seen, mirrored = Seen(), Seen()
    scripts = spoken(replying(seen, b"ok")), spoken(replying(mirrored))
    async with backends(*scripts) as [backend, mirror], running(MIRRORED) as rig:
        for name, port in (("b", backend.port), ("m", mirror.port)):
            rig.upstreams.speak(name, Backend(protocol="h2"))
            rig.put(name, port)
        body = in_kind(kind, framed(b"hello world!"))
        parts = [body] if pieces == 1 else [body[:3], body[3:10], body[10:]]
        found = await call(rig, protocol, f"{kind}+proto", parts)
        assert found.messages == [b"ok"]
        await soon(lambda: len(mirrored.requests) == 1)
        assert mirrored.requests == seen.requests
        head, content = mirrored.requests[0]
        assert b"\r\nContent-Type: application/grpc+proto\r\n" in head
        assert b"\r\nTe: trailers\r\n" in head
        assert content == framed(b"hello world!")


async def test_a_mirror_of_another_protocol_gets_a_whole_request() -> None:
    """A wrong Content-Length would take a part of the next request on the connection."""
    requests: list[tuple[bytes, bytes]] = []

    async def over_http1(peer: Peer) -> None:
        while True:
            requests.append(await peer.request())
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with backends(spoken(replying(Seen(), b"ok")), over_http1) as [backend, mirror], running(MIRRORED) as rig:
        rig.upstreams.speak("b", Backend(protocol="h2"))
        rig.put("b", backend.port)
        rig.put("m", mirror.port)
        for count in (1, 2):
            await call(rig, "HTTP/1.1", TEXT, [as_text(framed(b"hello world!"))])
            await soon(lambda count=count: len(requests) == count)
        for head, content in requests:
            assert b"\r\ncontent-type: application/grpc\r\n" in head
            assert content == framed(b"hello world!")


@dataclass
class Local:
    status: int  # of gRPC
    reason: str
    targets: tuple = ("b",)
    path: str = "/a.B/C"
    size: int = 1


LOCAL = {
    "a refused reference": Local(14, "reference_refused", (REFUSED,)),
    "no rule": Local(12, "no_rule", path="/c.D/E"),
    "a body that is too large": Local(8, "body_too_large", size=200_000),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LOCAL)
async def test_an_answer_of_the_gateway(protocol: str, kind: str, name: str) -> None:
    case = LOCAL[name]
    async with serving(replying(Seen(), b"ok"), *case.targets, filters=[SHARING]) as rig:
        origin = [("origin", "https://page.example.com")]
        found = await call(rig, protocol, kind, [in_kind(kind, b"x" * case.size)], path=case.path, fields=origin)
        assert (found.status, found.messages, found.trailers) == (200, [], None)
        assert (found.fields["content-type"], found.outcome[0]) == (kind, str(case.status))
        shared = found.fields.get("access-control-allow-origin")
        if name != "a body that is too large":  # its length may be known before the rule
            assert shared == (origin[0][1] if name == "a refused reference" else None)
        await soon(lambda: len(rig.lines()) == 1)
        line = rig.lines()[0]
        assert (line["status"], line["grpc_status"], line["reason"]) == (200, case.status, case.reason)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_backend_that_breaks_off(protocol: str, kind: str) -> None:
    async def script(channel: Channel) -> None:
        await channel.request()
        await channel.answer(HEAD)
        await channel.content(framed(b"one"))
        await channel.reset()

    async with serving(script) as rig:
        found = await call(rig, protocol, kind, [in_kind(kind, framed(b"x"))])
        assert (found.messages, found.outcome) == ([b"one"], ("14", "upstream_truncated"))


async def test_messages_arrive_as_they_are_sent() -> None:
    """Server streaming: nothing waits for the end."""
    go = trio.Event()

    async def script(channel: Channel) -> None:
        await channel.request()
        await channel.answer(HEAD)
        await channel.content(framed(b"one"))
        await go.wait()
        await channel.finish([("grpc-status", "0")])

    async with serving(script) as rig:
        peer = await connect(rig.port)
        body = as_text(framed(b"x"))
        lines = ["POST /a.B/C HTTP/1.1", "Host: a", f"Content-Type: {TEXT}", f"Content-Length: {len(body)}"]
        await peer.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await peer.until(base64.b64encode(framed(b"one")))
        go.set()
        await peer.until(base64.b64encode(b"\x80\0\0\0\x10grpc-status: 0\r\n"))
        await peer.close()


# --- pages of other origins


def preflight(origin: str, asked: str = "content-type,x-grpc-web,authorization", method: str = "POST") -> bytes:
    lines = ["OPTIONS /a.B/C HTTP/1.1", "Host: a", f"Origin: {origin}", f"Access-Control-Request-Method: {method}"]
    return "\r\n".join([*lines, f"Access-Control-Request-Headers: {asked}", "", ""]).encode()


async def asked_for(rig: Rig, head: bytes) -> tuple[int, dict[str, str], bytes]:
    peer = await connect(rig.port)
    await peer.send(head)
    found = await peer.response()
    await peer.close()
    return found


async def test_preflights() -> None:
    async with serving(replying(Seen(), b"ok"), filters=[SHARING]) as rig:
        status, fields, _ = await asked_for(rig, preflight("https://page.example.com"))
        assert status == 204
        assert fields["access-control-allow-origin"] == "https://page.example.com"
        assert fields["access-control-allow-methods"] == "POST"
        assert fields["access-control-allow-headers"] == "*, Authorization"
        status, fields, _ = await asked_for(rig, preflight("https://evil.example.com"))
        assert (status, "access-control-allow-origin" in fields) == (204, False)


@pytest.mark.parametrize(("asked", "method"), [("content-type", "POST"), ("x-grpc-web", "PUT")])
async def test_other_preflights_are_not_for_calls(asked: str, method: str) -> None:
    async with serving(replying(Seen(), b"ok"), filters=[SHARING]) as rig:
        status, fields, _ = await asked_for(rig, preflight("https://page.example.com", asked, method))
        assert (status, "access-control-allow-origin" in fields) == (404, False)


async def test_a_rule_without_origins_answers_no_preflights() -> None:
    async with serving(replying(Seen(), b"ok")) as rig:
        assert (await asked_for(rig, preflight("https://page.example.com")))[0] == 404


async def test_an_answer_names_the_origin() -> None:
    async with serving(replying(Seen(), b"ok"), filters=[SHARING]) as rig:
        fields = [("origin", "https://page.example.com")]
        found = await call(rig, "HTTP/1.1", TEXT, [as_text(framed(b"x"))], fields=fields)
        assert found.fields["access-control-allow-origin"] == "https://page.example.com"
        assert found.fields["vary"] == "Origin"
        assert found.messages == [b"ok"]
