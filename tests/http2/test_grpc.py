"""Calls of gRPC: the answers of the gateway itself, deadlines of clients, and the status in the log and the metrics."""

from dataclasses import dataclass, field

import pytest
from http2.client import Fields, client
from peer import Peer
from rig import OK, Rig, backends, connect, rule, running, saying, soon

from fastroute.ext.routing.tables import REASONS
from fastroute.settings import Limits
from fastroute.snapshot import HeaderModifier, HeaderValue, Redirect, WeightedBackend

CALL = [("content-type", "application/grpc"), ("te", "trailers")]
REFUSED = WeightedBackend(weight=1, backend="b", status=500, reason="reference_refused")
TAGGED = HeaderModifier(direction="response", set=(HeaderValue("x-tag", "1"),))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n"


@pytest.fixture(params=["plain"])
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


@dataclass
class Case:
    status: int | None  # of gRPC; None: an answer of HTTP
    reason: str
    fields: Fields = ()
    path: str = "/a.B/C"
    method: str = "POST"
    type: str = "application/grpc+proto"
    rule: dict = field(default_factory=dict)
    backends: tuple = ("b",)
    body: bytes | None = None
    http: int = 200


CASES = {
    "no rule": Case(12, "no_rule", path="/other"),
    "a refused reference": Case(14, "reference_refused", backends=(REFUSED,), rule={"filters": [TAGGED]}),
    "no backendRefs": Case(14, "no_backend_refs", backends=()),
    "no endpoint": Case(14, "no_endpoint"),
    "a body that is too large": Case(
        8, "body_too_large (--max-body)", fields=[("content-length", "2000")], body=b"x" * 2000
    ),
    "a target that is too long": Case(8, "target_too_long (--max-target)", path="/a.B/" + "x" * 9000),
    "too many fields": Case(8, "fields_too_many (--max-fields)", [(f"x-{i}", "y") for i in range(300)]),
    "a path above the root": Case(13, "path_above_root", path="/../x"),
    "other fields": Case(14, "no_endpoint", type="Application/gRPC ; a=b"),
    "a redirect": Case(None, "redirect", rule={"filters": [Redirect(status=302, hostname="b")]}, http=302),
    "another type": Case(None, "no_endpoint", type="application/grpcx", http=503),
    "another method": Case(None, "no_endpoint", method="GET", http=503),
    "another method, refused": Case(None, "path_above_root", path="/../x", method="GET", http=400),
    "a method in lower case, refused": Case(None, "path_above_root", path="/../x", method="post", http=400),
}


@pytest.mark.parametrize("name", CASES)
async def test_an_answer_of_the_gateway(name: str) -> None:
    case = CASES[name]
    served = rule(*case.backends, path="/a.B", **case.rule)
    async with running(served, log=True, limits=Limits(max_body=1000)) as rig:
        rig.put("b")
        async with client(rig.port) as session:
            ask = await session.ask(case.method, case.path, [("content-type", case.type), *case.fields], case.body)
            status, fields, body = await ask.response()
        assert status == case.http
        if case.status is None:
            assert "grpc-status" not in fields
        else:
            assert (fields["grpc-status"], fields["grpc-message"]) == (str(case.status), case.reason)
            assert (fields["content-type"], body) == ("application/grpc", b"")
            assert "date" in fields
            assert "content-length" not in fields
            assert ("x-tag" in fields) is bool(case.rule)
        await soon(lambda: len(rig.lines()) == 1)
        [line] = rig.lines()
        assert (line["status"], line["grpc_status"]) == (case.http, case.status)
        assert line["reason"] == case.reason.partition(" ")[0]
        assert rig.local(line["reason"]) == 1
        assert [code for _, code, _ in rig.counters.used_calls()] == ([] if case.status is None else [case.status])


def test_reasons_need_no_escapes() -> None:
    """A grpc-message is percent-encoded: all octets except these."""
    assert all(32 <= ord(char) < 127 and char != "%" for reason in REASONS for char in reason)


async def test_over_http1_answers_are_those_of_http() -> None:
    async with running(rule("b"), log=True) as rig:
        rig.put("b")
        peer = await connect(rig.port)
        await peer.send(
            b"POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n"
        )
        status, fields, _ = await peer.response()
        assert (status, "grpc-status" in fields) == (503, False)
        await peer.close()
        await soon(lambda: len(rig.lines()) == 1)
        assert rig.lines()[0]["grpc_status"] is None


ANSWERS = {
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\ngrpc-status: 7\r\n\r\n", 7),
    "fields only": (HEAD + b"grpc-status: 0\r\nContent-Length: 0\r\n\r\n", 0),
    "both": (HEAD + b"grpc-status: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGRPC-Status: 5\r\n\r\n", 5),
    "not a number": (HEAD + b"grpc-status: none\r\nContent-Length: 0\r\n\r\n", 2),
    "a long number": (HEAD + b"grpc-status: 9999999999\r\nContent-Length: 0\r\n\r\n", 2),
    "none": (OK, None),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_status_of_a_backend(name: str) -> None:
    answer, expected = ANSWERS[name]
    async with backends(saying(answer)) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session:
            ask = await session.ask("POST", "/a.B/C", CALL, b"hello")
            status, fields, _ = await ask.response()
            assert status == 200
            assert "grpc-status" in {**fields, **dict(ask.trailers)} or expected is None
        await soon(lambda: len(rig.lines()) == 1)
        assert rig.lines()[0]["grpc_status"] == expected
        assert rig.counters.used_calls() == ([] if expected is None else [(1, expected, 1)])


async def silent(peer: Peer) -> None:
    await peer.request()
    await peer.rest()


TIMEOUTS = {  # grpc-timeout, the timeout of the rule in ms, and the seconds that apply; 0: none
    "300m": (0, 0.3),
    "1S": (0, 1.0),
    "400000u": (0, 0.4),
    "1500000n": (0, 0.01),
    "00000001": (400, 0.4),
    "2M": (400, 0.4),
    "100m": (400, 0.1),
    "0S": (400, 0.01),
    "123456789m": (400, 0.4),
    "1s": (400, 0.4),
    "-1m": (400, 0.4),
    "": (400, 0.4),
    "m": (400, 0.4),
    "99999999H": (400, 0.4),
}


async def ask_to_wait(rig: Rig, fields: Fields) -> dict[str, str]:
    async with client(rig.port) as session:
        ask = await session.ask("POST", "/a.B/C", fields, b"hello")
        _, found, _ = await ask.response()
        return found


@pytest.mark.parametrize("value", TIMEOUTS)
async def test_a_client_limits_the_time_of_its_call(value: str) -> None:
    limit, expected = TIMEOUTS[value]
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        heads.append((await peer.request())[0])
        await peer.rest()

    async with backends(script) as [backend], running(rule("b", request_timeout_ms=limit), held=True) as rig:
        rig.put("b", backend.port)
        fields, seconds = await rig.timed(lambda: ask_to_wait(rig, [*CALL, ("grpc-timeout", value)]))
        assert fields["grpc-status"] == "4"
        assert expected - 0.001 <= seconds < expected + 0.15
        assert b"grpc-timeout: " + value.encode() in heads[0]


async def test_only_calls_have_such_a_limit() -> None:
    async with backends(silent) as [backend], running(rule("b", request_timeout_ms=900), held=True) as rig:
        rig.put("b", backend.port)
        fields, seconds = await rig.timed(lambda: ask_to_wait(rig, [("grpc-timeout", "100m")]))
        assert fields[":status"] == "504"
        assert seconds >= 0.9
