"""This HTTP/1 parser, compared with two others: h11, and llhttp through httptools.

All three must read valid messages in the same way. This parser may refuse mutated messages that the others accept only
for a reason in STRICTER; where it accepts what another one refuses, LOOSER names the rule. A message that both accept
must be read in the same way: method, target, version, fields, body, and the end of the message.
"""

from typing import NamedTuple

import h11
import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import MUTATIONS, Mutations, mutated, requests, responses

from fastroute.ext.http1.http1 import BodyReader, HeadReader, Refused, RequestHead, read_request, read_response


class Message(NamedTuple):
    """The result of a parser; `end` is where the message ends, None if more data is needed."""

    start: tuple[bytes, ...]
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    complete: bool


class No(NamedTuple):
    """A parser's refusal."""

    reason: str


# ------------------------------------------------------------------------------------------------------------- readers


def ours(data: bytes, *, response: bool = False) -> Message | No | None:
    head = read_response(data) if response else read_request(data, keep_underscores=True)
    if head is None:
        return None
    if isinstance(head, Refused):
        return No(head.reason)
    if isinstance(head, RequestHead):
        start = (head.method, head.target, b"1.%d" % head.minor)
    else:
        start = (b"%d" % head.status, head.reason, b"1.%d" % head.minor)
    fields = tuple((name.lower(), value) for name, value, _ in head.fields)
    reader = BodyReader(head.framing, head.content_length)
    decoded = reader.decode(data[head.size :])
    if isinstance(decoded, Refused):
        return No(decoded.reason)
    return Message(start, fields, decoded[1], reader.complete)


def with_h11(data: bytes, *, response: bool = False) -> Message | No | None:
    connection = h11.Connection(h11.CLIENT if response else h11.SERVER, max_incomplete_event_size=1 << 20)
    if response:
        connection.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
        connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    head: h11.Request | h11.Response | None = None
    body = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request | h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                break
    except h11.RemoteProtocolError as error:
        return No(str(error))
    if head is None:
        return None
    if isinstance(head, h11.Request):
        start = (head.method, head.target, head.http_version)
    else:
        start = (b"%d" % head.status_code, bytes(head.reason), head.http_version)
    return Message(
        start, tuple((bytes(n), bytes(v)) for n, v in head.headers), body, isinstance(event, h11.EndOfMessage)
    )


class Heard:
    """Collects the callbacks of httptools up to the end of the first message."""

    def __init__(self) -> None:
        self.target = self.reason = self.body = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.head = self.complete = False

    def on_url(self, url: bytes) -> None:
        if not self.head:
            self.target += url

    def on_status(self, status: bytes) -> None:
        if not self.head:
            self.reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head:
            self.fields.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if not self.head:
            self.head = True
            self.method = self.parser.get_method() if isinstance(self.parser, httptools.HttpRequestParser) else b""
            self.status = (
                b"%d" % self.parser.get_status_code() if isinstance(self.parser, httptools.HttpResponseParser) else b""
            )
            self.version = self.parser.get_http_version().encode()
            self.keep_alive = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self.body += body

    def on_message_complete(self) -> None:
        self.complete = True

    parser: httptools.HttpRequestParser | httptools.HttpResponseParser


def with_llhttp(data: bytes, *, response: bool = False) -> Message | No | None:
    heard = Heard()
    heard.parser = httptools.HttpResponseParser(heard) if response else httptools.HttpRequestParser(heard)
    try:
        heard.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        if not heard.complete:
            return No(repr(error))
    if not heard.head:
        return None
    start = (heard.status, heard.reason) if response else (heard.method, heard.target)
    return Message((*start, heard.version), tuple(heard.fields), heard.body, heard.complete)


ORACLES = {"h11": with_h11, "llhttp": with_llhttp}

# ------------------------------------------------------------------------------------------------------ disagreements

# Reasons for which this parser refuses messages that others accept.
BOTH = ("h11", "llhttp")
STRICTER = {
    "bare_lf": (
        BOTH,
        "RFC 9112 section 2.2 permits it as the end of a line; parsers that differ in this see different lines",
    ),
    "bare_cr": (BOTH, "RFC 9112 section 2.2: invalid; h11 accepts it in chunk extensions, llhttp before a start line"),
    "nul_byte": (BOTH, "RFC 9110 section 5.5; h11 accepts it in chunk extensions, llhttp in reason phrases"),
    "control_byte": (BOTH, "RFC 9110 section 5.5 permits it where it is safe, which a gateway cannot know"),
    "field_folded": (("h11",), "RFC 9112 section 5.2: a server refuses it or replaces it by spaces"),
    "version_invalid": (
        ("llhttp",),
        "it reads a missing version as HTTP/0.9, and accepts empty lines before a status line",
    ),
    "version_unsupported": (("h11",), "it leaves the check of the version to its caller"),
    "status_invalid": (("llhttp",), "RFC 9110 section 15: three digits, from 100"),
    "method_connect": (BOTH, "a gateway opens no tunnels"),
    "method_invalid": (("llhttp",), "it skips any number of empty lines before a request"),
    "target_invalid": (
        BOTH,
        "forms that RFC 9112 section 3.2 does not have, and backslashes; llhttp skips further spaces",
    ),
    "target_asterisk": (BOTH, "RFC 9112 section 3.2.4: only OPTIONS has this form"),
    "max_forwards_invalid": (BOTH, "RFC 9110 section 7.6.2: both ignore the value"),
    "target_fragment": (BOTH, "RFC 9112 section 3.2: a target has no fragment"),
    "target_scheme": (BOTH, "only http and https are served"),
    "target_userinfo": (BOTH, "RFC 9110 section 4.2.4"),
    "path_escape": (BOTH, "RFC 3986 section 2.1; the forwarded path must be the matched one"),
    "path_above_root": (BOTH, "such a path can leave the matched prefix"),
    "host_missing": (("llhttp",), "it does not check fields"),
    "host_repeated": (("llhttp",), "it does not check fields"),
    "host_invalid": (BOTH, "RFC 9112 section 3.2; both ignore the value"),
    "content_length_repeated": (("h11",), "RFC 9112 section 6.3 permits equal values, and h11 accepts them"),
    "content_length_invalid": (("h11",), "RFC 9112 section 6.3 permits a list of equal values, and h11 accepts it"),
    "framing_ambiguous": (
        ("h11",),
        "RFC 9112 section 6.1 lets Transfer-Encoding override it, which permits request smuggling",
    ),
    "transfer_encoding_unsupported": (
        ("llhttp",),
        "it accepts any list that ends in `chunked`, and any list in a response",
    ),
    "transfer_encoding_in_http10": (BOTH, "RFC 9112 section 6.1: to be treated as faulty"),
    "chunk_size_invalid": (BOTH, "h11 accepts space after a size; llhttp does not read a body after an Upgrade"),
    "chunk_extension_invalid": (BOTH, "RFC 9112 section 7.1.1; h11 accepts any bytes, llhttp an empty value"),
    "chunk_end_missing": (("llhttp",), "it does not read a body after an Upgrade"),
    "field_name_invalid": (("llhttp",), "it does not read a body after an Upgrade"),
    "field_without_colon": (("llhttp",), "it does not read a body after an Upgrade"),
    "field_space_before_colon": (("llhttp",), "it does not read a body after an Upgrade"),
}

# Why this parser accepts messages that another one refuses (keys: parser, part of its error message).
LOOSER = {
    ("h11", "no request line received"): "RFC 9112 section 2.2: an empty line before a request is to be ignored",
    ("h11", "illegal header line"): "RFC 9112 section 5.1: space before a response's colon is to be removed",
    ("llhttp", "Invalid method"): "any token is a method (RFC 9110 section 9.1)",
    ("llhttp", "Expected space after method"): "any token is a method (RFC 9110 section 9.1)",
    ("llhttp", "Invalid header token"): "RFC 9112 section 5.1: space before a response's colon is to be removed",
    ("llhttp", "Invalid header field char"): "RFC 9112 section 5.1: space before a response's colon is to be removed",
    ("llhttp", "Transfer-Encoding"): "HTAB is white space around a value too (RFC 9110 section 5.6.3)",
    ("llhttp", "Invalid HTTP version"): "a higher minor version is read as our own (RFC 9110 section 2.5)",
}


def is_bodiless(found: Message) -> bool:
    """A response that never has content, whatever its fields announce (RFC 9112 section 6.3)."""
    return found.start[0].startswith(b"1") or found.start[0] == b"204"


def announces(found: Message) -> bool:
    return any(field in (b"content-length", b"transfer-encoding") for field, _ in found.fields)


def explained(name: str, found: Message, other: Message | No | None, *, response: bool) -> bool:
    """Whether a known difference explains that the two parsers read a message differently."""
    if isinstance(other, No) and any(name == whose and words in other.reason for whose, words in LOOSER):
        return True
    if response and is_bodiless(found):
        # h11 waits for the final response after a 1xx response; llhttp reads the announced content.
        return other is None if name == "h11" else announces(found)
    if name == "h11" or not isinstance(other, Message) or found[:2] != other[:2]:
        return False
    if response:  # llhttp does not recognise `chunked` followed by HTAB
        return announces(found)
    # llhttp leaves the data after an Upgrade to the new protocol.
    options = b",".join(value for field, value in found.fields if field == b"connection")
    return b"upgrade" in options.lower() and any(field == b"upgrade" for field, _ in found.fields)


def compare(data: bytes, *, response: bool) -> None:
    """Fails for any difference that no table explains."""
    found = ours(data, response=response)
    for name, oracle in ORACLES.items():
        other = oracle(data, response=response)
        if isinstance(found, No):
            taken = isinstance(other, Message) and other.complete
            assert not taken or name in STRICTER[found.reason][0], (name, found, other)
        elif isinstance(found, Message):
            assert found == other or explained(name, found, other, response=response), (name, found, other)
        else:
            assert not isinstance(other, Message), (name, other)


# ------------------------------------------------------------------------------------------------------------- tests


@given(requests())
def test_valid_requests_read_the_same(data: bytes) -> None:
    found = ours(data)
    assert isinstance(found, Message)
    assert found.complete
    others = {name: oracle(data) for name, oracle in ORACLES.items()}
    assert others == dict.fromkeys(ORACLES, found)


@given(responses())
def test_valid_responses_read_the_same(data: bytes) -> None:
    found = ours(data, response=True)
    assert isinstance(found, Message)
    others = {name: oracle(data, response=True) for name, oracle in ORACLES.items()}
    assert others == dict.fromkeys(ORACLES, found)


@given(requests())
def test_connections_stay_as_llhttp_says(data: bytes) -> None:
    head = read_request(data)
    assert isinstance(head, RequestHead)
    heard = Heard()
    heard.parser = httptools.HttpRequestParser(heard)
    heard.parser.feed_data(data)
    assert heard.keep_alive == head.keep_alive


@settings(max_examples=400)
@given(data=requests(), mutations=MUTATIONS)
def test_broken_requests_differ_only_as_listed(data: bytes, mutations: Mutations) -> None:
    compare(mutated(data, mutations), response=False)


@settings(max_examples=400)
@given(data=responses(), mutations=MUTATIONS)
def test_broken_responses_differ_only_as_listed(data: bytes, mutations: Mutations) -> None:
    compare(mutated(data, mutations), response=True)


@given(data=requests(), mutations=MUTATIONS, cuts=st.lists(st.integers(0, 300), max_size=4))
def test_broken_requests_read_the_same_in_pieces(data: bytes, mutations: Mutations, cuts: list[int]) -> None:
    data = mutated(data, mutations)
    reader = HeadReader()
    grown = [*sorted(cut for cut in cuts if cut < len(data)), len(data)]
    answers = [answer for size in grown if (answer := reader.read(data[:size])) is not None]
    assert (answers or [reader.read(data + b"x" * (len(data) + 1))])[0] == (
        read_request(data) or read_request(data + b"x" * (len(data) + 1))
    )


@given(requests())
def test_what_goes_on_reads_the_same(data: bytes) -> None:
    """A rewritten request has the same meaning, except for its hop-by-hop fields."""
    head = read_request(data)
    assert isinstance(head, RequestHead)
    again = HeadReader().rewrite(data)
    assert again is not None
    forwarded = read_request(again)
    assert isinstance(forwarded, RequestHead)
    assert forwarded.size == len(again)
    assert HeadReader().rewrite(again) == again
    for name in ("method", "path", "query", "authority", "host", "framing", "stated", "content_length"):
        assert getattr(forwarded, name) == getattr(head, name)
    assert [field for field in forwarded.fields if not field[2]] == [field for field in head.fields if not field[2]]


# Known smuggling vectors: each is compared with both parsers, and has an expected result of this parser.
SMUGGLED = {
    "CL.TE": (b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "framing_ambiguous"),
    "TE.TE, space": (b"Transfer-Encoding : chunked\r\n", "field_space_before_colon"),
    "TE.TE, vertical tab": (b"Transfer-Encoding: \x0bchunked\r\n", "control_byte"),
    "TE.TE, second": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "transfer_encoding_unsupported"),
    "TE.TE, folded": (b"Transfer-Encoding:\r\n chunked\r\n", "field_folded"),
    "TE.TE, LF": (b"A: b\nTransfer-Encoding: chunked\r\n", "bare_lf"),
    "TE.TE, NUL": (b"Transfer-Encoding: chunked\0\r\n", "nul_byte"),
    "CL.CL": (b"Content-Length: 6\r\nContent-Length: 5\r\n", "content_length_repeated"),
    "CL, plus": (b"Content-Length: +6\r\n", "content_length_invalid"),
    "CL, space inside": (b"Content-Length: 6 0\r\n", "content_length_invalid"),
    "CL, space in the name": (b"Content-Length : 6\r\n", "field_space_before_colon"),
    "CL, CR in the name": (b"Content-\rLength: 6\r\n", "bare_cr"),
    "second Host": (b"Host: b\r\n", "host_repeated"),
}


@pytest.mark.parametrize(("fields", "reason"), SMUGGLED.values(), ids=SMUGGLED.keys())
def test_smuggling_is_refused(fields: bytes, reason: str) -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n0\r\n\r\nG"
    assert ours(data) == No(reason)
    compare(data, response=False)
