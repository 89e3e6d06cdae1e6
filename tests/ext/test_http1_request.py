"""Request heads, case by case: which are accepted, how they are read, and the reasons for refusing the others."""

import string
from itertools import product

import pytest

from fastroute.ext.http1.http1 import HeadReader, Refused, RequestHead, known_name, read_request

HOST = b"Host: a.example\r\n"


def get(*, target: bytes = b"/", fields: bytes = b"", host: bytes = HOST, version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET " + target + b" " + version + b"\r\n" + host + fields + b"\r\n"


def taken(data: bytes, **limits: int) -> RequestHead:
    head = read_request(data, **limits)
    assert isinstance(head, RequestHead), head
    return head


# ------------------------------------------------------------------------------------------------------------ accepted

ACCEPTED = {
    "origin": (get(target=b"/fruits?a=1&b"), {"method": b"GET", "path": b"/fruits", "query": b"a=1&b", "minor": 1}),
    "no query": (get(target=b"/fruits"), {"query": None}),
    "empty query": (get(target=b"/fruits?"), {"path": b"/fruits", "query": b""}),
    "question marks in a query": (get(target=b"/?a?b=%zz%"), {"query": b"a?b=%zz%"}),
    "raw octets browsers send": (get(target=b'/a|b"c<d>^`{}?x=\\|{}'), {"path": b'/a|b"c<d>^`{}', "query": b"x=\\|{}"}),
    "absolute": (get(target=b"http://a.example/x?y"), {"path": b"/x", "query": b"y", "authority": b"a.example"}),
    "absolute without path": (get(target=b"http://a.example"), {"path": b"/", "query": None}),
    "absolute, query only": (get(target=b"HTTP://a.example?y"), {"path": b"/", "query": b"y"}),
    "absolute, usual port": (get(target=b"http://a.example:80/"), {"authority": b"a.example:80", "host": b"a.example"}),
    "absolute, case of Host": (get(target=b"https://A.example:443/"), {"host": b"a.example"}),
    "absolute, 1.0 without Host": (
        get(target=b"http://a.example/x", host=b"", version=b"HTTP/1.0"),
        {"authority": b"a.example", "path": b"/x", "minor": 0},
    ),
    "absolute, path normalised": (get(target=b"http://a.example/x/../%79"), {"path": b"/y"}),
    "host in capitals": (get(host=b"Host: A.EXAMPLE\r\n"), {"authority": b"A.EXAMPLE", "host": b"a.example"}),
    "host with port": (get(host=b"hOST:a.example:8080\r\n"), {"authority": b"a.example:8080", "host": b"a.example"}),
    "host with empty port": (get(host=b"Host: a.example:\r\n"), {"authority": b"a.example:", "host": b"a.example"}),
    "host with final dot": (get(host=b"Host: a.example.:80\r\n"), {"host": b"a.example"}),
    "host with underscore": (get(host=b"Host: a_b.example\r\n"), {"host": b"a_b.example"}),
    "IPv4": (get(host=b"Host: 127.0.0.1:80\r\n"), {"host": b"127.0.0.1"}),
    "IPv6": (get(host=b"Host: [2001:DB8::1]:80\r\n"), {"host": b"[2001:db8::1]"}),
    "1.0 without Host": (get(host=b"", version=b"HTTP/1.0"), {"authority": b"", "host": b"", "keep_alive": False}),
    "1.1 stays": (get(), {"keep_alive": True}),
    "1.1 closes": (get(fields=b"Connection: x, Close\r\n"), {"keep_alive": False}),
    "close wins": (get(fields=b"Connection: keep-alive\r\nConnection: close\r\n"), {"keep_alive": False}),
    "1.0 stays": (get(version=b"HTTP/1.0", fields=b"Connection: Keep-Alive\r\n"), {"keep_alive": True}),
    "1.2 is 1.1": (get(version=b"HTTP/1.2"), {"minor": 1}),
    "length": (get(fields=b"Content-Length: 0042\r\n"), {"framing": "length", "content_length": 42}),
    "length 0": (get(fields=b"Content-Length:0\r\n"), {"framing": "none", "stated": "length"}),
    "longest length": (get(fields=b"Content-Length: 999999999999999999\r\n"), {"content_length": 10**18 - 1}),
    "chunked": (get(fields=b"Transfer-Encoding: \t Chunked \r\n"), {"framing": "chunked", "stated": "chunked"}),
    "no body": (get(), {"framing": "none", "stated": "none"}),
    "expect": (get(fields=b"Expect: 100-Continue\r\n"), {"expect_continue": True}),
    "another expectation": (get(fields=b"Expect: 100-continue, x\r\n"), {"expect_continue": False}),
    "upgrade": (get(fields=b"Connection: upgrade\r\nUpgrade: websocket\r\n"), {"upgrade": True}),
    "upgrade of 1.0": (
        get(version=b"HTTP/1.0", fields=b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
        {"upgrade": False},
    ),
    "upgrade repeated": (
        get(fields=b"Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n"),
        {"upgrade": False},
    ),
    "upgrade to h2c": (get(fields=b"Connection: upgrade\r\nUpgrade: foo, H2C\r\n"), {"upgrade": False}),
    "upgrade not nominated": (get(fields=b"Upgrade: websocket\r\n"), {"upgrade": False}),
    "upgrade nominated only": (get(fields=b"Connection: upgrade\r\n"), {"upgrade": False}),
    "trailers welcome": (get(fields=b"TE: gzip;q=0.5, Trailers\r\n"), {"te_trailers": True}),
    "trailers not named": (get(fields=b"TE: trailers;q=1, xtrailers\r\n"), {"te_trailers": False}),
    "own method": (b"BREW /pot HTTP/1.1\r\n" + HOST + b"\r\n", {"method": b"BREW"}),
    "longest method": (b"M" * 32 + b" / HTTP/1.1\r\n" + HOST + b"\r\n", {"method": b"M" * 32}),
    "leading empty lines": (b"\r\n\r\n" + get(), {"size": 4 + len(get())}),
    "bytes behind": (get() + b"GET /next", {"size": len(get())}),
}


@pytest.mark.parametrize(("data", "expected"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_request_is_understood(data: bytes, expected: dict[str, object]) -> None:
    head = taken(data)
    assert {name: getattr(head, name) for name in expected} == expected


def test_fields_are_read_in_order_and_trimmed() -> None:
    head = taken(get(fields=b"A:\r\nb: \t x \t y\xff \t\r\nA: \x80\r\n"))
    assert head.fields[1:] == ((b"A", b"", False), (b"b", b"x \t y\xff", False), (b"A", b"\x80", False))


def test_fields_of_one_hop_go_no_further() -> None:
    dropped = (
        b"Connection: close, x-one ,, X-TWO\r\n", b"Keep-Alive: 5\r\n", b"Proxy-Connection: close\r\n",
        b"TE: trailers\r\n", b"Upgrade: h2c\r\n", b"Proxy-Authenticate: x\r\n", b"Proxy-Authorization: x\r\n",
        b"X-One: 1\r\n", b"x-two: 2\r\n", b"Content-Length: 0\r\n",
    )  # fmt: skip
    kept = (b"X-Three: 3\r\n", b"Trailer: X-Sum\r\n", b"Authorization: x\r\n", b"X-Forwarded-For: 1\r\n")
    head = taken(get(fields=b"".join(dropped + kept)))
    assert [name for name, _, gone in head.fields[1:] if gone] == [line.partition(b":")[0] for line in dropped]
    assert [name for name, _, gone in head.fields if not gone] == [line.partition(b":")[0] for line in kept]


@pytest.mark.parametrize("name", [b"X_Forwarded-For", b"x_forwarded_for", b"CONTENT_LENGTH", b"Transfer_Encoding"])
def test_names_that_cgi_would_mistake_go_no_further(name: bytes) -> None:
    """They are removed even if underscores are allowed."""
    head = taken(get(fields=name + b": 1\r\n"), keep_underscores=True)
    assert head.fields[1] == (name, b"1", True)
    assert head.framing == "none"


def test_fields_with_underscores_are_removed() -> None:
    fields = b"X_User: root\r\nCookie: a_b=1\r\nx_y: 1\r\nAccept: a/b\r\n_: 1\r\n"
    names = [name for name, _, _ in taken(get(fields=fields)).fields]
    assert names == [b"Host", b"Cookie", b"Accept"]
    kept = [name for name, _, dropped in taken(get(fields=fields), keep_underscores=True).fields if not dropped]
    assert kept == [b"X_User", b"Cookie", b"x_y", b"Accept", b"_"]


def test_a_request_may_have_only_fields_with_underscores() -> None:
    head = taken(b"GET / HTTP/1.0\r\na_b: 1\r\nContent_Length: 5\r\n\r\n")
    assert head.fields == ()


@pytest.mark.parametrize("name", [b"Proxy", b"proxy", b"X-Forwarded-Client-Cert"])
def test_fields_that_nobody_may_send(name: bytes) -> None:
    assert taken(get(fields=name + b": 1\r\n")).fields[1] == (name, b"1", True)


@pytest.mark.parametrize("target", [b"http://b.example/x", b"http://b.example:81/x", b"https://b.example:80/x"])
def test_the_authority_of_the_target_replaces_host(target: bytes) -> None:
    """RFC 9112 section 3.2.2."""
    head = taken(get(target=target))
    assert head.host == b"b.example"
    assert head.authority == target.split(b"/")[2]


@pytest.mark.parametrize(
    ("target", "asterisk"), [(b"*", True), (b"http://a.example", True), (b"http://a.example/", False)]
)
def test_options_about_the_gateway_itself(target: bytes, asterisk: bool) -> None:
    """RFC 9112 section 3.2.4."""
    head = taken(b"OPTIONS " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert head.asterisk is asterisk
    assert head.path == (b"*" if target == b"*" else b"/")


@pytest.mark.parametrize(
    ("method", "value", "counted"),
    [
        (b"OPTIONS", b"0", 0),
        (b"TRACE", b"007", 7),
        (b"OPTIONS", b"9" * 40, 2**32 - 1),
        (b"GET", b"x", None),  # RFC 9110 section 7.6.2: other methods may ignore it
    ],
)
def test_max_forwards(method: bytes, value: bytes, counted: int | None) -> None:
    head = taken(method + b" / HTTP/1.1\r\n" + HOST + b"Max-Forwards: " + value + b"\r\n\r\n")
    assert head.max_forwards == counted


def test_a_10_client_cannot_expect_a_100() -> None:
    head = taken(get(version=b"HTTP/1.0", fields=b"Expect: 100-continue\r\n"))
    assert not head.expect_continue
    assert head.fields[1] == (b"Expect", b"100-continue", True)


NAMES = (
    b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Keep-Alive", b"Proxy-Connection", b"TE",
    b"Trailer", b"Upgrade", b"Expect", b"Proxy-Authenticate", b"Proxy-Authorization", b"X-Forwarded-For",
    b"X-Forwarded-Proto", b"X-Forwarded-Host", b"X-Request-ID", b"Date", b"Server", b"Location",
)  # fmt: skip


def test_known_names_are_found_in_any_case() -> None:
    numbers = [known_name(name) for name in NAMES]
    assert numbers == [known_name(name.upper()) for name in NAMES] == [known_name(name.lower()) for name in NAMES]
    assert len({0, *numbers}) == len(NAMES) + 1
    nearly = {near for name in NAMES for near in (name[:-1], name + b"x", b"q" + name[1:])}
    assert {known_name(near) for near in nearly if not near.startswith(b"X-Forwarded-")} == {0}
    assert known_name(b"") == known_name(b"X" * 300) == 0


TOKEN = frozenset(b"!#$%&'*+-.^_`|~" + string.ascii_letters.encode() + string.digits.encode())  # RFC 9110 section 5.6.2


@pytest.mark.parametrize("size", [1, 7, 8, 9, 17])
def test_every_octet_at_every_place_of_a_field(size: int) -> None:
    """Names and values are scanned eight octets at a time."""
    for octet, at in product(range(256), range(size)):
        text = bytearray(b"aB-xyZ-q" * 3)[:size]
        text[at] = octet
        named = read_request(get(fields=bytes(text) + b": b\r\n"))
        ended = octet == ord(":") and at > 0  # the name is shorter, and the rest is the value
        assert isinstance(named, RequestHead) is (octet in TOKEN or ended), text
        valued = read_request(get(fields=b"a:" + bytes(text) + b"\r\n"))
        assert isinstance(valued, RequestHead) is (octet == 9 or (octet >= 32 and octet != 127)), text
        if isinstance(valued, RequestHead):
            assert valued.fields[-1][:2] == (b"a", bytes(text).strip(b" \t"))


@pytest.mark.parametrize("name", NAMES)
def test_only_letters_are_compared_without_case(name: bytes) -> None:
    for at, bit in product(range(len(name)), (0x20, 0x80)):
        other = bytearray(name.lower())
        other[at] ^= bit
        same = bytes(other).lower() == name.lower()
        assert (known_name(bytes(other)) == known_name(name)) is same, other


# ------------------------------------------------------------------------------------------------------------- refused

REFUSED = {
    # bytes that are not allowed anywhere
    "bare LF after the request line": (b"GET / HTTP/1.1\n" + HOST + b"\r\n", 400, "bare_lf"),
    "bare LF after a field": (get(fields=b"A: b\n"), 400, "bare_lf"),
    "bare LF in place of the last CRLF": (b"GET / HTTP/1.1\r\n" + HOST + b"\n", 400, "bare_lf"),
    "bare LF in a name": (get(fields=b"A\nb: c\r\n"), 400, "bare_lf"),
    "LF before the request line": (b"\n" + get(), 400, "bare_lf"),
    "LF in a target": (get(target=b"/a\nb"), 400, "bare_lf"),
    "bare CR in a value": (get(fields=b"A: b\rc\r\n"), 400, "bare_cr"),
    "bare CR before CRLF": (get(fields=b"A: b\r\r\n"), 400, "bare_cr"),
    "bare CR in place of the last CRLF": (b"GET / HTTP/1.1\r\n" + HOST + b"\rX", 400, "bare_cr"),
    "bare CR in a target": (get(target=b"/a\rb"), 400, "bare_cr"),
    "bare CR in a name": (get(fields=b"A\rb: c\r\n"), 400, "bare_cr"),
    "CR before the request line": (b"\rGET / HTTP/1.1\r\n\r\n", 400, "bare_cr"),
    "NUL in a value": (get(fields=b"A: b\0c\r\n"), 400, "nul_byte"),
    "NUL in a name": (get(fields=b"A\0: c\r\n"), 400, "nul_byte"),
    "NUL in a target": (get(target=b"/\0"), 400, "nul_byte"),
    "NUL in a method": (b"G\0T / HTTP/1.1\r\n", 400, "nul_byte"),
    "control byte in a value": (get(fields=b"A: \x01\r\n"), 400, "control_byte"),
    "DEL in a value": (get(fields=b"A: abcdefghijk\x7f\r\n"), 400, "control_byte"),
    "vertical tab in a value": (get(fields=b"A: abcdefghijk\x0b\r\n"), 400, "control_byte"),
    "escape in a target": (get(target=b"/\x1b"), 400, "control_byte"),
    "DEL in a target": (get(target=b"/abcdefghijk\x7f"), 400, "control_byte"),
    # method
    "no method": (b" / HTTP/1.1\r\n", 400, "method_invalid"),
    "method with a space after CRLF": (b"\r\n GET / HTTP/1.1\r\n", 400, "method_invalid"),
    "method with a colon": (b"GE:T / HTTP/1.1\r\n", 400, "method_invalid"),
    "method in UTF-8": (b"G\xc3\x89T / HTTP/1.1\r\n", 400, "method_invalid"),
    "tab after the method": (b"GET\t/ HTTP/1.1\r\n", 400, "method_invalid"),
    "method alone": (b"GET\r\n", 400, "method_invalid"),
    "method too long": (b"M" * 33, 400, "method_invalid"),
    "endless empty lines": (b"\r\n" * 9, 400, "method_invalid"),
    "CONNECT": (b"CONNECT a.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "method_connect"),
    # target
    "no target": (b"GET  HTTP/1.1\r\n", 400, "target_invalid"),
    "two spaces": (b"GET  / HTTP/1.1\r\n", 400, "target_invalid"),
    "tab in a target": (get(target=b"/a\tb"), 400, "target_invalid"),
    "UTF-8 in a path": (get(target="/ä".encode()), 400, "target_invalid"),
    "UTF-8 in a query": (get(target="/?abcdefghijk=ä".encode()), 400, "target_invalid"),
    "backslash in a path": (get(target=b"/a\\..\\b"), 400, "target_invalid"),
    "relative path": (get(target=b"fruits"), 400, "target_invalid"),
    "authority-form": (get(target=b"a.example:80"), 400, "target_invalid"),
    "scheme without authority": (get(target=b"http:/a"), 400, "target_invalid"),
    "dot first": (get(target=b"./a"), 400, "target_invalid"),
    "asterisk without OPTIONS": (get(target=b"*"), 400, "target_asterisk"),
    "max-forwards empty": (b"OPTIONS / HTTP/1.1\r\n" + HOST + b"Max-Forwards:\r\n\r\n", 400, "max_forwards_invalid"),
    "max-forwards signed": (b"TRACE / HTTP/1.1\r\n" + HOST + b"Max-Forwards: -1\r\n\r\n", 400, "max_forwards_invalid"),
    "max-forwards twice": (
        b"TRACE / HTTP/1.1\r\n" + HOST + b"Max-Forwards: 1\r\n" * 2 + b"\r\n", 400, "max_forwards_invalid",
    ),
    "another scheme": (get(target=b"ftp://a.example/"), 400, "target_scheme"),
    "userinfo": (get(target=b"http://user:pw@a.example/"), 400, "target_userinfo"),
    "fragment": (get(target=b"/a#b"), 400, "target_fragment"),
    "fragment behind a query": (get(target=b"/a?b#c"), 400, "target_fragment"),
    "fragment behind an authority": (get(target=b"http://a.example#b"), 400, "target_fragment"),
    "fragment behind an authority and a query": (get(target=b"http://a.example?a#b"), 400, "target_fragment"),
    "escape cut short": (get(target=b"/%4"), 400, "path_escape"),
    "escape without digits": (get(target=b"/%zz/"), 400, "path_escape"),
    "escaped NUL": (get(target=b"/a%00b"), 400, "path_escape"),
    "escape cut short by a query": (get(target=b"/%4?1"), 400, "path_escape"),
    "above the root": (get(target=b"/../a"), 400, "path_above_root"),
    "above the root later": (get(target=b"/a/../../b"), 400, "path_above_root"),
    "above the root, escaped": (get(target=b"/a/%2e%2E/.%2e/b"), 400, "path_above_root"),
    # version
    "HTTP/0.9": (b"GET /\r\n", 400, "version_invalid"),
    "space in a target": (get(target=b"/a b"), 400, "version_invalid"),
    "space behind the version": (get(version=b"HTTP/1.1 "), 400, "version_invalid"),
    "version in small letters": (get(version=b"http/1.1"), 400, "version_invalid"),
    "version with two digits": (get(version=b"HTTP/1.10"), 400, "version_invalid"),
    "version without a dot": (get(version=b"HTTP/1"), 400, "version_invalid"),
    "version with a comma": (get(version=b"HTTP/1,1"), 400, "version_invalid"),
    "another protocol": (get(version=b"RTSP/1.0"), 400, "version_invalid"),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version_unsupported"),
    "HTTP/0.9 by name": (get(version=b"HTTP/0.9"), 505, "version_unsupported"),
    # field lines
    "space before a colon": (get(fields=b"A : b\r\n"), 400, "field_space_before_colon"),
    "tab before a colon": (get(fields=b"A\t: b\r\n"), 400, "field_space_before_colon"),
    "space in a name": (get(fields=b"A b: c\r\n"), 400, "field_space_before_colon"),
    "no name": (get(fields=b": b\r\n"), 400, "field_name_invalid"),
    "bracket in a name": (get(fields=b"A[]: b\r\n"), 400, "field_name_invalid"),
    "UTF-8 in a name": (get(fields="Ä: b\r\n".encode()), 400, "field_name_invalid"),
    "no colon": (get(fields=b"A\r\n"), 400, "field_without_colon"),
    "folded": (get(fields=b"A: b\r\n c\r\n"), 400, "field_folded"),
    "folded by a tab": (get(fields=b"A: b\r\n\tc\r\n"), 400, "field_folded"),
    "folded first line": (b"GET / HTTP/1.1\r\n " + HOST + b"\r\n", 400, "field_folded"),
    # host
    "no Host": (get(host=b""), 400, "host_missing"),
    "no Host, absolute": (get(target=b"http://a.example/", host=b""), 400, "host_missing"),
    "two Hosts": (get(host=HOST + HOST), 400, "host_repeated"),
    "two Hosts in 1.0": (get(host=HOST + HOST, version=b"HTTP/1.0"), 400, "host_repeated"),
    "absolute with an empty authority": (get(target=b"http:///x"), 400, "host_invalid"),
    "absolute with an odd port": (get(target=b"http://a.example:x/"), 400, "host_invalid"),
    "absolute, odd Host": (get(target=b"http://a.example/", host=b"Host: a/b\r\n"), 400, "host_invalid"),
    # framing
    "both framings": (get(fields=b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400, "framing_ambiguous"),
    "both framings, length 0": (get(fields=b"Transfer-Encoding: x\r\nContent-Length: 0\r\n"), 400, "framing_ambiguous"),
    "coding in 1.0": (
        get(version=b"HTTP/1.0", fields=b"Transfer-Encoding: chunked\r\n"), 400, "transfer_encoding_in_http10",
    ),
    "two lengths": (get(fields=b"Content-Length: 1\r\nContent-Length: 2\r\n"), 400, "content_length_repeated"),
    "two equal lengths": (get(fields=b"Content-Length: 1\r\nContent-length: 1\r\n"), 400, "content_length_repeated"),
    # nominated
    "65 options": (get(fields=b"Connection: " + b"a," * 65 + b"\r\n"), 400, "connection_too_long"),
    "65 options over two": (
        get(fields=b"Connection: " + b"a," * 40 + b"\r\nConnection: " + b"b," * 25 + b"\r\n"),
        400, "connection_too_long",
    ),
}  # fmt: skip

ODD_HOSTS = (
    b"", b" ", b":80", b".", b".a", b"a..b", b"a..", b"a b", b"a\tb", b"a,b", b"a/b", b"a@b", b"a%41", b"*.a", b"a?b",
    b"a#b", b"a\\b", "ä".encode(), b"[", b"[]", b"[::1", b"[::1]x", b"[::g]", b"[fe80::1%25e]", b"[v1.x]", b"[1.2.3.4]",
    b"a:b", b"a:65536", b"a:-1", b"a:+1", b"a:1:2", b"a:000080", b"::1", b"a" * 256, b"[" + b"0" * 60 + b"]", b"a, a",
)  # fmt: skip

ODD_LENGTHS = (
    b"", b"+1", b"-1", b"1,1", b"1, 1", b"1 1", b"0x1", b"1e3", b"1.0", b"1_0", b"1;", b"9" * 19, b"0" * 19, b'"1"',
    "١".encode(), b"1\xa0",
)  # fmt: skip

ODD_CODINGS = (
    b"", b"gzip", b"identity", b"chunked, chunked", b"gzip, chunked", b"chunked, identity", b"chunked,", b",chunked",
    b"chunked;q=1", b"xchunked", b"chunkedx", b'"chunked"', b"chunked\xa0", b"\xc2\x85chunked", b"chun\tked",
)  # fmt: skip

REFUSED |= {
    f"Host {host!r:.30}": (get(host=b"Host: " + host + b"\r\n"), 400, "host_invalid") for host in ODD_HOSTS
} | {
    f"Content-Length {length!r:.30}": (
        get(fields=b"Content-Length: " + length + b"\r\n"), 400, "content_length_invalid",
    )
    for length in ODD_LENGTHS
} | {
    f"Transfer-Encoding {coding!r}": (
        get(fields=b"Transfer-Encoding: " + coding + b"\r\n"), 501, "transfer_encoding_unsupported",
    )
    for coding in ODD_CODINGS
} | {
    "two codings": (get(fields=b"Transfer-Encoding: chunked\r\n" * 2), 501, "transfer_encoding_unsupported"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "status", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_request_is_refused(data: bytes, status: int, reason: str) -> None:
    assert read_request(data) == Refused(status, reason)


# -------------------------------------------------------------------------------------------------------------- limits


def test_a_target_may_be_as_long_as_the_limit() -> None:
    assert taken(get(target=b"/" + b"a" * 9), target=10).path == b"/" + b"a" * 9
    assert read_request(get(target=b"/" + b"a" * 10), target=10) == Refused(414, "target_too_long")
    assert read_request(b"GET /" + b"a" * 10, target=10) == Refused(414, "target_too_long")
    assert read_request(b"GET /" + b"a" * 9, target=10) is None


def test_a_head_may_be_as_long_as_the_limit() -> None:
    whole = get(fields=b"A: b\r\n")
    assert taken(whole + b"GET ", head=len(whole)).size == len(whole)
    assert read_request(whole, head=len(whole) - 1) == Refused(431, "head_too_large")
    assert read_request(whole[:-1], head=len(whole) - 1) == Refused(431, "head_too_large")
    assert read_request(whole[:-2], head=len(whole) - 1) is None


def test_a_head_may_have_as_many_fields_as_the_limit() -> None:
    assert len(taken(get(fields=b"A: b\r\n" * 2), fields=3).fields) == 3
    assert read_request(get(fields=b"A: b\r\n" * 3), fields=3) == Refused(431, "fields_too_many")


def test_what_is_broken_first_is_what_is_named() -> None:
    assert read_request(get(target=b"/" + b"a" * 20 + b"\0"), target=10) == Refused(414, "target_too_long")
    assert read_request(get(fields=b"A : b\r\n" + b"C: d\r\n" * 9), fields=3) == Refused(
        400, "field_space_before_colon"
    )


# ----------------------------------------------------------------------------------------------------------- in pieces


def doubled(data: bytes) -> bytes:
    """More than twice as long, so the reader must examine bytes that it skipped because no line end had arrived."""
    return data + b"x" * (len(data) + 1)


def in_two(data: bytes, cut: int, **limits: int) -> object:
    reader = HeadReader(**limits)
    return reader.read(data[:cut]) or reader.read(data) or reader.read(doubled(data))


@pytest.mark.parametrize("data", [case[0] for case in (*ACCEPTED.values(), *REFUSED.values()) if len(case[0]) < 150])
def test_every_cut_gives_the_same_answer(data: bytes) -> None:
    whole = read_request(data)
    assert {in_two(data, cut) for cut in range(len(data))} == {whole}


@pytest.mark.parametrize("data", [case[0] for case in (*ACCEPTED.values(), *REFUSED.values())])
def test_byte_by_byte_gives_the_same_answer(data: bytes) -> None:
    reader = HeadReader()
    answers = (reader.read(data[:size]) for size in range(len(data) + 1))
    assert next((answer for answer in answers if answer is not None), reader.read(doubled(data))) == read_request(data)


@pytest.mark.parametrize("limits", [{"head": 30}, {"target": 8}, {"fields": 2}])
def test_limits_do_not_depend_on_cuts(limits: dict[str, int]) -> None:
    data = get(target=b"/abcdefghijkl", fields=b"A: b\r\nC: d\r\n\x00")
    whole = read_request(data, **limits)
    assert isinstance(whole, Refused)
    assert {in_two(data, cut, **limits) for cut in range(len(data))} == {whole}


def test_an_old_client_is_refused_at_the_end_of_its_line() -> None:
    reader = HeadReader()
    line = b"GET /some/where/else\r\n"
    assert [reader.read(line[:size]) for size in range(len(line))] == [None] * len(line)
    assert reader.read(line) == Refused(400, "version_invalid")
