"""The formats of the access log beside JSON, and which lines a sample contains."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.ext.reactor.accesslog import FORMATS, AccessLog
from fastroute.log_options import ACCESS_LOG

from .test_accesslog import REQUEST, lines_of, open_file

COMMON = b'10.0.0.7 - - [31/Dec/2025:23:59:59 +0000] "GET /fruits HTTP/1.1" 200 950'
NOTHING = dict.fromkeys(("method", "path", "user_agent", "referer"), None) | {"minor": 3, "status": 0, "bytes_sent": 0}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "access.log"


def written(file, format, **fields):
    log = AccessLog(open_file(file), format)
    log.record(**REQUEST | {"bytes_sent": 950} | fields)
    log.close()
    return file.read_bytes()


def test_the_option_offers_every_format():
    """That of traces has a file of its own."""
    option = next(one for one in ACCESS_LOG if one.name == "--access-log-format")
    formats = FORMATS.keys() - {"traces"}
    assert {option.read(name) for name in formats} == formats


def test_common(file):
    assert written(file, "common") == COMMON + b"\n"


def test_combined_adds_referer_and_user_agent(file):
    assert written(file, "combined") == COMMON + b' "http://example.com/" "curl/8.11"\n'


def test_http2_has_the_version_without_a_minor_number(file):
    assert b'"GET /fruits HTTP/2" ' in written(file, "common", minor=2)


def test_what_is_absent_is_a_dash(file):
    line = b'10.0.0.7 - - [31/Dec/2025:23:59:59 +0000] "-" - - "-" "-"\n'
    assert written(file, "combined", **NOTHING) == line


def test_a_request_whose_version_could_not_be_read_has_none(file):
    assert b' "GET /fruits" 400 950\n' in written(file, "common", minor=None, status=400)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b'a" 200 1 "', rb"a\" 200 1 \""),
        (b"a\\", rb"a\\"),
        (b"a\nb\r\0", rb"a\x0ab\x0d\x00"),
        (b"\x1b[31m", rb"\x1b[31m"),
        ("ü".encode(), rb"\xc3\xbc"),
    ],
    ids=["quote", "backslash", "control", "terminal", "not ASCII"],
)
@pytest.mark.parametrize("field", ["user_agent", "referer"])
def test_hostile_bytes_of_a_field_are_escaped(value, shown, field, file):
    other = {"user_agent": b"curl/8.11", "referer": b"http://example.com/"} | {field: shown}
    expected = COMMON + b' "%s" "%s"\n' % (other["referer"], other["user_agent"])
    assert written(file, "combined", **{field: value}) == expected


PARTS = re.compile(
    rb'(\S+) - - (\[[^]]+\]) "((?:[^"\\]|\\.)*)" (\d+|-) (\d+|-)(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")?\n'
)


@pytest.mark.parametrize("field", ["method", "path", "client"])
def test_no_value_can_add_a_part_to_the_line(field, file):
    parts = PARTS.fullmatch(written(file, "combined", **{field: b'x y" 500\n'}))
    assert parts is not None
    shown = {"client": b"10.0.0.7", "method": b"GET", "path": b"/fruits"} | {field: rb"x\x20y\"\x20500\x0a"}
    assert (parts[1], parts[3]) == (shown["client"], b"%s %s HTTP/1.1" % (shown["method"], shown["path"]))
    assert parts.groups()[3:] == (b"200", b"950", b"http://example.com/", b"curl/8.11")


@given(st.binary(max_size=300), st.sampled_from(["common", "combined"]))
def test_any_bytes_stay_one_line_of_ascii(text, format):
    fd = os.memfd_create("log")
    log = AccessLog(os.dup(fd), format)
    fields = dict.fromkeys(("method", "path", "client", "user_agent", "referer"), text)
    log.record(**REQUEST | fields)
    log.close()
    line = os.pread(fd, 1 << 16, 0)
    os.close(fd)
    assert line.endswith(b"\n")
    assert all(32 <= byte < 127 for byte in line[:-1])
    assert PARTS.fullmatch(line) is not None


def test_long_values_are_cut_so_that_the_line_fits_a_pipe():
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    log = AccessLog(writer, "combined")
    log.record(**REQUEST | dict.fromkeys(("method", "path", "user_agent", "referer"), b"\x01" * 60_000))
    log.flush_now()
    line = os.read(reader, 8192)
    os.close(reader)
    assert len(line) <= 4096
    assert line.count(rb"\x01" * 48 + b"...") == 4
    assert log.dropped == 0


# --- the sample


def test_a_sample_of_zero_has_failures_only(file):
    log = AccessLog(open_file(file), sample=0.0)
    kept = [
        {"status": 500},
        {"status": 404, "reason": b"no_rule"},
        {"status": 0, "reason": b"client_closed"},
        {"minor": 3, "status": 0, "reason": b"connect_failed"},
        *({"grpc_status": number} for number in (2, 4, 12, 13, 14, 15)),
    ]
    for fields in (*kept, {}, {"status": 404}, {"status": 0}, *({"grpc_status": n} for n in (0, 1, 3, 5, 16, 17))):
        log.record(**REQUEST | fields)
    log.close()
    lines = lines_of(file)
    assert [(line["status"], line["reason"], line["grpc_status"]) for line in lines] == [
        (fields.get("status", 200) or None, (fields.get("reason") or b"").decode() or None, fields.get("grpc_status"))
        for fields in kept
    ]


def test_a_sample_of_one_has_every_line(file):
    log = AccessLog(open_file(file), sample=1.0)
    for _ in range(100):
        log.record(**REQUEST)
    log.close()
    assert len(lines_of(file)) == 100


def test_a_sample_has_its_part_of_the_lines(file):
    log = AccessLog(open_file(file), sample=0.25, seed=1)
    for _ in range(4_000):
        log.record(**REQUEST)
    log.close()
    assert 900 < len(lines_of(file)) < 1_100


def test_lines_that_are_left_out_are_not_lost_ones(file):
    log = AccessLog(open_file(file), sample=0.0)
    log.record(**REQUEST)
    log.close()
    assert (log.dropped, file.read_bytes()) == (0, b"")
