"""Written heads: forwarded heads with new hop-by-hop fields, and local responses."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.ext.http1.http1 import HeadReader, http_date, local_response


def sent(data: bytes) -> bytes:
    """The request that is sent to the backend for the one in `data`."""
    written = HeadReader().rewrite(data)
    assert written is not None
    return written


def answered(data: bytes, *, to: bytes = b"GET", close: bool = False, to_http10: bool = False) -> bytes:
    """The response that is sent to the client for the one in `data`."""
    written = HeadReader(to).rewrite(data, close=close, to_http10=to_http10)
    assert written is not None
    return written


# ----------------------------------------------------------------------------------------------------------- requests

REQUESTS = {
    "plain": (
        b"GET /a?b HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\nX: y\r\n\r\n",
        b"GET /a?b HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\nX: y\r\n\r\n",
    ),
    "Host is first and unchanged": (
        b"GET / HTTP/1.1\r\nA: b\r\nhost:  A.Example.  \r\nC: d\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: A.Example.\r\nA: b\r\nC: d\r\n\r\n",
    ),
    "1.0 becomes 1.1": (b"GET / HTTP/1.0\r\nHost: a\r\nA: b\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n"),
    "keep-alive is not sent": (
        b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    "absolute-form": (
        b"GET http://A.example:80?x HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET /?x HTTP/1.1\r\nHost: A.example:80\r\n\r\n",
    ),
    "the path that was matched": (
        b"GET /x/../%61%2fb/./?%61/../ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a%2Fb/?%61/../ HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    "empty query": (b"GET /? HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /? HTTP/1.1\r\nHost: a\r\n\r\n"),
    "length": (
        b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 007\r\nA: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nA: b\r\nContent-Length: 7\r\n\r\n",
    ),
    "length 0 is sent": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    ),
    "longest length": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999\r\n\r\n",
    ),
    "chunked, its trailers announced": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nTrailer: X-Sum\r\nB: c\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nB: c\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    "nominated fields": (
        b"GET / HTTP/1.1\r\nA: 1\r\nHost: a\r\nConnection: close, B,host,content-length\r\nB: 2\r\nC: 3\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nC: 3\r\n\r\n",
    ),
    "TE: trailers is sent": (
        b"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\nConnection: TE\r\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nTE: trailers\r\nConnection: TE\r\n\r\n",
    ),
    "TE: trailers of 1.0 is not sent": (
        b"GET / HTTP/1.0\r\nHost: a\r\nTE: trailers\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    "an upgrade is forwarded": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
    "an upgrade to h2c is not forwarded": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    "case and order are kept, space around values is removed": (
        b"GET / HTTP/1.1\r\nhost: a\r\nX-oNE:1\r\nx-TWO:  2 2 \r\nX: \r\nY: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-oNE: 1\r\nx-TWO: 2 2\r\nX: \r\nY: y\r\n\r\n",
    ),
    "expectations are forwarded": (
        b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    ),
}


@pytest.mark.parametrize(("received", "expected"), REQUESTS.values(), ids=REQUESTS.keys())
def test_a_request_goes_on(received: bytes, expected: bytes) -> None:
    assert sent(received) == expected
    assert sent(expected) == expected


def test_a_missing_host_stays_empty() -> None:
    assert sent(b"GET / HTTP/1.0\r\n\r\n") == b"GET / HTTP/1.1\r\nHost: \r\n\r\n"


# ---------------------------------------------------------------------------------------------------------- responses

OK = b"HTTP/1.1 200 OK\r\nDate: x\r\nServer: y\r\n"
FIVE = OK + b"Content-Length: 5\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

RESPONSES = {
    "length": (OK + b"content-length: 5\r\n\r\n", {}, OK + b"Content-Length: 5\r\n\r\n"),
    "closing": (FIVE + b"\r\n", {"close": True}, FIVE + b"Connection: close\r\n\r\n"),
    "the backend closes, we do not": (
        OK + b"Connection: close\r\nContent-Length: 5\r\n\r\n", {}, OK + b"Content-Length: 5\r\n\r\n",
    ),
    "to a 1.0 client that stays": (
        FIVE + b"\r\n", {"to_http10": True}, FIVE + b"Connection: keep-alive\r\n\r\n",
    ),
    "from a 1.0 backend": (
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", {}, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    ),
    "chunked": (
        OK + CHUNKS + b"Trailer: T\r\n\r\n", {}, OK + b"Trailer: T\r\n" + CHUNKS + b"\r\n",
    ),
    "chunked to a 1.0 client": (
        OK + b"Transfer-Encoding: chunked\r\nTrailer: T\r\n\r\n",
        {"to_http10": True, "close": True},
        OK + b"Connection: close\r\n\r\n",
    ),
    "until close": (OK + b"\r\n", {"to_http10": True, "close": True}, OK + b"Connection: close\r\n\r\n"),
    "until close, chunked by us": (OK + b"\r\n", {}, OK + b"Transfer-Encoding: chunked\r\n\r\n"),
    "to HEAD": (OK + b"Content-Length: 5\r\n\r\n", {"to": b"HEAD"}, OK + b"Content-Length: 5\r\n\r\n"),
    "to HEAD, chunked": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n", {"to": b"HEAD"}, OK + b"Transfer-Encoding: chunked\r\n\r\n",
    ),
    "304": (
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 5\r\n\r\n", {},
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 5\r\n\r\n",
    ),
    "204 has no length": (
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", {}, b"HTTP/1.1 204 No Content\r\n\r\n",
    ),
    "1xx has no Connection field": (
        HINTS, {"close": True}, HINTS,
    ),
    "fields of one hop": (
        OK + b"Keep-Alive: 5\r\nConnection: A\r\nUpgrade: h2c\r\nProxy-Authenticate: x\r\nA: b\r\nC: d\r\n"
        b"Content-Length: 0\r\n\r\n", {}, OK + b"C: d\r\nContent-Length: 0\r\n\r\n",
    ),
    "a line of a phrase that is missing": (
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", {}, b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    ),
    "space before a colon": (
        OK + b"A : b\r\nContent-Length: 0\r\n\r\n", {}, OK + b"A: b\r\nContent-Length: 0\r\n\r\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("received", "ways", "expected"), RESPONSES.values(), ids=RESPONSES.keys())
def test_a_response_goes_on(received: bytes, ways: dict[str, bool], expected: bytes) -> None:
    assert answered(received, **ways) == expected  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------------------- room


@pytest.mark.parametrize("data", [case[0] for case in REQUESTS.values()])
def test_a_request_needs_its_room(data: bytes) -> None:
    whole = sent(data)
    assert HeadReader().rewrite(data, room=len(whole)) == whole
    assert {HeadReader().rewrite(data, room=room) for room in range(len(whole))} == {None}


@pytest.mark.parametrize("data", [case[0] for case in REQUESTS.values()])
def test_a_kept_request_is_written_like_the_received_one(data: bytes) -> None:
    assert HeadReader().rewrite(data, kept=True) == sent(data)


@pytest.mark.parametrize("data", [case[0] for case in RESPONSES.values()])
def test_a_kept_response_is_written_like_the_received_one(data: bytes) -> None:
    assert HeadReader(b"GET").rewrite(data, kept=True) == answered(data)


@pytest.mark.parametrize("data", [case[0] for case in RESPONSES.values()])
def test_a_response_needs_its_room(data: bytes) -> None:
    whole = answered(data)
    assert HeadReader(b"GET").rewrite(data, room=len(whole)) == whole
    assert {HeadReader(b"GET").rewrite(data, room=room) for room in range(len(whole))} == {None}


# ------------------------------------------------------------------------------------------------------ local responses


PLAIN = b"Content-Type: text/plain; charset=utf-8\r\n"


def test_an_answer_of_our_own() -> None:
    assert local_response(404, b"no rule takes it") == (
        b"HTTP/1.1 404 Not Found\r\n" + PLAIN + b"Content-Length: 17\r\n\r\nno rule takes it\n"
    )


def test_an_answer_that_closes_says_so() -> None:
    assert local_response(400, b"x", close=True, to_http10=True, date=b"Sun, 06 Nov 1994 08:49:37 GMT") == (
        b"HTTP/1.1 400 Bad Request\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        + PLAIN
        + b"Content-Length: 2\r\nConnection: close\r\n\r\nx\n"
    )


def test_a_redirect_names_its_location_and_an_answer_to_head_has_no_body() -> None:
    assert local_response(301, b"redirect", location=b"https://a/", to_head=True, to_http10=True) == (
        b"HTTP/1.1 301 Moved Permanently\r\nLocation: https://a/\r\n"
        + PLAIN
        + b"Content-Length: 9\r\nConnection: keep-alive\r\n\r\n"
    )


def test_an_unassigned_status_has_a_phrase_too() -> None:
    answer = local_response(599, b"x")
    assert answer is not None
    assert answer.startswith(b"HTTP/1.1 599 Unknown\r\n")


def test_an_answer_of_our_own_needs_its_room() -> None:
    whole = local_response(503, b"no endpoint", close=True)
    assert whole is not None
    assert local_response(503, b"no endpoint", close=True, room=len(whole)) == whole
    assert {local_response(503, b"no endpoint", close=True, room=room) for room in range(len(whole))} == {None}


@given(st.integers(0, 253402300799))
def test_dates_are_those_of_the_calendar(seconds: int) -> None:
    assert http_date(seconds).decode() == format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)
