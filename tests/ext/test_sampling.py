"""Listeners whose requests are traced as a policy says: the decision, and values of fields."""

import os

import msgspec
import pytest
from ext.test_traceparent import SPAN, TRACE, VALID, Spans
from rig import Rig, Slots, answering, backends, connect, listener, quiet, rule, running

from fastroute.ext.routing.tables import TableBuilder
from fastroute.snapshot import HeaderModifier, HeaderValue, ListenerTracing, Retry

LONG = "v" * 300


@pytest.fixture
def spans():
    made = Spans()
    yield made
    os.close(made.fd)


async def asked(rig: Rig, backend: object, *fields: str, host: str = "a") -> bytes:
    """The head that the backend gets."""
    peer = await connect(rig.port)
    await peer.send("\r\n".join(["GET / HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode())
    assert (await peer.response())[0] == 200
    await peer.close()
    await quiet()
    return backend.requests[-1]


def install(rig: Rig, tracing: ListenerTracing | None, *rules: object) -> None:
    rig.install_all([msgspec.structs.replace(listener(rig.port), tracing=tracing)], *(rules or (rule("b"),)))


def noting(peers: list) -> object:
    async def script(peer):
        while head := await peer.head():
            peers.append(head)
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    return script


class Heads:
    def __init__(self):
        self.requests = []


def traceparents(heads: list) -> list[bytes]:
    return [line.split(b": ", 1)[1] for line in heads[-1].split(b"\r\n") if line.lower().startswith(b"traceparent:")]


async def test_values_of_fields(spans):
    names = ("x-user", "x-long", "x-absent", "x-named", "x-empty")
    heads = Heads()
    async with backends(noting(heads.requests)) as [backend], running(rule("b"), spans=spans.log) as rig:
        rig.put("b", backend.port)
        install(rig, ListenerTracing(number=9, sampling=1.0, headers=names))
        fields = ["X-USER: ann", "x-user: bob", f"X-Long: {LONG}", "X-Named: 1", "Connection: x-named", "X-Empty:"]
        await asked(rig, heads, *fields)
        [one] = spans.read()
        assert one.policy == 9
        assert one.values == ("ann", LONG[:256], None, None, "")  # `x-named` is not forwarded


async def test_values_of_fields_that_only_the_answer_has(spans):
    """Of the last answer: that of a try before is forgotten."""

    async def script(peer):
        for status, value in (("503 Busy", "old"), ("200 OK", "new")):
            await peer.head()
            fields = "" if value == "new" else "X-Gone: 1\r\n"
            head = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nX-User: other\r\nX-Answer: {value}\r\n{fields}\r\n"
            await peer.send(head.encode())

    again = rule("b", retry=Retry(attempts=1, codes=(503,), backoff_ms=1))
    async with backends(script) as [backend], running(again, spans=spans.log) as rig:
        rig.put("b", backend.port)
        install(rig, ListenerTracing(number=9, sampling=1.0, headers=("x-user", "x-answer", "x-gone")), again)
        peer = await connect(rig.port)
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-User: ann\r\n\r\n")
        assert (await peer.response())[0] == 200
        await quiet()
        [one] = spans.read()
        assert (one.values, one.tries) == (("ann", "new", None), 2)


async def test_a_gateway_that_is_not_traced_passes_both_fields(spans):
    heads = Heads()
    async with (
        backends(noting(heads.requests)) as [backend],
        running(rule("b"), spans=spans.log, trace_sampling=1) as rig,
    ):
        rig.put("b", backend.port)
        install(rig, ListenerTracing(number=9, traced=False))
        await asked(rig, heads, f"traceparent: {VALID}", "tracestate: a=b")
        assert traceparents(heads.requests) == [VALID.encode()]
        assert b"tracestate: a=b" in heads.requests[-1]
        spans.log.flush_now()
        assert os.fstat(spans.fd).st_size == 0
        install(rig, None)
        await asked(rig, heads, f"traceparent: {VALID}")
        [one] = spans.read()
        assert (one.trace_id, one.parent, one.policy, one.values) == (TRACE, SPAN, 0, ())


async def test_two_gateways(spans):
    """Without --otlp, only requests of the one with a policy are traced."""
    heads = Heads()
    async with backends(noting(heads.requests)) as [backend], running(rule("b"), spans=spans.log, traced=False) as rig:
        rig.put("b", backend.port)
        tracing = ListenerTracing(number=9, sampling=1.0)
        other = msgspec.structs.replace(
            rule("b", name="1"), id="other|HTTPRoute|x/y|1", listener="other", hostnames=("c",)
        )
        listeners = [listener(rig.port), msgspec.structs.replace(listener(rig.port, "other", "c"), tracing=tracing)]
        rig.install_all(listeners, rule("b"), other)
        await asked(rig, heads)
        assert traceparents(heads.requests) == []
        await asked(rig, heads, host="c")
        assert [one.host for one in spans.read()] == ["c"]
        assert len(traceparents(heads.requests)) == 1


async def test_a_request_without_a_rule_belongs_to_its_listener(spans):
    async with running(spans=spans.log, traced=False) as rig:
        rig.install_all([msgspec.structs.replace(listener(rig.port), tracing=ListenerTracing(number=9, sampling=1.0))])
        peer = await connect(rig.port)
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await peer.response())[0] == 404
        await quiet()
        [one] = spans.read()
        assert (one.status, one.policy, one.gateway) == (404, 9, "infra/gateway")


@pytest.mark.parametrize("by_parent", [False, True])
async def test_a_part_of_the_traces_is_sampled(spans, by_parent):
    """The trace id decides, so all gateways with this part decide alike."""
    ids = [f"{number:016x}{number << 56:016x}" for number in range(1, 256, 5)]
    parent = 0.25 if by_parent else None
    async with backends(answering) as [backend], running(rule("b"), spans=spans.log) as rig:
        rig.put("b", backend.port)
        install(rig, ListenerTracing(number=9, sampling=1.0 if by_parent else 0.25, parent_sampling=parent))
        peer = await connect(rig.port)
        for id_ in ids:
            flag = "01" if by_parent else "00"  # without `parent_sampling`, the flag has no effect
            await peer.send(f"GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-{id_}-{SPAN}-{flag}\r\n\r\n".encode())
            assert (await peer.response())[0] == 200
        await quiet()
        assert [one.trace_id for one in spans.read()] == [id_ for id_ in ids if int(id_[16:], 16) < 2**64 // 4]


async def test_a_listener_that_only_gets_new_rules_keeps_its_tracing(spans):
    heads = Heads()
    async with backends(noting(heads.requests)) as [backend], running(rule("b"), spans=spans.log, traced=False) as rig:
        rig.put("b", backend.port)
        install(rig, ListenerTracing(number=9, sampling=1.0))
        builder = TableBuilder(rig.upstreams, rig.tables, 2, rig.certificates)
        more = [HeaderModifier(direction="request", set=(HeaderValue("X-A", "1"),))]
        builder.put_rule(rule("b", name="1", path="/more", filters=more), Slots((1,), 2, 3))
        rig.tables = builder.finish()
        rig.engine.install(rig.tables)
        await asked(rig, heads)
        assert len(spans.read()) == 1


async def test_the_gateway_in_a_long_line_is_not_cut(spans):
    """It decides who gets the spans."""
    name = f"{'n' * 63}/{'g' * 253}"
    heads = Heads()
    async with backends(noting(heads.requests)) as [backend], running(rule("b"), spans=spans.log) as rig:
        rig.put("b", backend.port)
        one = msgspec.structs.replace(listener(rig.port), gateway=name, tracing=ListenerTracing(number=9, sampling=1.0))
        rig.install_all([one], msgspec.structs.replace(rule("b"), gateway=name))
        await asked(rig, heads, f"User-Agent: {'u' * 8_000}", f"X-Forwarded-Host: {'h' * 200}")
        [line] = spans.read()
        assert line.gateway == name
