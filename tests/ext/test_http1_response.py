"""Response heads of backends: strict, except for what real servers need; how response bodies end."""

import pytest

from fastroute.ext.http1.http1 import HeadReader, Refused, ResponseHead, read_response

LENGTH = b"Content-Length: 5\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def answer(status: bytes = b"200 OK", fields: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    return version + b" " + status + b"\r\n" + fields + b"\r\n"


def taken(data: bytes, request_method: bytes = b"GET") -> ResponseHead:
    head = read_response(data, request_method)
    assert isinstance(head, ResponseHead), head
    return head


STATUS_LINES = {
    "usual": (b"200 OK", {"status": 200, "reason": b"OK", "minor": 1}),
    "long phrase": (b"404 Not\tFound at all \xff", {"status": 404, "reason": b"Not\tFound at all \xff"}),
    "empty phrase": (b"200 ", {"status": 200, "reason": b""}),
    "no phrase, nor its space": (b"200", {"status": 200, "reason": b""}),
    "unassigned": (b"999 x", {"status": 999}),
}


@pytest.mark.parametrize(("status", "expected"), STATUS_LINES.values(), ids=STATUS_LINES.keys())
def test_a_status_line_is_understood(status: bytes, expected: dict[str, object]) -> None:
    head = taken(answer(status))
    assert {name: getattr(head, name) for name in expected} == expected


# method of the request, status, fields -> (framing, stated, keep_alive)
FRAMINGS = {
    "length": (b"GET", b"200 OK", LENGTH, ("length", "length", True)),
    "length 0": (b"GET", b"200 OK", b"Content-Length: 0\r\n", ("none", "length", True)),
    "chunked": (b"GET", b"200 OK", CHUNKED, ("chunked", "chunked", True)),
    "until close": (b"GET", b"200 OK", b"", ("close", "none", False)),
    "until close in spite of keep-alive": (b"GET", b"200 OK", b"Connection: keep-alive\r\n", ("close", "none", False)),
    "length and close": (b"GET", b"200 OK", LENGTH + b"Connection: close\r\n", ("length", "length", False)),
    "HEAD": (b"HEAD", b"200 OK", LENGTH, ("none", "length", True)),
    "HEAD, chunked": (b"HEAD", b"200 OK", CHUNKED, ("none", "chunked", True)),
    "HEAD without framing": (b"HEAD", b"200 OK", b"", ("none", "none", True)),
    "304": (b"GET", b"304 Not Modified", LENGTH, ("none", "length", True)),
    "304 without framing": (b"GET", b"304 Not Modified", b"", ("none", "none", True)),
    "204": (b"GET", b"204 No Content", b"", ("none", "none", True)),
    "204, length 0": (b"GET", b"204 No Content", b"Content-Length: 0\r\n", ("none", "none", True)),
    "204 that may send content": (b"GET", b"204 No Content", LENGTH, ("none", "none", False)),
    "204 that may send chunks": (b"GET", b"204 No Content", CHUNKED, ("none", "none", False)),
    "100": (b"GET", b"100 Continue", b"", ("none", "none", True)),
    "103": (b"GET", b"103 Early Hints", b"Link: </a>\r\n", ("none", "none", True)),
    "205": (b"GET", b"205 Reset Content", b"Content-Length: 0\r\n", ("none", "length", True)),
}


@pytest.mark.parametrize(("method", "status", "fields", "expected"), FRAMINGS.values(), ids=FRAMINGS.keys())
def test_how_a_body_ends(method: bytes, status: bytes, fields: bytes, expected: tuple[str, str, bool]) -> None:
    head = taken(answer(status, fields), method)
    assert (head.framing, head.stated, head.keep_alive) == expected


@pytest.mark.parametrize(
    ("fields", "keep_alive"),
    [(LENGTH, False), (LENGTH + b"Connection: keep-alive\r\n", True), (LENGTH + b"Connection: x\r\n", False)],
)
def test_a_10_server_closes_unless_it_says_otherwise(fields: bytes, keep_alive: bool) -> None:
    assert taken(answer(fields=fields, version=b"HTTP/1.0")).keep_alive == keep_alive


def test_space_before_a_colon_is_removed() -> None:
    assert taken(answer(fields=LENGTH + b"A \t: b\r\n")).fields[1] == (b"A", b"b", False)


def test_date_and_server_stay_and_fields_of_one_hop_go() -> None:
    fields = b"Date: x\r\nServer: y\r\nConnection: A\r\na: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nTrailer: T\r\n"
    assert [name for name, _, dropped in taken(answer(fields=LENGTH + fields)).fields if not dropped] == [
        b"Date", b"Server", b"Trailer",
    ]  # fmt: skip


REFUSED = {
    "nonsense": (b"hello\r\n", 400, "version_invalid"),
    "no version": (b"200 OK\r\n", 400, "version_invalid"),
    "ICY": (b"ICY 200 OK\r\n", 400, "version_invalid"),
    "HTTP/2": (b"HTTP/2.0 200 OK\r\n", 505, "version_unsupported"),
    "leading empty line": (b"\r\n" + answer(), 400, "version_invalid"),
    "two spaces": (b"HTTP/1.1  200 OK\r\n", 502, "status_invalid"),
    "no status": (b"HTTP/1.1\r\n", 502, "status_invalid"),
    "two digits": (answer(b"20 OK"), 502, "status_invalid"),
    "four digits": (answer(b"2000 OK"), 502, "status_invalid"),
    "below 100": (answer(b"099 OK"), 502, "status_invalid"),
    "letters": (answer(b"2xx OK"), 502, "status_invalid"),
    "control byte in a phrase": (answer(b"200 O\x01"), 400, "control_byte"),
    "bare CR in a phrase": (answer(b"200 O\rK"), 400, "bare_cr"),
    "bare LF behind the status line": (b"HTTP/1.1 200 OK\n\n", 400, "bare_lf"),
    "bare LF behind a status": (b"HTTP/1.1 200\n\n", 400, "bare_lf"),
    "101": (answer(b"101 Switching Protocols", b"Upgrade: x\r\nConnection: upgrade\r\n"), 502, "switch_unasked"),
    "folded": (answer(fields=b"A: b\r\n c\r\n"), 400, "field_folded"),
    "NUL": (answer(fields=b"A: \0\r\n"), 400, "nul_byte"),
    "no colon": (answer(fields=b"A\r\n"), 400, "field_without_colon"),
    "no colon, but a space": (answer(fields=b"A \r\n"), 400, "field_without_colon"),
    "space in a name": (answer(fields=b"A b: c\r\n"), 400, "field_name_invalid"),
    "both framings": (answer(fields=LENGTH + CHUNKED), 400, "framing_ambiguous"),
    "both framings to HEAD": (answer(fields=LENGTH + CHUNKED), 400, "framing_ambiguous"),
    "two lengths": (answer(fields=LENGTH + LENGTH), 400, "content_length_repeated"),
    "odd length": (answer(fields=b"Content-Length: 5,5\r\n"), 400, "content_length_invalid"),
    "odd length of a 204": (answer(b"204 No", b"Content-Length: -1\r\n"), 400, "content_length_invalid"),
    "odd coding": (answer(fields=b"Transfer-Encoding: gzip, chunked\r\n"), 501, "transfer_encoding_unsupported"),
    "coding in 1.0": (answer(fields=CHUNKED, version=b"HTTP/1.0"), 400, "transfer_encoding_in_http10"),
}


@pytest.mark.parametrize(("data", "status", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_response_is_refused(data: bytes, status: int, reason: str) -> None:
    assert read_response(data) == Refused(status, reason)


@pytest.mark.parametrize(
    "data",
    [case[0] for case in REFUSED.values()]
    + [answer(status) for status, _ in STATUS_LINES.values()]
    + [answer(status, fields) for _, status, fields, _ in FRAMINGS.values()],
)
def test_byte_by_byte_gives_the_same_answer(data: bytes) -> None:
    reader = HeadReader(b"GET")
    answers = (reader.read(data[:size]) for size in range(len(data) + 1))
    doubled = data + b"x" * (len(data) + 1)
    assert next((found for found in answers if found is not None), reader.read(doubled)) == read_response(data)


@pytest.mark.parametrize(
    ("fields", "switches"),
    [
        (b"Upgrade: x\r\nConnection: upgrade\r\n", True),
        (b"Upgrade: x\r\n", False),
        (b"Connection: upgrade\r\n", False),
        (b"Upgrade: h2c\r\nConnection: upgrade\r\n", False),
    ],
)
def test_a_101_that_was_asked_for_says_what_it_switches_to(fields: bytes, switches: bool) -> None:
    data = answer(b"101 Switching Protocols", fields)
    found = HeadReader(b"GET", asked=True).read(data)
    assert found == Refused(502, "switch_unasked") if not switches else not isinstance(found, Refused)
    if switches:
        assert HeadReader(b"GET", asked=True).rewrite(data).endswith(b"\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")


def test_limits_hold_for_responses() -> None:
    assert read_response(answer(fields=b"A: b\r\n" * 3), fields=2) == Refused(431, "fields_too_many")
    assert read_response(answer(b"200 " + b"x" * 100), head=50) == Refused(431, "head_too_large")
