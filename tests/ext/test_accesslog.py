"""The lines of the access log, byte for byte, in files, pipes and terminals."""

import fcntl
import json
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.ext.reactor.accesslog import AccessLog

FIELDS = [
    "time",
    "method",
    "host",
    "path",
    "protocol",
    "status",
    "reason",
    "bytes_received",
    "bytes_sent",
    "duration_us",
    "upstream",
    "upstream_duration_us",
    "gateway",
    "listener",
    "route",
    "rule",
    "backend",
    "client",
    "request_id",
    "route_kind",
    "user_agent",
    "referer",
    "upstream_protocol",
    "tls_version",
    "tls_server_name",
    "grpc_status",
    "trace_id",
    "tries",
]
REQUEST = {
    "time": 1_767_225_599_000_042,
    "method": b"GET",
    "host": b"example.com",
    "path": b"/fruits",
    "minor": 1,
    "status": 200,
    "reason": None,
    "bytes_received": 90,
    "bytes_sent": 2**63,
    "duration": 950,
    "upstream": b"127.0.0.1:8080",
    "upstream_duration": 0,
    "gateway": b"infra/gw",
    "listener": b"proxy",
    "route": b"infra/fruits",
    "route_kind": b"HTTPRoute",
    "rule": b"0",
    "backend": b"bananas/banana-echo:80",
    "client": b"10.0.0.7",
    "request_id": b"7f0c",
    "upstream_minor": 1,
    "tls_version": b"TLSv1.3",
    "tls_server_name": b"example.com",
    "grpc_status": None,
    "user_agent": b"curl/8.11",
    "referer": b"http://example.com/",
    "trace_id": b"0af7651916cd43dd8448eb211c80319c",
    "tries": 2,
}
TEXTS = [name for name, value in REQUEST.items() if isinstance(value, bytes) or name == "reason"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "access.log"


def open_file(path):
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)


def lines_of(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def pipe():
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    yield reader, writer
    os.close(reader)


def drain(reader):
    pieces = []
    try:
        while piece := os.read(reader, 1 << 20):
            pieces.append(piece)
    except BlockingIOError:
        pass
    return b"".join(pieces)


def test_a_line_has_every_field_in_its_order(path):
    log = AccessLog(open_file(path))
    log.record(**REQUEST)
    log.flush_now()
    assert path.read_bytes() == (
        b'{"time":"2025-12-31T23:59:59.000042Z","method":"GET","host":"example.com","path":"/fruits",'
        b'"protocol":"HTTP/1.1","status":200,"reason":null,"bytes_received":90,"bytes_sent":9223372036854775808,'
        b'"duration_us":950,"upstream":"127.0.0.1:8080","upstream_duration_us":0,"gateway":"infra/gw",'
        b'"listener":"proxy","route":"infra/fruits","rule":"0","backend":"bananas/banana-echo:80",'
        b'"client":"10.0.0.7","request_id":"7f0c","route_kind":"HTTPRoute","user_agent":"curl/8.11",'
        b'"referer":"http://example.com/","upstream_protocol":"HTTP/1.1","tls_version":"TLSv1.3",'
        b'"tls_server_name":"example.com","grpc_status":null,"trace_id":"0af7651916cd43dd8448eb211c80319c",'
        b'"tries":2}\n'
    )
    assert list(lines_of(path)[0]) == FIELDS


def test_what_is_absent_is_null(path):
    log = AccessLog(open_file(path))
    nothing = (
        REQUEST
        | dict.fromkeys(TEXTS, None)
        | {"status": 0, "minor": 0, "upstream_duration": 7, "upstream_minor": None, "tries": 0}
    )
    log.record(**nothing)
    log.flush_now()
    (line,) = lines_of(path)
    numbers = {"bytes_received", "bytes_sent", "duration_us"}
    assert {name for name, value in line.items() if value is not None} == numbers | {"time", "protocol"}
    assert line["protocol"] == "HTTP/1.0"


def test_a_version_that_was_not_understood_is_null(path):
    log = AccessLog(open_file(path))
    log.record(**REQUEST | {"minor": None})
    log.close()
    [line] = lines_of(path)
    assert (list(line), line["protocol"]) == (FIELDS, None)


@given(st.binary(max_size=300))
def test_any_bytes_give_json_that_reads_back(text):
    fd = os.memfd_create("log")
    log = AccessLog(os.dup(fd))
    log.record(**REQUEST | {"path": text})
    log.flush_now()
    written = os.pread(fd, 1 << 16, 0)
    os.close(fd)
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    assert not any(byte < 32 for byte in written[:-1])
    path = json.loads(written.decode("utf-8"))["path"]
    # Python replaces an invalid sequence by one U+FFFD; the access log replaces each of its bytes.
    plain = text.decode("utf-8", "surrogateescape")
    assert path == "".join("\ufffd" if "\udc80" <= char <= "\udcff" else char for char in plain)


def test_time_follows_the_clock_across_seconds(path):
    log = AccessLog(open_file(path))
    for moment in (0, 999_999, 1_000_000, 951_782_400_000_001):
        log.record(**REQUEST | {"time": moment})
    log.flush_now()
    assert [line["time"] for line in lines_of(path)] == [
        "1970-01-01T00:00:00.000000Z",
        "1970-01-01T00:00:00.999999Z",
        "1970-01-01T00:00:01.000000Z",
        "2000-02-29T00:00:00.000001Z",
    ]


def test_a_long_value_is_cut_only_when_the_line_has_no_room(path):
    log = AccessLog(open_file(path))
    for size in (8192, 60_000):
        log.record(**REQUEST | {"path": b"/" * size})
    log.flush_now()
    whole, cut = lines_of(path)
    assert whole["path"] == "/" * 8192
    assert cut["path"] == "/" * 400 + "..."
    assert cut | {"path": ""} == whole | {"path": ""}


def test_the_worst_line_still_fits_a_pipe(pipe):
    reader, writer = pipe
    log = AccessLog(writer)
    names = dict.fromkeys(TEXTS, b"n" * 330)
    evil = dict.fromkeys(("method", "host", "path", "client", "request_id", "user_agent", "referer"), b"\x01" * 60_000)
    log.record(**REQUEST | names | evil)
    log.flush_now()
    written = drain(reader)
    assert len(written) <= 4096
    assert json.loads(written)["gateway"] == "n" * 48 + "..."
    assert log.dropped == 0


def test_lines_leave_by_themselves_before_the_buffer_is_full(path):
    log = AccessLog(open_file(path))
    for _ in range(400):
        log.record(**REQUEST)
    assert path.read_bytes().endswith(b"\n")
    log.flush_now()
    assert len(lines_of(path)) == 400
    assert log.dropped == 0


def test_a_pipe_gets_whole_lines_of_several_writers():
    reader, writer = os.pipe()
    first, second = (AccessLog(os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)) for _ in range(2))
    os.close(writer)
    collected = []
    taking = threading.Thread(target=lambda: collected.extend(os.fdopen(reader, "rb")))
    taking.start()
    for i in range(2_000):
        first.record(**REQUEST | {"request_id": b"a%d" % i})
        second.record(**REQUEST | {"request_id": b"b%d" % i})
        if i % 7 == 0:
            first.flush_now()
            second.flush_now()
    while len(collected) + first.dropped + second.dropped < 4_000 and taking.is_alive():
        first.flush_now()
        second.flush_now()
    first.close()
    second.close()
    taking.join()
    ids = [json.loads(line)["request_id"] for line in collected]
    assert len(set(ids)) == len(ids) == 4_000 - first.dropped - second.dropped
    assert [i for i in ids if i[0] == "a"] == sorted((i for i in ids if i[0] == "a"), key=lambda i: int(i[1:]))


def test_a_reader_that_stands_still_costs_lines_never_time(pipe):
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    log = AccessLog(writer)
    for i in range(1_000):
        log.record(**REQUEST | {"request_id": b"%d" % i})
    assert log.dropped > 0
    taken = drain(reader)
    for _ in range(40):
        log.flush_now()
        taken += drain(reader)
    ids = [int(json.loads(line)["request_id"]) for line in taken.splitlines()]
    assert ids == list(range(1_000 - log.dropped))


def test_a_reader_that_is_gone_costs_lines(pipe):
    reader, writer = pipe
    log = AccessLog(writer)
    os.dup2(os.open(os.devnull, os.O_RDONLY), reader)
    for _ in range(10):
        log.record(**REQUEST)
    log.flush_now()
    assert log.dropped == 10


def test_a_full_disk_costs_lines():
    log = AccessLog(os.open("/dev/full", os.O_WRONLY))
    log.record(**REQUEST)
    log.flush_now()
    assert log.dropped == 1


def test_reopening_finishes_the_old_file_first(path):
    log = AccessLog(open_file(path))
    log.record(**REQUEST)
    turned = path.rename(path.with_suffix(".1"))
    log.reopen(open_file(path))
    log.record(**REQUEST | {"method": b"PUT"})
    log.close()
    assert [line["method"] for line in lines_of(turned)] == ["GET"]
    assert [line["method"] for line in lines_of(path)] == ["PUT"]
    assert log.fileno() == -1


def test_a_terminal_gets_lines_too():
    primary, secondary = os.openpty()
    log = AccessLog(secondary)
    log.record(**REQUEST)
    log.flush_now()
    assert json.loads(os.read(primary, 4096))["path"] == "/fruits"
    log.close()
    os.close(primary)
