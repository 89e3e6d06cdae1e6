"""Bodies: where they end, which bytes are content, and the reasons for refusing chunked framing."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.ext.http1.http1 import BodyReader, Refused, chunk_head

BEHIND = b"GET /next HTTP/1.1\r\n"


def content_of(reader: BodyReader, *pieces: bytes) -> tuple[int, bytes] | Refused:
    """The result of `decode` for all pieces in sequence; stops at the end of the body."""
    taken, content = 0, b""
    for piece in pieces:
        answer = reader.decode(piece)
        if isinstance(answer, Refused):
            return answer
        taken, content = taken + answer[0], content + answer[1]
    return taken, content


# --------------------------------------------------------------------------------------------------- without chunks


@pytest.mark.parametrize("framing", ["none", "length"])
def test_nothing_is_complete_at_once(framing: str) -> None:
    reader = BodyReader(framing)
    assert reader.complete
    assert reader.take(b"abc") == 0
    assert reader.decode(b"abc") == (0, b"")


def test_a_length_ends_where_it_says() -> None:
    reader = BodyReader("length", 5)
    assert [reader.take(b""), reader.take(b"ab"), reader.complete] == [0, 2, False]
    assert [reader.take(b"cdef"), reader.complete, reader.decoded] == [3, True, 5]
    assert reader.take(b"f") == 0


def test_a_length_decodes_to_itself() -> None:
    assert content_of(BodyReader("length", 5), b"ab", b"cdef") == (5, b"abcde")


def test_only_the_peer_ends_a_body_without_framing() -> None:
    reader = BodyReader("close")
    assert [reader.take(b"abc"), reader.decode(b"de"), reader.complete, reader.decoded] == [3, (2, b"de"), False, 5]


def test_a_length_beyond_32_bits_counts_down() -> None:
    reader = BodyReader("length", 2**32 + 1)
    assert [reader.take(b"abc"), reader.complete] == [3, False]


# ---------------------------------------------------------------------------------------------------------- chunked

CHUNKED = {
    "empty": (b"0\r\n\r\n", b""),
    "one chunk": (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
    "two chunks": (b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", b"abcd"),
    "hex in both cases": (b"a\r\n0123456789\r\n0B\r\n0123456789a\r\n0\r\n\r\n", b"01234567890123456789a"),
    "leading zeros": (b"00003\r\nabc\r\n000\r\n\r\n", b"abc"),
    "CRLF is content": (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    "extension": (b'3;a\r\nabc\r\n0;b=c;d="e f; \t\\"";g\r\n\r\n', b"abc"),
    "trailers": (b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nb:\t\xff \r\n\r\n", b"abc"),
    "trailers that servers send": (b"0\r\nServer-Timing: a\r\nServer: y\r\nETag: z\r\n\r\n", b""),
    "trailer like a forbidden one": (b"0\r\nX-Forwardee: a\r\nHosts: b\r\n\r\n", b""),
    "long trailer": (b"0\r\n" + b"N" * 300 + b":" + b"v" * 3000 + b"\r\n\r\n", b""),
}


@pytest.mark.parametrize(("data", "content"), CHUNKED.values(), ids=CHUNKED.keys())
def test_chunks_are_taken_whole(data: bytes, content: bytes) -> None:
    taker, decoder = BodyReader("chunked"), BodyReader("chunked")
    assert BodyReader("chunked").passes(data + BEHIND) == (len(data), data)
    assert taker.take(data + BEHIND) == len(data)
    assert content_of(decoder, data + BEHIND) == (len(data), content)
    assert taker.complete
    assert decoder.complete
    assert taker.decoded == decoder.decoded == len(content)


@pytest.mark.parametrize(("data", "content"), CHUNKED.values(), ids=CHUNKED.keys())
def test_chunks_come_in_any_pieces(data: bytes, content: bytes) -> None:
    for cut in range(min(len(data), 60)):
        taker, decoder = BodyReader("chunked"), BodyReader("chunked")
        assert taker.take(data[:cut]) == cut
        assert not taker.complete
        assert taker.take(data[cut:] + BEHIND) == len(data) - cut
        assert taker.complete
        assert content_of(decoder, data[:cut], data[cut:] + BEHIND) == (len(data), content)
    single = [data[at : at + 1] for at in range(len(data))]
    assert content_of(BodyReader("chunked"), *single) == (len(data), content)


REFUSED = {
    "nothing": (b"\r\n", 400, "chunk_size_invalid"),
    "extension alone": (b";a\r\n", 400, "chunk_size_invalid"),
    "no digit": (b"g\r\n", 400, "chunk_size_invalid"),
    "minus": (b"-1\r\n", 400, "chunk_size_invalid"),
    "plus": (b"+1\r\n", 400, "chunk_size_invalid"),
    "0x": (b"0x3\r\nabc\r\n", 400, "chunk_size_invalid"),
    "underscore": (b"1_0\r\n", 400, "chunk_size_invalid"),
    "space before a size": (b" 3\r\nabc\r\n", 400, "chunk_size_invalid"),
    "space behind a size": (b"3 \r\nabc\r\n", 400, "chunk_size_invalid"),
    "space before an extension": (b"3 ;a\r\nabc\r\n", 400, "chunk_size_invalid"),
    "UTF-8 in a size": (b"3\xc2\xa0\r\nabc\r\n", 400, "chunk_size_invalid"),
    "bare LF behind a size": (b"3\nabc\r\n", 400, "bare_lf"),
    "bare CR behind a size": (b"3\rabc\r\n", 400, "bare_cr"),
    "NUL behind a size": (b"3\0\r\nabc\r\n", 400, "nul_byte"),
    "size beyond 60 bits": (b"1000000000000000\r\n", 400, "chunk_size_too_large"),
    "size beyond 64 bits": (b"10000000000000003\r\nabc\r\n", 400, "chunk_size_too_large"),
    "empty extension": (b"3;\r\nabc\r\n", 400, "chunk_extension_invalid"),
    "second extension empty": (b"3;a;\r\nabc\r\n", 400, "chunk_extension_invalid"),
    "extension without a value": (b"3;a=\r\nabc\r\n", 400, "chunk_extension_invalid"),
    "extension without a name": (b"3;=b\r\nabc\r\n", 400, "chunk_extension_invalid"),
    "two values": (b"3;a=b=c\r\nabc\r\n", 400, "chunk_extension_invalid"),
    "space in an extension": (b"3; a\r\nabc\r\n", 400, "chunk_extension_invalid"),
    "quote that is not closed": (b'3;a="b\r\nabc\r\n', 400, "chunk_extension_invalid"),
    "quote behind a token": (b'3;a=b"c"\r\nabc\r\n', 400, "chunk_extension_invalid"),
    "token behind a quote": (b'3;a="b"c\r\nabc\r\n', 400, "chunk_extension_invalid"),
    "quoted line end": (b'3;a="\\\r\n"\r\nabc\r\n', 400, "chunk_extension_invalid"),
    "quoted UTF-8": (b'3;a="\xc3\xa4"\r\nabc\r\n', 400, "chunk_extension_invalid"),
    "quoted NUL": (b'3;a="\0"\r\nabc\r\n', 400, "nul_byte"),
    "bare LF in an extension": (b"3;a\nabc\r\n", 400, "bare_lf"),
    "bare CR in an extension": (b"3;a\rb\r\nabc\r\n", 400, "bare_cr"),
    "NUL in an extension": (b"3;a\0\r\nabc\r\n", 400, "nul_byte"),
    "control byte in an extension": (b"3;a\x0b\r\nabc\r\n", 400, "control_byte"),
    "UTF-8 in an extension": (b"3;\xc3\xa4\r\nabc\r\n", 400, "chunk_extension_invalid"),
    "endless zeros": (b"0" * 1026, 400, "chunk_line_too_long"),
    "endless extension": (b"3;" + b"a" * 1024, 400, "chunk_line_too_long"),
    "endless zeros and extension": (b"0000;" + b"a" * 1021, 400, "chunk_line_too_long"),
    "extensions of many chunks": ((b"1;" + b"a" * 999 + b"\r\nx\r\n") * 17, 400, "chunk_overhead"),
    "zeros of many chunks": ((b"0" * 1000 + b"1\r\nx\r\n") * 17, 400, "chunk_overhead"),
    "content longer than its size": (b"3\r\nabcd\r\n", 400, "chunk_end_missing"),
    "bare LF behind content": (b"3\r\nabc\n0\r\n\r\n", 400, "chunk_end_missing"),
    "bare CR behind content": (b"3\r\nabc\r0\r\n\r\n", 400, "chunk_end_missing"),
    "two bytes that are no CRLF": (b"3\r\nabcXX0\r\n\r\n", 400, "chunk_end_missing"),
    "bare LF in place of the last CRLF": (b"0\r\n\n", 400, "bare_lf"),
    "bare CR in place of the last CRLF": (b"0\r\n\rX", 400, "bare_cr"),
    "trailer without a name": (b"0\r\n: a\r\n", 400, "field_name_invalid"),
    "trailer with a bracket": (b"0\r\na[: a\r\n", 400, "field_name_invalid"),
    "trailer without a colon": (b"0\r\na\r\n\r\n", 400, "field_without_colon"),
    "space before a trailer's colon": (b"0\r\na : b\r\n\r\n", 400, "field_space_before_colon"),
    "folded trailer": (b"0\r\na: b\r\n c\r\n", 400, "field_folded"),
    "NUL in a trailer": (b"0\r\na: b\0\r\n", 400, "nul_byte"),
    "control byte in a trailer": (b"0\r\na: b\x01\r\n", 400, "control_byte"),
    "bare LF behind a trailer": (b"0\r\na: b\n\r\n", 400, "bare_lf"),
    "bare CR in a trailer": (b"0\r\na: b\rc\r\n", 400, "bare_cr"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "status", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_chunk_framing_is_refused(data: bytes, status: int, reason: str) -> None:
    refused = Refused(status, reason)
    single = [data[at : at + 1] for at in range(len(data))]
    assert BodyReader("chunked").take(data) == refused
    assert BodyReader("chunked").passes(data) == refused
    assert content_of(BodyReader("chunked"), data) == refused
    assert content_of(BodyReader("chunked"), *single) == refused


@pytest.mark.parametrize("size", [1, 9, 10, 15, 16, 255, 2**60 - 1])
def test_the_largest_chunks_count(size: int) -> None:
    reader = BodyReader("chunked")
    assert reader.take(f"{size:x}\r\n".encode() + b"a") == len(f"{size:x}\r\n") + 1
    assert not reader.complete


@pytest.mark.parametrize(
    ("data", "decoded"),
    [
        (b"3;" + b"a" * 1023 + b"\r\nabc\r\n", 3),
        (b"0" * 1024 + b"3\r\nabc\r\n", 3),
        (b"1\r\nx\r\n" * 100_000, 100_000),
        ((b"400;" + b"a" * 1023 + b"\r\n" + b"x" * 1024 + b"\r\n") * 100, 102_400),
        ((b"00000001\r\nx\r\n") * 2_700, 2_700),
    ],
    ids=["extension", "zeros", "small chunks", "as much as content", "padded sizes"],
)
def test_chunks_with_less_than_the_limits_pass(data: bytes, decoded: int) -> None:
    reader = BodyReader("chunked")
    assert reader.take(data) == len(data)
    assert reader.decoded == decoded


@pytest.mark.parametrize("size", [1, 100, 411])
def test_surplus_of_chunks_is_bounded_by_16_kib_and_the_content_so_far(size: int) -> None:
    chunk = b"%x;%s\r\n%s\r\n" % (size, b"a" * 511, b"x" * size)
    reader, taken = BodyReader("chunked"), 0
    while not isinstance(reader.take(chunk), Refused):
        taken += 1
    assert taken == (16_384 - size) // (512 - size)


def test_trailers_are_bounded_like_a_head() -> None:
    lines = b"a: b\r\n" * 3
    assert BodyReader("chunked", fields=3).take(b"0\r\n" + lines + b"\r\n") == len(lines) + 5
    assert BodyReader("chunked", fields=2).take(b"0\r\n" + lines) == Refused(431, "trailers_too_large")
    assert BodyReader("chunked", head=20).take(b"0\r\n" + lines + b"\r\n") == len(lines) + 5
    assert BodyReader("chunked", head=19).take(b"0\r\n" + lines + b"\r\n") == Refused(431, "trailers_too_large")
    assert BodyReader("chunked", head=10).take(b"0\r\na: " + b"b" * 8) == Refused(431, "trailers_too_large")


# ------------------------------------------------------------------------------------------------ forbidden trailers

FORBIDDEN = (
    b"Host", b"content-length", b"TRANSFER-ENCODING", b"Connection", b"Trailer", b"X-Forwarded-For", b"TE", b"Upgrade",
    b"Content_Length", b"X-Forwarded-Client-Cert", b"Access-Control-Allow-Credentials", b"Authorization",
    b"set-cookie", b"Cache-Control", b"If-None-Match", b"Range", b"Content-Type", b"Date", b"Location", b"Age",
    b"Proxy-Authorization", b"If-Unmodified-Since", b"Accept-Encoding", b"Max-Forwards", b"X-Forwarded-Form",
    b"Client-IP", b"x_real_ip",
)  # fmt: skip
PASSING = (
    b"X-Sum", b"A", b"Hosts", b"ETag", b"Grpc-Status", b"Server-Timing", b"Accept-Ranges", b"Content-Digest", b"T",
    b"Authentication-Info", b"x-forwardedfor", b"N" * 300, b"access-controlled-by-nobody-at-all",
)  # fmt: skip


def passed_in(reader: BodyReader, *pieces: bytes) -> bytes:
    """The bytes that are forwarded of a body in these pieces, all of which belong to the body."""
    passed = b""
    for piece in pieces:
        answer = reader.passes(piece)
        assert not isinstance(answer, Refused)
        assert answer[0] == len(piece)
        passed += answer[1]
    return passed


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_forbidden_trailer_is_dropped(name: bytes) -> None:
    start, line = b"3\r\nabc\r\n0\r\n", name + b":  1 \r\n"
    for before, behind in (
        (b"", b""),
        (b"X-A: 1\r\n", b""),
        (b"", b"b:\r\n"),
        (b"X-A: 1\r\n" + line, line + b"b:\r\n"),
    ):
        data = start + before + line + behind + b"\r\n"
        expected = start + before.replace(line, b"") + behind.replace(line, b"") + b"\r\n"
        for cut in range(len(data)):
            assert passed_in(BodyReader("chunked"), data[:cut], data[cut:]) == expected
        assert passed_in(BodyReader("chunked"), *(data[i : i + 1] for i in range(len(data)))) == expected
        assert BodyReader("chunked").take(data) == len(data)
        assert content_of(BodyReader("chunked"), data) == (len(data), b"abc")


@pytest.mark.parametrize("name", PASSING)
def test_any_other_trailer_passes(name: bytes) -> None:
    data = b"0\r\n" + name + b": 1\r\nb:\t2 \r\n\r\n"
    for cut in range(len(data)):
        assert passed_in(BodyReader("chunked"), data[:cut], data[cut:]) == data


@given(
    lines=st.lists(
        st.tuples(st.sampled_from(FORBIDDEN + PASSING), st.sampled_from((b"", b" v", b"\t\xff" * 40))), max_size=9
    ),
    data=st.data(),
)
def test_trailers_in_any_pieces(lines: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    whole = b"1\r\nx\r\n0\r\n" + b"".join(b"%s:%s\r\n" % line for line in lines) + b"\r\n"
    kept = b"1\r\nx\r\n0\r\n" + b"".join(b"%s:%s\r\n" % line for line in lines if line[0] in PASSING) + b"\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    parts = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    reader = BodyReader("chunked")
    assert passed_in(reader, *parts) == kept
    assert reader.complete


def test_dropped_trailers_count_against_the_limits() -> None:
    lines = b"Host: b\r\n" * 3
    assert BodyReader("chunked", fields=2).passes(b"0\r\n" + lines) == Refused(431, "trailers_too_large")
    assert BodyReader("chunked", head=20).passes(b"0\r\n" + lines) == Refused(431, "trailers_too_large")


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    trailers=st.sampled_from((b"", b"X-Sum: 1\r\n", b"X-A:\r\nHost: b\r\n")),
    data=st.data(),
)
def test_opened_chunks_are_content_and_a_trailer_section(
    pieces: list[bytes], trailers: bytes, data: st.DataObject
) -> None:
    whole = b"".join(b"%x;a=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    reader, content, section = BodyReader("chunked"), b"", b""
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        answer = reader.opens(whole[start:end])
        assert not isinstance(answer, Refused)
        assert answer[0] == end - start
        content, section = content + answer[1], section + answer[2]
    assert reader.complete
    assert (content, section) == (b"".join(pieces), trailers + b"\r\n" if trailers else b"")


# ----------------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("size", [1, 9, 10, 15, 16, 17, 255, 256, 65536, 2**32, 2**60 - 1, 2**64 - 1])
def test_a_chunk_head_is_its_size_in_hex(size: int) -> None:
    assert chunk_head(size) == f"{size:x}\r\n".encode()


@given(pieces=st.lists(st.binary(min_size=1, max_size=300), max_size=5), data=st.data())
def test_what_we_chunk_we_decode(pieces: list[bytes], data: st.DataObject) -> None:
    body = b"".join(chunk_head(len(piece)) + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    reader = BodyReader("chunked")
    assert content_of(reader, *parts) == (len(body), b"".join(pieces))
    assert reader.complete


# ------------------------------------------------------------------------------------------------------------- cost


def cost(chunk: bytes, first: int) -> float:
    """Seconds of CPU time for 120 KB of chunks, of which `first` bytes were taken before; the least of some trials."""
    data = chunk * (120_000 // len(chunk))
    least = 1.0
    for _ in range(9):
        reader = BodyReader("chunked")
        reader.take(data[:first])
        rest = data[first:]
        begun = time.thread_time()
        assert reader.take(rest) == len(rest)
        least = min(least, time.thread_time() - begun)
    return least


@pytest.mark.parametrize("first", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("chunk", [b"1\r\nx\r\n", b"01\r\nx\r\n", b"10\r\n0123456789abcdef\r\n"])
def test_small_chunks_are_cheap_wherever_a_read_begins(chunk: bytes, first: int) -> None:
    assert cost(chunk, first) < 4 * cost(b"1\r\nx\r\n", 0)


def test_leading_zeros_are_limited_in_chunks_that_are_taken_whole() -> None:
    data = b"001\r\nx\r\n" * 17_000
    found = []
    for size in (len(data), 1):
        reader = BodyReader("chunked")
        pieces = (data[at : at + size] for at in range(0, len(data), size))
        assert next(one for one in map(reader.take, pieces) if one != size) == Refused(400, "chunk_overhead")
        found.append(reader.decoded)
    assert found == [16_383, 16_383]
