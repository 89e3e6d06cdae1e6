"""HTTP/1 for Python: one message at a time, for tests and tools; see http1.pyx."""

from typing import NamedTuple

Buffer = bytes | bytearray | memoryview[int]

class Refused(NamedTuple):
    status: int
    reason: str

class RequestHead(NamedTuple):
    size: int
    method: bytes
    target: bytes
    path: bytes
    query: bytes | None
    authority: bytes
    host: bytes
    minor: int
    framing: str
    stated: str
    content_length: int
    keep_alive: bool
    expect_continue: bool
    upgrade: bool
    te_trailers: bool
    asterisk: bool
    max_forwards: int | None
    fields: tuple[tuple[bytes, bytes, bool], ...]

class ResponseHead(NamedTuple):
    size: int
    status: int
    reason: bytes
    minor: int
    framing: str
    stated: str
    content_length: int
    keep_alive: bool
    fields: tuple[tuple[bytes, bytes, bool], ...]

class HeadReader:
    scanned: int
    def __init__(
        self,
        response_to: bytes | None = None,
        *,
        asked: bool = False,
        head: int = 65536,
        target: int = 8192,
        fields: int = 200,
        merge_slashes: bool = False,
        keep_underscores: bool = False,
        arena: int | None = None,
    ) -> None: ...
    def read(self, data: Buffer) -> RequestHead | ResponseHead | Refused | None: ...
    def rewrite(
        self, data: Buffer, *, close: bool = False, to_http10: bool = False, kept: bool = False, room: int = 1048576
    ) -> bytes | None: ...
    def seconds(self, data: Buffer, count: int, *, write: bool = True) -> float: ...

class BodyReader:
    complete: bool
    decoded: int
    def __init__(self, framing: str, content_length: int = 0, *, head: int = 65536, fields: int = 200) -> None: ...
    def take(self, data: Buffer) -> int | Refused: ...
    def passes(self, data: Buffer) -> tuple[int, bytes] | Refused: ...
    def opens(self, data: Buffer) -> tuple[int, bytes, bytes] | Refused: ...
    def decode(self, data: Buffer) -> tuple[int, bytes] | Refused: ...

def read_request(
    data: Buffer,
    *,
    head: int = 65536,
    target: int = 8192,
    fields: int = 200,
    merge_slashes: bool = False,
    keep_underscores: bool = False,
) -> RequestHead | Refused | None: ...
def read_response(
    data: Buffer, request_method: bytes = b"GET", *, head: int = 65536, target: int = 8192, fields: int = 200
) -> ResponseHead | Refused | None: ...
def normalise_path(path: str | bytes, *, merge_slashes: bool = False) -> bytes: ...
def local_response(
    status: int,
    text: bytes,
    *,
    location: bytes = b"",
    date: bytes = b"",
    close: bool = False,
    to_http10: bool = False,
    to_head: bool = False,
    room: int = 4096,
) -> bytes | None: ...
def chunk_head(size: int) -> bytes: ...
def http_date(seconds: int) -> bytes: ...
def known_name(name: bytes) -> int: ...
