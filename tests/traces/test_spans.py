"""The spans of a request: kinds, parents, times, names, attributes, errors; their bytes are those of the SDK."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from traces.collector import attributes

from fastroute.traces.batch import SCOPE, Batches
from fastroute.traces.encoding import export_request, spans_of
from fastroute.traces.record import WHOLE, Attempt, Reader, Traced
from fastroute.traces.spans import client_kind, client_own, name_of, server_kind, server_own

TRACE, SERVER, CLIENT, REMOTE = "0af7651916cd43dd8448eb211c80319c", "b" * 16, "c" * 16, "d" * 16
FIRST = Attempt(CLIENT, 100, 800, "10.0.0.9:8080", 200, None)
REQUEST = Traced(
    started=1_767_225_599_000_042,
    duration=1_000,
    trace_id=TRACE,
    span=SERVER,
    parent=REMOTE,
    method="GET",
    host="example.com",
    path="/fruits",
    encrypted=True,
    version=2,
    status=200,
    reason=None,
    grpc_status=None,
    client="10.0.0.7",
    request_id="7f0c",
    user_agent="curl/8.11",
    gateway="infra/gw",
    listener="https",
    route="infra/fruits",
    route_kind="HTTPRoute",
    rule="0",
    backend="bananas/echo:80",
    tries=1,
    backend_encrypted=False,
    authority="example.com",
    backend_path="/v2/fruits",
    backend_version=1,
    attempts=(FIRST,),
)


RESOURCE = {"service.name": "fastroute", "process.pid": 7}
OK, ERROR = 0, 2  # codes of a status


def read(data):
    message = ExportTraceServiceRequest()
    message.ParseFromString(data)
    return message


def spans(**changes):
    request = msgspec.structs.replace(REQUEST, **changes)
    message = read(export_request(RESOURCE, SCOPE, spans_of(request)))
    return list(message.resource_spans[0].scope_spans[0].spans)


def test_a_request_is_a_server_span_and_a_client_span():
    server, client = spans()
    assert (server.kind, client.kind) == (2, 3)
    assert server.trace_id.hex() == client.trace_id.hex() == TRACE
    assert (server.span_id.hex(), client.span_id.hex()) == (SERVER, CLIENT)
    assert (server.parent_span_id.hex(), client.parent_span_id.hex()) == (REMOTE, SERVER)
    assert (server.start_time_unix_nano, server.end_time_unix_nano) == (
        1_767_225_599_000_042_000,
        1_767_225_599_001_042_000,
    )
    assert (client.start_time_unix_nano, client.end_time_unix_nano) == (
        1_767_225_599_000_142_000,
        1_767_225_599_000_942_000,
    )
    assert (server.status.code, client.status.code) == (OK, OK)
    assert (server.name, client.name) == ("GET", "GET")


def test_attributes():
    server, client = spans()
    assert attributes(server) == {
        "http.request.method": "GET",
        "url.scheme": "https",
        "url.path": "/fruits",
        "server.address": "example.com",
        "http.response.status_code": 200,
        "network.protocol.version": "2",
        "client.address": "10.0.0.7",
        "user_agent.original": "curl/8.11",
        "fastroute.gateway": "infra/gw",
        "fastroute.listener": "https",
        "fastroute.route": "infra/fruits",
        "fastroute.route_kind": "HTTPRoute",
        "fastroute.rule": "0",
        "fastroute.backend": "bananas/echo:80",
        "fastroute.request_id": "7f0c",
        "fastroute.tries": 1,
    }
    assert attributes(client) == {
        "http.request.method": "GET",
        "url.full": "http://example.com/v2/fruits",
        "server.address": "10.0.0.9",
        "server.port": 8080,
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }


def test_a_span_without_a_parent_is_a_root():
    assert spans(parent=None)[0].parent_span_id == b""


def test_a_method_that_is_not_known_is_no_name():
    server, client = spans(method="BREW")
    assert (server.name, client.name) == ("HTTP", "HTTP")
    assert attributes(server)["http.request.method"] == "_OTHER"
    assert attributes(server)["http.request.method_original"] == "BREW"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"status": 503, "reason": "no_endpoint"}, "no_endpoint"),
        ({"status": 500}, "500"),
        ({"status": 0, "reason": "client_closed"}, "client_closed"),
        ({"grpc_status": 14}, "14"),
        ({"grpc_status": 5}, None),
        ({"status": 404, "reason": "no_rule"}, None),
    ],
)
def test_errors_of_the_server(changes, error):
    server = spans(**changes)[0]
    assert attributes(server).get("error.type") == error
    assert server.status.code == (OK if error is None else ERROR)
    assert attributes(server).get("fastroute.reason") == changes.get("reason")


def test_tries_that_fail_are_errors_and_count():
    failed = Attempt("a" * 16, 0, 10, "[::1]:80", 0, "connect_failed")
    busy = Attempt("e" * 16, 20, 10, "10.0.0.8:80", 503, None)
    _, first, second, third = spans(tries=3, attempts=(failed, busy, FIRST))
    assert [attributes(one).get("error.type") for one in (first, second, third)] == ["connect_failed", "503", None]
    assert [attributes(one).get("http.request.resend_count") for one in (first, second, third)] == [None, 1, 2]
    assert attributes(first)["server.address"] == "::1"
    assert "network.protocol.version" not in attributes(first)


def test_tries_that_are_left_out_count_before_the_last_one():
    _, first, last = spans(tries=9, attempts=(FIRST, FIRST_AGAIN))
    assert attributes(first).get("http.request.resend_count") is None
    assert attributes(last)["http.request.resend_count"] == 8


FIRST_AGAIN = msgspec.structs.replace(FIRST, started=850)


def test_a_last_try_without_an_answer_failed_for_the_reason_of_the_request():
    silent = msgspec.structs.replace(FIRST, status=0)
    _, client = spans(status=504, reason="backend_timeout", attempts=(silent,))
    assert attributes(client)["error.type"] == "backend_timeout"


# --- the bytes


def by_the_sdk(request):
    """The same with the objects and the encoder of the SDK."""
    trace, sampled = int(request.trace_id, 16), TraceFlags(TraceFlags.SAMPLED)
    origin, scope = Resource(RESOURCE), InstrumentationScope(*SCOPE)

    def context(span, *, remote=False):
        return SpanContext(trace, int(span, 16), remote, sampled)

    def made(own, parent, kind, attributes, span_kind, start, duration):
        status = Status(StatusCode.ERROR if kind.error else StatusCode.UNSET)
        return ReadableSpan(
            name_of(request.method), context(own), parent, origin, attributes, kind=span_kind, status=status,
            start_time=start * 1000, end_time=(start + duration) * 1000, instrumentation_scope=scope,
        )  # fmt: skip

    kind = server_kind(request)
    parent = None if request.parent is None else context(request.parent, remote=True)
    every = kind.attributes() | server_own(request)
    found = [made(request.span, parent, kind, every, SpanKind.SERVER, request.started, request.duration)]
    for number, one in enumerate(request.attempts):
        kind, own = client_kind(request, number), context(request.span)
        every = kind.attributes() | client_own(request, one)
        start = request.started + one.started
        found.append(made(one.span, own, kind, every, SpanKind.CLIENT, start, one.duration))
    return encode_spans(found)


TEXT = st.text(max_size=200)
MAYBE = st.none() | TEXT
IDS = st.integers(1, 2**64 - 1).map("{:016x}".format)
TIMES = st.integers(0, 2**40)
ATTEMPTS = st.builds(
    Attempt, IDS, TIMES, TIMES, st.integers(1, 65_535).map("10.0.0.9:{}".format), st.integers(0, 599), MAYBE
)
REQUESTS = st.builds(
    Traced,
    started=st.integers(0, 2**52),
    duration=TIMES,
    trace_id=st.integers(1, 2**128 - 1).map("{:032x}".format),
    span=IDS,
    parent=st.none() | IDS,
    method=st.none() | st.sampled_from(["GET", "POST", "BREW"]),
    host=MAYBE,
    path=MAYBE,
    version=st.none() | st.integers(0, 2),
    status=st.integers(0, 599),
    reason=MAYBE,
    grpc_status=st.none() | st.integers(0, 300),
    user_agent=MAYBE,
    route=MAYBE,
    tries=st.integers(0, 300),
    authority=MAYBE,
    backend_path=MAYBE,
    backend_version=st.none() | st.integers(0, 2),
    attempts=st.lists(ATTEMPTS, max_size=6).map(tuple),
)


def in_order(message):
    for group in message.resource_spans:
        for span in group.scope_spans[0].spans:
            span.attributes.sort(key=lambda one: one.key)
    return message


@given(REQUESTS)
def test_the_bytes_are_those_of_the_sdk(request):
    ours = in_order(read(export_request(RESOURCE, SCOPE, spans_of(request))))
    assert ours == in_order(by_the_sdk(request))
    assert in_order(read(export_request(RESOURCE, SCOPE, spans_of(request)))) == ours  # from what is kept


# --- what a worker writes


def line(request=REQUEST):
    return msgspec.json.encode(request) + b"\n"


def test_lines_are_read_whatever_the_pieces():
    data = line() * 3
    for size in range(1, len(data) + 1, 7):
        reader = Reader()
        found = [one for i in range(0, len(data), size) for one in reader.read(data[i : i + size])]
        assert found == [REQUEST] * 3


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"{}\n",
        line()[:-20] + b"\n",
        b"x" * 3 * WHOLE + b"\n",
        line().replace(TRACE.encode(), b"0" * 33),
        line().replace(TRACE.encode(), b"z" * 32),
        line().replace(b":8080", b":port"),
        re.sub(rb"^\[\d+", b"[-1", line()),
        re.sub(rb"^\[\d+", b"[%d" % 2**62, line()),
        re.sub(rb"^\[(\d+),\d+", rb"[\1,1" + b"0" * 30, line()),
    ],
    ids=["empty", "no array", "cut", "long", "long id", "id without digits", "no port", "negative", "late", "endless"],
)
def test_what_is_no_line_costs_only_itself(garbage):
    assert Batches({}).of(line() + garbage + line()).usual.spans == 4


@given(st.lists(st.binary(max_size=5_000), max_size=5))
def test_any_bytes_are_read(pieces):
    batches = Batches({})
    for piece in pieces:
        assert batches.of(piece).usual.spans == 0
