"""HTTP/1 for Python: the functions that the engine uses, applied to one message at a time, for tests and tools.

The engine cimports the modules listed in http1.pxd and does not use this one. The control plane uses `normalise_path`,
so that the paths of routes and of requests are normalised by the same code.

All functions accept any contiguous buffer, so that tests can place the bytes at the end of a page before an
inaccessible one.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from libc.time cimport clock

from typing import NamedTuple

from fastroute.ext.http1.body cimport *
from fastroute.ext.http1.field cimport *
from fastroute.ext.http1.head cimport *
from fastroute.ext.http1.parser cimport *
from fastroute.ext.http1.target cimport *
from fastroute.ext.http1.trailer cimport trailers_join, trailers_read
from fastroute.ext.http1.write cimport *
from fastroute.ext.memory.slice cimport *
from fastroute.ext.message.block cimport block_keep, block_size
from fastroute.ext.message.date cimport write_date
from fastroute.ext.message.fieldname cimport field_name
from fastroute.ext.message.limits cimport *
from fastroute.ext.message.local cimport LOCAL_FIELDS, LocalAnswer, local_compose
from fastroute.ext.message.message cimport *
from fastroute.ext.message.path cimport normalise
from fastroute.ext.message.refusal cimport *
from fastroute.ext.message.trailer cimport trailers_forbid

FRAMINGS = {FRAMING_NONE: "none", FRAMING_LENGTH: "length", FRAMING_CHUNKED: "chunked", FRAMING_CLOSE: "close"}
NUMBERS = {name: number for number, name in FRAMINGS.items()}
METHODS = {b"GET": METHOD_GET, b"HEAD": METHOD_HEAD, b"CONNECT": METHOD_CONNECT}

cdef enum:
    ROOM = 1 << 20              # bytes of output; the engine has another limit


class Refused(NamedTuple):
    """A message was refused: the status of the response to the client, and the reason."""

    status: int
    reason: str


class RequestHead(NamedTuple):
    size: int                   # bytes of the head
    method: bytes
    target: bytes
    path: bytes
    query: bytes | None         # None: no '?'
    authority: bytes
    host: bytes
    minor: int
    framing: str                # of FRAMINGS
    stated: str
    content_length: int
    keep_alive: bool
    expect_continue: bool
    upgrade: bool
    te_trailers: bool
    asterisk: bool
    max_forwards: int | None
    fields: tuple[tuple[bytes, bytes, bool], ...]       # name, value, dropped


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


cdef bytes as_bytes(Slice slice):
    return slice.data[:slice.size] if slice.size else b""


cdef object as_refused(int refusal):
    return Refused(refusal_status(refusal), refusal_reason(refusal).decode())


cdef tuple as_fields(const Message *message):
    cdef uint32_t i
    return tuple([
        (as_bytes(message.fields[i].name), as_bytes(message.fields[i].value), bool(message.fields[i].dropped))
        for i in range(message.fields_count)
    ])


cdef object as_request(const Head *head, int size):
    cdef const Message *message = &head.message
    return RequestHead(
        size, as_bytes(message.method), as_bytes(head.target), as_bytes(message.path),
        as_bytes(message.query) if message.has_query else None, as_bytes(message.authority), as_bytes(message.host),
        head.minor, FRAMINGS[head.framing], FRAMINGS[head.stated], message.content_length, bool(message.keep_alive),
        bool(message.expect_continue), bool(message.upgrade), bool(message.te_trailers), bool(message.asterisk),
        message.max_forwards if message.has_max_forwards else None, as_fields(message),
    )


cdef object as_response(const Head *head, int size):
    cdef const Message *message = &head.message
    return ResponseHead(
        size, message.status, as_bytes(message.reason), head.minor, FRAMINGS[head.framing], FRAMINGS[head.stated],
        message.content_length, bool(message.keep_alive), as_fields(message),
    )


cdef class HeadReader:
    """Parses one head from a growing buffer, like the engine: `read` returns None while bytes are missing.

    `response_to`: the method of the request that is answered; without it, requests are parsed. `asked`: that request
    asked for an upgrade. `arena`: bytes of scratch memory, instead of those that head_room requires.
    """

    cdef Head head
    cdef HeadLimits limits
    cdef Arena arena
    cdef readonly uint32_t scanned
    cdef bint response
    cdef uint8_t method
    cdef bint asked

    def __cinit__(self, response_to=None, *, bint asked=False, uint32_t head=65536, uint32_t target=8192, uint32_t fields=200,
                  bint merge_slashes=False, bint keep_underscores=False, arena=None):
        self.limits = HeadLimits(head, target, fields, merge_slashes, keep_underscores)
        cdef uint32_t size = head_room(&self.limits) if arena is None else arena
        self.response = response_to is not None
        self.method = METHODS.get(response_to, METHOD_OTHER)
        self.asked = asked
        self.arena = Arena(<char *> malloc(size), size, 0)
        if self.arena.base == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.arena.base)

    cdef int parse(self, const char *data, uint32_t size) noexcept nogil:
        self.arena.used = 0
        if self.response:
            return parse_response(&self.head, data, size, &self.scanned, self.method, self.asked, &self.limits,
                                  &self.arena)
        return parse_request(&self.head, data, size, &self.scanned, &self.limits, &self.arena)

    def read(self, const uint8_t[::1] data):
        """Returns a RequestHead or ResponseHead, None (more bytes are needed), or Refused."""
        cdef int size = 0
        if data.shape[0]:
            size = self.parse(<const char *> &data[0], <uint32_t> data.shape[0])
        if size < 0:
            return as_refused(-size)
        if size == 0:
            return None
        self.scanned = 0
        return as_response(&self.head, size) if self.response else as_request(&self.head, size)

    def rewrite(self, const uint8_t[::1] data, *, bint close=False, bint to_http10=False, bint kept=False,
                uint32_t room=ROOM):
        """The bytes that would be sent for the complete head in `data`; None if they do not fit into `room`. `kept`:
        written from a copy in a block."""
        cdef Message message
        cdef uint32_t size
        if self.parse(<const char *> &data[0], <uint32_t> data.shape[0]) <= 0:
            raise ValueError("not a whole, acceptable head")
        message = self.head.message
        size = block_size(&message)
        cdef char *block = <char *> malloc(size + 1)
        cdef char *out = <char *> malloc(room + 1)
        try:
            if block == NULL or out == NULL:
                raise MemoryError
            if kept:
                block_keep(&message, &self.head.message, block)
            if self.response:
                size = write_response(out, room, &message, close, to_http10)
            else:
                size = write_request(out, room, &message)
            return out[:size] if size else None
        finally:
            free(block)
            free(out)

    def seconds(self, const uint8_t[::1] data, uint32_t count, *, bint write=True):
        """Processor time in seconds for `count` rounds of parsing and writing the head in `data`."""
        cdef char out[65536]
        cdef uint32_t _round
        cdef uint32_t sum_ = 0
        cdef long start = clock()
        with nogil:
            for _round in range(count):
                self.scanned = 0
                sum_ += self.parse(<const char *> &data[0], <uint32_t> data.shape[0])
                if write and self.response:
                    sum_ += write_response(out, sizeof(out), &self.head.message, False, False)
                elif write:
                    sum_ += write_request(out, sizeof(out), &self.head.message)
        return (clock() - start) / 1e6


def read_request(data, **limits):
    """Like HeadReader.read, with one call for a request."""
    return HeadReader(**limits).read(data)


def read_response(data, request_method=b"GET", **limits):
    """Like HeadReader.read, with one call for a response to `request_method`."""
    return HeadReader(request_method, **limits).read(data)


cdef class BodyReader:
    """A message body while it is received. `take`, `passes`, `opens` and `decode` return Refused for an invalid one."""

    cdef Body body
    cdef HeadLimits limits

    def __cinit__(self, framing, uint64_t content_length=0, *, uint32_t head=65536, uint32_t fields=200):
        self.limits = HeadLimits(head, 0, fields, False, False)
        body_start(&self.body, NUMBERS[framing], content_length)

    @property
    def complete(self):
        return bool(self.body.complete)

    @property
    def decoded(self):
        return self.body.decoded

    def take(self, const uint8_t[::1] data):
        """The number of bytes of `data` that belong to the body."""
        cdef long taken = 0
        if data.shape[0]:
            taken = body_take(&self.body, <const char *> &data[0], <uint32_t> data.shape[0], &self.limits)
        return taken if taken >= 0 else as_refused(<int> -taken)

    def passes(self, const uint8_t[::1] data):
        """(bytes taken, bytes passed on) of `data`, as body_pass, with the trailers that no rule forbids."""
        cdef Slice passed, section
        cdef long taken
        cdef uint32_t size = <uint32_t> data.shape[0]
        cdef uint32_t room = (self.limits.fields + 1) * <uint32_t> sizeof(Field)
        cdef char *memory = <char *> malloc(room + size)
        if memory == NULL:
            raise MemoryError
        try:
            if size:
                memcpy(memory + room, &data[0], size)
            taken = body_pass(&self.body, memory + room, size, &self.limits, &passed, &section)
            if taken < 0:
                return as_refused(<int> -taken)
            return taken, as_bytes(passed) + self.trailers(section, Arena(memory, room, 0))
        finally:
            free(memory)

    def opens(self, const uint8_t[::1] data):
        """(bytes taken, content, trailer section) of `data`, as body_open."""
        cdef Slice opened, section
        cdef bytearray copy = bytearray(data)
        cdef long taken = body_open(&self.body, copy, <uint32_t> len(copy), &self.limits, &opened, &section)
        if taken < 0:
            return as_refused(<int> -taken)
        return taken, as_bytes(opened), as_bytes(section)

    cdef bytes trailers(self, Slice section, Arena arena):
        cdef Message trailers
        if section.size == 0:
            return b""
        if trailers_read(&trailers, section, self.body.trailer_fields, &arena) < 0:
            raise MemoryError
        trailers_forbid(&trailers, False, False)
        trailers_join(&trailers, &section)
        return as_bytes(section)

    def __dealloc__(self):
        body_free(&self.body)

    def decode(self, const uint8_t[::1] data):
        """(bytes taken, content) of `data`."""
        cdef const char *content
        cdef uint32_t size
        cdef long step
        cdef uint32_t taken = 0
        spans = []
        while taken < data.shape[0] and not self.body.complete:
            step = body_decode(&self.body, <const char *> &data[0] + taken, <uint32_t> data.shape[0] - taken,
                               &self.limits, &content, &size)
            if step < 0:
                return as_refused(<int> -step)
            taken += <uint32_t> step
            if size:
                spans.append(content[:size])
        return taken, b"".join(spans)


def normalise_path(path, *, bint merge_slashes=False):
    """The normal form of `path`, as for the paths of requests. ValueError: it has none, or does not begin with '/'."""
    cdef bytes given = path.encode() if isinstance(path, str) else bytes(path)
    cdef bytes out = bytes(len(given))
    cdef int size
    if not given.startswith(b"/"):
        raise ValueError(f"path {path!r} does not start with '/'")
    cdef const char *source = given
    cdef char *target = out
    size = normalise(source, <uint32_t> len(given), merge_slashes, target)
    if size < 0:
        raise ValueError(f"path {path!r}: {refusal_reason(-size).decode()}")
    return out[:size]


def local_response(int status, bytes text, *, bytes location=b"", bytes date=b"", bint close=False,
                   bint to_http10=False, bint to_head=False, uint32_t room=4096):
    """The answer of local_compose, with one line of text. None if it does not fit into `room` (at most 4096)."""
    cdef char out[4096]
    cdef Field fields[LOCAL_FIELDS]
    cdef Message message
    cdef Arena none = Arena(NULL, 0, 0)
    cdef bytes line = text + b"\n"
    cdef LocalAnswer local
    cdef uint32_t size
    memset(&local, 0, sizeof(LocalAnswer))
    local.status = <uint16_t> status
    local.method = METHOD_HEAD if to_head else METHOD_GET
    local.size = <uint32_t> len(line)
    local.location = Slice(location, <uint32_t> len(location))
    local.date = Slice(date, <uint32_t> len(date))
    room = min(room, <uint32_t> 4096)
    local_compose(&message, &local, fields, LOCAL_FIELDS, &none)
    size = write_response(out, room, &message, close, to_http10)
    content = line if message.has_body else b""
    return out[:size] + content if 0 < size <= room - len(content) else None


def chunk_head(uint64_t size):
    """write_chunk_head."""
    cdef char out[CHUNK_HEAD_MOST]
    return out[:write_chunk_head(out, size)]


def http_date(int64_t seconds):
    """write_date."""
    cdef char out[29]
    write_date(out, seconds)
    return out[:29]


def known_name(bytes name):
    """The FieldName of a field that the proxy interprets itself, 0 for any other."""
    return field_name(name, <uint32_t> len(name))
