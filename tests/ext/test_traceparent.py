"""The field traceparent, and the trace of a request on real sockets: ids, the decision, tries."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from passages import silent
from rig import answering, backends, connect, free_port, reporting, rule, running, saying, soon

from fastroute.ext.message.tracecontext import parse
from fastroute.ext.reactor.accesslog import AccessLog
from fastroute.snapshot import HeaderModifier, HeaderValue, Retry
from fastroute.traces.record import Reader

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (VALID, True),
        (VALID[:-1] + "0", False),
        (VALID[:-2] + "ff", True),
        (VALID[:-2] + "02", False),
        ("01" + VALID[2:], True),
        ("01" + VALID[2:] + "-more", True),
        ("fe" + VALID[2:] + "-", True),
    ],
)
def test_a_valid_value(value, sampled):
    assert parse(value.encode()) == (TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        "",
        VALID[:-1],
        VALID + "-",
        VALID + "-00",
        VALID + "0",
        VALID.upper(),
        "ff" + VALID[2:],
        "0g" + VALID[2:],
        "01" + VALID[2:] + "0",
        VALID.replace("-", "_"),
        VALID.replace(TRACE, "0" * 32),
        VALID.replace(SPAN, "0" * 16),
        VALID.replace(TRACE, "g" + TRACE[1:]),
        VALID.replace(SPAN, SPAN[:-1] + "A"),
        VALID[:-2] + "0x",
        " " + VALID,
        VALID.replace("00-", "00--", 1)[:55],
    ],
)
def test_a_value_that_is_not_valid(value):
    assert parse(value.encode()) is None


@given(st.one_of(st.binary(max_size=80), st.text("0123456789abcdef-", min_size=50, max_size=60).map(str.encode)))
def test_any_bytes_are_read_or_refused(value):
    found = parse(value)
    assert found is None or found[0].encode() == value[3:35]


# --- requests


class Spans:
    """The lines that an engine writes for the main process."""

    def __init__(self):
        self.fd = os.memfd_create("spans")
        self.log = AccessLog(os.dup(self.fd), "traces")

    def read(self):
        self.log.flush_now()
        data = os.pread(self.fd, os.fstat(self.fd).st_size, 0)
        assert [json.loads(line) for line in data.splitlines()]
        found = Reader().read(data)
        assert len(found) == data.count(b"\n")
        return found


@pytest.fixture
def spans():
    made = Spans()
    yield made
    made.log.close()
    os.close(made.fd)


def asking(*fields):
    return b"GET /a?q HTTP/1.1\r\nHost: a\r\n" + b"".join(one.encode() + b"\r\n" for one in fields) + b"\r\n"


def parents(head):
    return [line.split(b": ")[1].decode() for line in head.split(b"\r\n") if line.lower().startswith(b"traceparent")]


async def sent(rig, *fields):
    client = await connect(rig.port)
    await client.send(asking(*fields))
    return (await client.response())[0]


async def test_without_tracing_the_field_passes_unchanged():
    report = []
    async with backends(reporting(report)) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        for value in (VALID, "nonsense"):
            assert await sent(rig, f"TraceParent: {value}", "tracestate: a=1,b=2") == 200
        assert [parents(head) for head in report[::2]] == [[VALID], ["nonsense"]]
        assert b"tracestate: a=1,b=2\r\n" in report[2]
        assert [line["trace_id"] for line in rig.lines()] == [TRACE, None]


async def test_a_sampled_parent_is_followed(spans):
    report = []
    options = {"spans": spans.log, "trace_sampling": 0.0, "log": True}
    async with backends(reporting(report)) as [backend], running(rule("b"), **options) as rig:
        rig.put("b", backend.port)
        assert await sent(rig, f"traceparent: {VALID}", "tracestate: a=1", "tracestate: b=2") == 200
        [parent] = parents(report[0])
        [traced] = spans.read()
        [attempt] = traced.attempts
        assert parent == f"00-{TRACE}-{attempt.span}-01"
        assert (traced.trace_id, traced.parent) == (TRACE, SPAN)
        assert len({traced.span, SPAN, attempt.span}) == 3
        assert b"tracestate: a=1\r\ntracestate: b=2\r\n" in report[0]
        [line] = rig.lines()
        assert line["trace_id"] == TRACE
        assert (traced.path, traced.status, traced.tries, traced.backend) == ("/a", 200, 1, "b")
        assert (attempt.status, attempt.endpoint, attempt.reason) == (200, f"127.0.0.1:{backend.port}", None)
        assert 0 <= attempt.started <= attempt.started + attempt.duration <= traced.duration
        assert traced.request_id == line["request_id"]


async def test_a_parent_that_is_not_sampled_is_not_exported(spans):
    report = []
    options = {"spans": spans.log, "trace_sampling": 1.0, "log": True}
    async with backends(reporting(report)) as [backend], running(rule("b"), **options) as rig:
        rig.put("b", backend.port)
        assert await sent(rig, f"traceparent: {VALID[:-1]}0") == 200
        [parent] = parents(report[0])
        assert parent.startswith(f"00-{TRACE}-")
        assert parent.endswith("-00")
        assert SPAN not in parent
        assert [line["trace_id"] for line in rig.lines()] == [TRACE]
        assert os.fstat(spans.fd).st_size == spans.log.dropped == 0


@pytest.mark.parametrize(
    "fields",
    [
        [],
        ["traceparent: nonsense"],
        [f"traceparent: {VALID}", f"traceparent: {VALID}"],
        [f"traceparent: {VALID}", "Connection: traceparent"],
    ],
    ids=["none", "invalid", "two", "nominated"],
)
@pytest.mark.parametrize("sampling", [0.0, 1.0])
async def test_without_a_valid_parent_a_trace_begins(fields, sampling, spans):
    report = []
    options = {"spans": spans.log, "trace_sampling": sampling}
    async with backends(reporting(report)) as [backend], running(rule("b"), **options) as rig:
        rig.put("b", backend.port)
        assert await sent(rig, *fields, "tracestate: a=1") == 200
        [parent] = parents(report[0])
        trace, span, sampled = parse(parent.encode())
        assert trace != TRACE
        assert sampled == (sampling == 1.0)
        assert b"tracestate" not in report[0]
        if sampled:
            [traced] = spans.read()
            assert (traced.trace_id, traced.parent, traced.attempts[0].span) == (trace, None, span)


async def test_a_part_of_the_traces_is_sampled(spans):
    report = []
    options = {"spans": spans.log, "trace_sampling": 0.5}
    async with backends(reporting(report)) as [backend], running(rule("b"), **options) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(200):
            await client.send(asking())
            await client.response()
        found = [parse(parents(head)[0].encode()) for head in report[::2]]
        assert len({trace for trace, _, _ in found}) == 200
        # As the samplers of OpenTelemetry decide.
        assert all(sampled == (int(trace[16:], 16) < 1 << 63) for trace, _, sampled in found)
        assert [one.trace_id for one in spans.read()] == [trace for trace, _, sampled in found if sampled]
        assert 40 < sum(sampled for _, _, sampled in found) < 160


async def test_each_try_has_a_span_that_the_backend_sees(spans):
    report, answers = (
        [],
        [b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    )

    async def failing(peer):
        while True:
            head, _ = await peer.request()
            report.append(head)
            await peer.send(answers[len(report) - 1])

    served = rule("b", retry=Retry(attempts=2, codes=(503,), backoff_ms=10))
    options = {"spans": spans.log, "trace_sampling": 1.0}
    async with backends(failing) as [backend], running(served, **options) as rig:
        rig.put("b", backend.port)
        assert await sent(rig) == 200
        [traced] = spans.read()
        assert [parse(parents(head)[0].encode()) for head in report] == [
            (traced.trace_id, one.span, True) for one in traced.attempts
        ]
        assert [(one.status, one.reason) for one in traced.attempts] == [(503, None), (200, None)]
        first, second = traced.attempts
        assert first.started + first.duration <= second.started


async def test_endpoints_that_refuse_have_spans(spans):
    options = {"spans": spans.log, "trace_sampling": 1.0}
    async with running(rule("b"), **options) as rig:
        ports = [free_port() for _ in range(3)]
        rig.put("b", *ports)
        assert await sent(rig) == 503
        [traced] = spans.read()
        assert {one.endpoint for one in traced.attempts} == {f"127.0.0.1:{port}" for port in ports}
        assert [(one.status, one.reason) for one in traced.attempts] == [(0, "connect_failed")] * 3
        assert (traced.status, traced.reason, traced.tries) == (503, "connect_failed", 3)


async def test_a_try_that_times_out_while_it_connects_has_the_reason(spans):
    """By the `backendRequest` timeout, which is shorter than the one to connect. A try that is repeated has it, too."""
    served = rule("b", retry=Retry(attempts=1, backoff_ms=10), backend_timeout_ms=100)
    options = {"spans": spans.log, "trace_sampling": 1.0}
    with silent() as port:
        async with running(served, held=True, **options) as rig:
            rig.put("b", port)
            client = await connect(rig.port)
            await client.send(asking())
            (status, _, _), _ = await rig.timed(client.response, 0.02)
            assert status == 504
            [traced] = spans.read()
            assert [(one.status, one.reason) for one in traced.attempts] == [(0, "backend_timeout")] * 2


async def test_of_many_tries_the_first_and_the_last_are_kept(spans):
    busy = saying(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    served = rule("b", retry=Retry(attempts=8, codes=(503,), backoff_ms=10))
    options = {"spans": spans.log, "trace_sampling": 1.0}
    async with backends(busy) as [backend], running(served, **options) as rig:
        rig.put("b", backend.port)
        assert await sent(rig) == 503
        [traced] = spans.read()
        assert (traced.tries, len(traced.attempts)) == (9, 6)
        starts = [one.started for one in traced.attempts]
        assert starts == sorted(starts)


async def test_a_local_answer_has_a_server_span_only(spans):
    options = {"spans": spans.log, "trace_sampling": 1.0}
    async with running(rule("b", path="/other"), **options) as rig:
        assert await sent(rig) == 404
        [traced] = spans.read()
        assert (traced.status, traced.reason, traced.attempts, traced.route) == (404, "no_rule", (), None)


async def test_a_filter_that_sets_the_field_wins(spans):
    report = []
    own = f"00-{'1' * 32}-{'2' * 16}-01"
    served = rule("b", filters=[HeaderModifier(direction="request", set=(HeaderValue("traceparent", own),))])
    options = {"spans": spans.log, "trace_sampling": 1.0}
    async with backends(reporting(report)) as [backend], running(served, **options) as rig:
        rig.put("b", backend.port)
        assert await sent(rig) == 200
        assert parents(report[0]) == [own]
        assert len(spans.read()) == 1


async def test_matches_see_the_field_as_it_came(spans):
    """It is replaced only after the rule is found."""
    options = {"spans": spans.log, "trace_sampling": 0.0, "log": True}
    async with backends(answering) as [backend], running(rule("b"), **options) as rig:
        rig.put("b", backend.port)
        assert await sent(rig, f"traceparent: {VALID}") == 200
        await soon(lambda: len(rig.lines()) == 1)


async def test_the_longest_values_fit_the_pipe(spans):
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    log = AccessLog(writer, "traces")
    options = {"spans": log, "trace_sampling": 1.0}
    async with backends(answering) as [backend], running(rule("b"), **options) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        path = b"/" + b"%01" * 2_500
        await client.send(b"GET %s HTTP/1.1\r\nHost: a\r\nUser-Agent: %s\r\n\r\n" % (path, b'"' * 20_000))
        assert (await client.response())[0] == 200
        log.flush_now()
        [traced] = Reader().read(os.read(reader, 8192))
        assert traced.path.endswith("...")
        assert (log.dropped, len(traced.attempts)) == (0, 1)
    log.close()
    os.close(reader)
