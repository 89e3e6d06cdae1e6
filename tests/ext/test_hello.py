"""The server name in a ClientHello of a real client, in records of any size, and with other input."""

import contextlib
import ssl
from functools import cache

import pytest
from certificates import trusting
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.ext.tls.hello import read


@cache
def hello(name: str | None) -> bytes:
    """The first message of a client of Python's ssl module."""
    context = trusting()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def records(message: bytes, sizes: list[int]) -> bytes:
    """A handshake message in records of these sizes, repeated."""
    out, at, number = b"", 0, 0
    while at < len(message):
        piece = message[at : at + sizes[number % len(sizes)]]
        out += b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece
        at, number = at + len(piece), number + 1
    return out


@pytest.mark.parametrize(
    ("name", "read_as"),
    [("a.example.com", "a.example.com"), ("A.EXAMPLE.com", "a.example.com"), ("x", "x"), (None, "")],
)
def test_a_real_client(name: str | None, read_as: str) -> None:
    assert read(hello(name)) == read_as


def test_every_part_of_it_wants_more() -> None:
    whole = hello("a.example.com")
    assert {read(whole[:size]) for size in range(len(whole))} == {None}


@given(st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_however_its_records_are_cut(sizes: list[int]) -> None:
    assert read(records(hello("a.example.com")[5:], sizes)) == "a.example.com"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x04\x01\x00\x05\x01\x00\x00\x01\x00",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x40\x01",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
        records(b"\x01\x00\xff\xff" + bytes(20_000), [16_000]),
        hello("a.example.com").replace(b"a.example.com", b"a.exa ple.com"),
        hello("a.example.com").replace(b"a.example.com", b"a.exa\0ple.com"),
    ],
)
def test_what_is_no_hello(data: bytes) -> None:
    with pytest.raises(ValueError, match="no ClientHello"):
        read(data)


def outcome(data: bytes) -> str | None:
    try:
        return read(data)
    except ValueError:
        return "refused"


MUTATIONS = st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=8)


@settings(max_examples=300)
@given(MUTATIONS, st.integers(0, 600))
def test_mutated_ones_are_read_or_refused(mutations: list[tuple[int, int]], cut: int) -> None:
    """No byte beyond the input is read (detected by the sanitizer), and no name exceeds 255 bytes."""
    data = bytearray(hello("a.example.com"))
    for at, value in mutations:
        data[at % len(data)] = value
    for each in (bytes(data), bytes(data[:cut])):
        found = outcome(each)
        assert found is None or len(found) <= 255


@given(st.binary(max_size=200))
def test_anything_is_read_or_refused(data: bytes) -> None:
    assert outcome(data) in (None, "refused") or data[:1] == b"\x16"
