"""No byte outside of the input is read, and the cost of reading a head is limited by its size.

The input lies between two inaccessible pages: right after the first, then right before the second. Reading one byte too
many kills the process. (The sanitizer build detects the same within the arena.)
"""

import ctypes
import mmap
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.ext.http1.http1 import BodyReader, HeadReader, Refused, RequestHead, read_request

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)

HEADS = (
    b"\r\n\r\nGET /a/%2e%2e/b?c HTTP/1.1\r\nHost: A.example.:80\r\nConnection: x, close\r\nX: \t y \r\n\r\n",
    b"POST http://[::1]:80/.?x HTTP/1.1\r\nhost:[::1]\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n",
    b"PUT / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
    b"GET /../ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"G\r\n",
    b"GET /\n",
    b"GET / HTTP/1.1\r\nA\0: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: b\r\n c\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
)
ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: x\r\nX: y\r\n\r\n",
    b"HTTP/1.0 200\r\nA : b\r\n\r\n",
    b"HTTP/1.1 20\r\n",
)
BODIES = (
    b'3;a="b"\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Lengthy: 2\r\n\r\n',
    b"0\r\nHost: a\r\n\r\n",
    b"3\r\nabcd\r\n",
    b"ffffffffffffffff\r\n",
)


class Fenced:
    """`whole` pages of memory between two inaccessible pages."""

    def __init__(self, whole: int = 1) -> None:
        self.room = whole * PAGE
        self.memory = mmap.mmap(-1, self.room + 2 * PAGE)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory)) + PAGE
        for fence in (self.start - PAGE, self.start + self.room):
            assert LIBC.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(PAGE), 0) == 0

    def views(self, data: bytes) -> Iterator[memoryview]:
        """`data` right after the first fence, then right before the second."""
        for offset in (0, self.room - len(data)):
            window = (ctypes.c_char * len(data)).from_address(self.start + offset)
            window[:] = data
            yield memoryview(window).cast("B")


FENCED = Fenced(4)


@pytest.mark.parametrize("data", HEADS)
def test_requests_are_read_within_their_bytes(data: bytes) -> None:
    for size in range(1, len(data) + 1):
        for view in FENCED.views(data[:size]):
            head = read_request(view)
            if isinstance(head, RequestHead):
                HeadReader().rewrite(view)


@pytest.mark.parametrize("data", ANSWERS)
def test_responses_are_read_within_their_bytes(data: bytes) -> None:
    for size in range(1, len(data) + 1):
        for view in FENCED.views(data[:size]):
            reader = HeadReader(b"GET")
            if not isinstance(reader.read(view), Refused | None):
                reader.rewrite(view)


@pytest.mark.parametrize("data", BODIES)
def test_bodies_are_read_within_their_bytes(data: bytes) -> None:
    for size in range(1, len(data) + 1):
        for view in FENCED.views(data[:size]):
            BodyReader("chunked").take(view)
            BodyReader("chunked").decode(view)


@pytest.mark.parametrize("data", HEADS + ANSWERS)
def test_growing_heads_are_read_within_their_bytes(data: bytes) -> None:
    readers = [HeadReader(), HeadReader(), HeadReader(b"GET"), HeadReader(b"GET")]
    for size in range(1, len(data) + 1):
        for view, request, response in zip(FENCED.views(data[:size]), readers[:2], readers[2:], strict=True):
            request.read(view)
            response.read(view)


PIECES = st.sampled_from([*b"\r\n\t :;%/.?#@[]a0A-_,\0\x7f\xff", 13, 10, 13, 10, 32, 58, 37]).map(
    lambda octet: bytes([octet])
)
SPLICED = st.tuples(st.sampled_from([*HEADS, *ANSWERS, *BODIES]), st.integers(0, 80), st.lists(PIECES, max_size=4)).map(
    lambda parts: parts[0][: parts[1]] + b"".join(parts[2]) + parts[0][parts[1] :]
)


@given(data=SPLICED, head=st.integers(1, 120), target=st.integers(1, 40), fields=st.integers(1, 4), merge=st.booleans())
def test_broken_bytes_are_read_within_their_bytes(
    data: bytes, head: int, target: int, fields: int, merge: bool
) -> None:
    for view in FENCED.views(data):
        read_request(view, head=head, target=target, fields=fields, merge_slashes=merge)
        read_request(view, merge_slashes=merge)
        HeadReader(b"GET").read(view)
        BodyReader("chunked", head=head, fields=fields).take(view)
        BodyReader("chunked", head=head, fields=fields).decode(view)


# --------------------------------------------------------------------------------------------------------------- arena

LARGEST = (
    b"GET /" + b"%41" * 5 + b"/../%42? HTTP/1.1\r\nHost: " + b"A" * 255 + b"\r\n" + b"A: b\r\n" * 3 + b"\r\n"
)  # everything that is stored in the arena: a normalised path, all fields, a host in upper case
LIMITS = {"target": len(LARGEST.split()[1]), "fields": 4}


def test_the_room_that_is_asked_for_is_enough() -> None:
    head = HeadReader(**LIMITS).read(LARGEST)
    assert isinstance(head, RequestHead)
    assert (head.path, head.host) == (b"/B", b"a" * 255)


def test_a_smaller_arena_refuses_or_is_enough() -> None:
    whole = HeadReader(**LIMITS).read(LARGEST)
    answers = [HeadReader(**LIMITS, arena=size).read(LARGEST) for size in range(1, 5000, 7)]
    assert set(answers) == {Refused(431, "arena_full"), whole}
    assert answers == sorted(answers, key=lambda answer: answer == whole)


# ---------------------------------------------------------------------------------------------------------------- cost


def seconds_of_trickle(data: bytes) -> float:
    """Processor time for reading `data` while it arrives byte by byte."""
    reader = HeadReader()
    view = memoryview(data)
    start = time.process_time()
    for size in range(1, len(data) + 1):
        reader.read(view[:size])
    return time.process_time() - start


@pytest.mark.parametrize("line", [b"A: " + b"b" * 300 + b"\r\n", b"A: " + b"b" * 60_000 + b"\r\n"])
def test_a_trickled_head_costs_what_its_bytes_cost(line: bytes) -> None:
    """Reading everything again for every byte would take a hundred times as long as the calls themselves."""
    start = b"GET / HTTP/1.1\r\nHost: a\r\n"
    data = start + line * (60_000 // len(line))
    calls = min(seconds_of_trickle(b"G" * 20 * 3000) for _ in range(2))
    assert min(seconds_of_trickle(data) for _ in range(2)) < 5 * calls + 0.05


def test_nominating_many_fields_costs_little() -> None:
    """The number of connection options is limited, and so is the cost of comparing them with the fields."""
    start, end = b"GET / HTTP/1.1\r\nHost: a\r\n", b"x0: 1\r\n" * 190 + b"\r\n"
    nominating = start + b"Connection: " + b",".join(b"y%d" % number for number in range(64)) + b"\r\n" + end
    plain, nominated = (
        min(HeadReader().seconds(data, 100) for _ in range(5)) for data in (start + b"A: b\r\n" + end, nominating)
    )
    assert nominated < 50 * plain
