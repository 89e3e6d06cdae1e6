"""The access log: one JSON object per line, formatted and written without Python.

Lines are collected in the buffer and appended whole, several at a time. On a regular file (O_APPEND) an append of any
size is atomic, so the lines of several workers never mix. On a pipe only PIPE_BUF bytes are atomic, so there each write
is a sequence of whole lines of at most that size. Nothing here blocks: what a slow reader has not read stays in the
buffer, and when the buffer is full, lines are dropped and counted.

A line always fits: if it is too long, it is written again with truncated values; a truncated value ends in "...".
Values may contain any bytes: invalid UTF-8 is replaced by U+FFFD, control characters are escaped.
"""

import os
import stat

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcpy, memmove, strlen
from libc.time cimport gmtime_r, strftime, time_t, tm

from fastroute.ext.memory.decimal cimport DECIMAL_MOST, decimal
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport VERSION_UDP, VERSION_UNKNOWN

cdef extern from "<unistd.h>" nogil:
    ssize_t write_some "write"(int fd, const void *data, size_t size)

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int POLLOUT
    int poll(pollfd *fds, unsigned long count, int timeout)

cdef enum:
    BUFFER = 64 * 1024
    LINE = 16 * 1024            # maximum bytes of a line on a regular file
    WHOLE = 4096                # PIPE_BUF: the maximum bytes of a line and of a write on other files
    FLUSH_AT = BUFFER - LINE
    UNCUT = 0xFFFFFFFF

# Maximum bytes of a value, tried in this order until the line fits; with the last one it always fits.
cdef uint32_t[3] CUTS
CUTS[:] = [UNCUT, 400, 48]


cdef enum:
    VERSIONS = VERSION_UDP + 1

# By Version: `protocol` and the name of the next member, `status`; and `upstream_protocol`.
cdef const char *PROTOCOL_NAMES[VERSIONS + 1]
PROTOCOL_NAMES[:] = [
    b',"protocol":"HTTP/1.0","status":', b',"protocol":"HTTP/1.1","status":', b',"protocol":"HTTP/2","status":',
    b',"protocol":"TCP","status":', b',"protocol":"TLS","status":', b',"protocol":"UDP","status":',
    b',"protocol":null,"status":',
]
cdef const char *UPSTREAM_NAMES[VERSIONS + 1]
UPSTREAM_NAMES[:] = [
    b',"upstream_protocol":"HTTP/1.0"', b',"upstream_protocol":"HTTP/1.1"', b',"upstream_protocol":"HTTP/2"',
    b',"upstream_protocol":"TCP"', b',"upstream_protocol":"TLS"', b',"upstream_protocol":"UDP"',
    b',"upstream_protocol":null',
]


cdef struct Line:               # a line being written: `at` is its end so far; `failed`: it did not fit
    char *at
    char *end
    uint32_t cut                # maximum bytes of a value
    bint failed


cdef inline void put(Line *line, const char *data, uint32_t size) noexcept nogil:
    if line.end - line.at < size:
        line.failed = True
        return
    memcpy(line.at, data, size)
    line.at += size


cdef inline void put_text(Line *line, const char *text) noexcept nogil:
    put(line, text, <uint32_t> strlen(text))


cdef void put_number(Line *line, uint64_t number) noexcept nogil:
    cdef char[DECIMAL_MOST] digits
    cdef Slice text = decimal(digits, number)
    put(line, text.data, text.size)


cdef uint32_t utf8_size(const uint8_t *data, uint32_t size) noexcept nogil:
    """Bytes of the well-formed UTF-8 sequence (Unicode table 3-7) that begins at `data`; 0 if there is none."""
    cdef uint8_t first = data[0], low = 0x80, high = 0xBF
    cdef uint32_t length, i
    if 0xC2 <= first <= 0xDF:
        length = 2
    elif 0xE0 <= first <= 0xEF:
        length = 3
        if first == 0xE0:
            low = 0xA0
        elif first == 0xED:
            high = 0x9F
    elif 0xF0 <= first <= 0xF4:
        length = 4
        if first == 0xF0:
            low = 0x90
        elif first == 0xF4:
            high = 0x8F
    else:
        return 0
    if size < length or not low <= data[1] <= high:
        return 0
    for i in range(2, length):
        if not 0x80 <= data[i] <= 0xBF:
            return 0
    return length


cdef void put_escaped(Line *line, uint8_t byte) noexcept nogil:
    """Escapes a byte that a JSON string cannot contain: a quote, a backslash, a control character."""
    cdef const char *digits = "0123456789abcdef"
    cdef char[6] escape
    if byte == 34 or byte == 92:
        escape[0] = 92
        escape[1] = <char> byte
        put(line, escape, 2)
        return
    memcpy(escape, b"\\u00", 4)
    escape[4] = digits[byte >> 4]
    escape[5] = digits[byte & 15]
    put(line, escape, 6)


cdef void put_string(Line *line, const Slice *value) noexcept nogil:
    """`value` as a JSON string, or null; only the first `line.cut` bytes of a longer one."""
    cdef const uint8_t *data = <const uint8_t *> value.data
    cdef uint32_t size = value.size if value.size <= line.cut else line.cut
    cdef uint32_t i = 0, plain = 0, length
    if data == NULL:
        put(line, "null", 4)
        return
    put(line, '"', 1)
    while i < size:
        if 32 <= data[i] < 127 and data[i] != 34 and data[i] != 92:
            i += 1
            continue
        put(line, <const char *> data + plain, i - plain)
        if data[i] < 128:
            put_escaped(line, data[i])
            length = 1
        else:
            length = utf8_size(data + i, size - i)
            if length:
                put(line, <const char *> data + i, length)
            else:
                put(line, "\\ufffd", 6)
                length = 1
        i += length
        plain = i
    put(line, <const char *> data + plain, size - plain)
    if size < value.size:
        put(line, "...", 3)
    put(line, '"', 1)


cdef inline void put_member(Line *line, const char *name, const Slice *value) noexcept nogil:
    put_text(line, name)
    put_string(line, value)


cdef inline const char *named(const char **names, uint16_t version) noexcept nogil:
    """The name of a Version; the last one is that of VERSION_UNKNOWN."""
    return names[version if version < VERSIONS else <int> VERSIONS]


cdef class AccessLog:
    """Appends to `fd`, which it owns and closes. A pipe, socket or terminal should be non-blocking."""

    def __cinit__(self, fd: int) -> None:
        self.fd = -1
        self.buffer = <char *> malloc(BUFFER)
        if self.buffer == NULL:
            raise MemoryError
        self.second = 1
        self.set_stamp(0)

    def __init__(self, fd: int) -> None:
        self.reopen(fd)

    def __dealloc__(self):
        free(self.buffer)

    def reopen(self, fd: int) -> None:
        """Writes the buffered lines to the old file; later lines go to `fd`, which it now owns."""
        shared = not stat.S_ISREG(os.fstat(fd).st_mode)
        self.close()
        self.fd = fd
        self.shared = shared

    def close(self) -> None:
        """Writes the buffered lines as far as possible without blocking, and closes the file."""
        if self.fd < 0:
            return
        self.flush()
        self.drop()
        os.close(self.fd)
        self.fd = -1

    def fileno(self) -> int:
        return self.fd

    def record(self, *, time: int, method: bytes | None, host: bytes | None, path: bytes | None,
               minor: int | None, status: int, reason: bytes | None, bytes_received: int, bytes_sent: int,
               duration: int, upstream: bytes | None, upstream_duration: int, gateway: bytes | None,
               listener: bytes | None, route: bytes | None, route_kind: bytes | None, rule: bytes | None,
               backend: bytes | None, client: bytes | None, request_id: bytes | None,
               upstream_minor: int | None = None, grpc_status: int | None = None, tls_version: bytes | None = None,
               tls_server_name: bytes | None = None) -> None:
        """Writes one line like the engine: for tests. `minor`: None if the version could not be parsed."""
        cdef Record record = Record(
            time=time, method=as_slice(method), host=as_slice(host), path=as_slice(path),
            version=VERSION_UNKNOWN if minor is None else minor, status=status, reason=as_slice(reason),
            bytes_received=bytes_received, bytes_sent=bytes_sent, duration=duration,
            upstream=as_slice(upstream), upstream_duration=upstream_duration, gateway=as_slice(gateway),
            listener=as_slice(listener), route=as_slice(route), route_kind=as_slice(route_kind), rule=as_slice(rule),
            backend=as_slice(backend), client=as_slice(client), request_id=as_slice(request_id),
            upstream_version=VERSION_UNKNOWN if upstream_minor is None else upstream_minor,
            grpc_outcome=0 if grpc_status is None else grpc_status + 1, tls_version=as_slice(tls_version),
            server_name=as_slice(tls_server_name))
        self.write(&record)

    def flush_now(self) -> None:
        """Flushes like the engine: for tests, and when a worker ends."""
        self.flush()

    cdef void write(self, const Record *record) noexcept nogil:
        cdef uint32_t limit = WHOLE if self.shared else LINE
        cdef uint32_t size = 0, i
        if BUFFER - self.used < limit:
            self.flush()
            if BUFFER - self.used < limit:
                self.dropped += 1
                return
        self.set_stamp(record.time // 1_000_000)
        for i in range(3):
            size = self.format(self.buffer + self.used, limit, CUTS[i], record)
            if size:
                break
        self.used += size
        if self.used >= FLUSH_AT:
            self.flush()

    cdef uint32_t format(self, char *out, uint32_t room, uint32_t cut, const Record *record) noexcept nogil:
        """Writes one line with values of at most `cut` bytes to `out`; returns its bytes, 0 if `room` is too small."""
        cdef Line line = Line(at=out, end=out + room, cut=cut, failed=False)
        put_text(&line, '{"time":"')
        put(&line, self.stamp, 19)
        put_fraction(&line, <uint32_t> (record.time % 1_000_000))
        put_member(&line, 'Z","method":', &record.method)
        put_member(&line, ',"host":', &record.host)
        put_member(&line, ',"path":', &record.path)
        put_text(&line, named(PROTOCOL_NAMES, record.version))
        put_optional(&line, record.status, record.status != 0)
        put_member(&line, ',"reason":', &record.reason)
        put_text(&line, ',"bytes_received":')
        put_number(&line, record.bytes_received)
        put_text(&line, ',"bytes_sent":')
        put_number(&line, record.bytes_sent)
        put_text(&line, ',"duration_us":')
        put_number(&line, record.duration)
        put_member(&line, ',"upstream":', &record.upstream)
        put_text(&line, ',"upstream_duration_us":')
        put_optional(&line, record.upstream_duration, record.upstream.data != NULL)
        put_member(&line, ',"gateway":', &record.gateway)
        put_member(&line, ',"listener":', &record.listener)
        put_member(&line, ',"route":', &record.route)
        put_member(&line, ',"rule":', &record.rule)
        put_member(&line, ',"backend":', &record.backend)
        put_member(&line, ',"client":', &record.client)
        put_member(&line, ',"request_id":', &record.request_id)
        put_member(&line, ',"route_kind":', &record.route_kind)
        put_text(&line, named(UPSTREAM_NAMES, record.upstream_version))
        put_member(&line, ',"tls_version":', &record.tls_version)
        put_member(&line, ',"tls_server_name":', &record.server_name)
        put_text(&line, ',"grpc_status":')
        put_optional(&line, record.grpc_outcome - 1, record.grpc_outcome != 0)
        put_text(&line, "}\n")
        return 0 if line.failed else <uint32_t> (line.at - out)

    cdef void set_stamp(self, uint64_t second) noexcept nogil:
        """Formats date and time up to the second; does nothing if the second has not changed."""
        cdef time_t moment = <time_t> second
        cdef tm parts
        if second == self.second:
            return
        gmtime_r(&moment, &parts)
        strftime(self.stamp, sizeof(self.stamp), "%Y-%m-%dT%H:%M:%S", &parts)
        self.second = second

    cdef void flush(self) noexcept nogil:
        """Writes as much as possible without blocking. Drops the lines if the reader is gone or the disk is full."""
        cdef uint32_t done = 0, size
        cdef ssize_t written
        while done < self.used:
            size = self.used - done
            if self.shared:
                size = whole_lines(self.buffer + done, size)
                if not is_writable(self.fd):
                    break
            written = write_some(self.fd, self.buffer + done, size)
            if written > 0:
                done += <uint32_t> written
            elif written < 0 and errno == EAGAIN:
                break
            elif not (written < 0 and errno == EINTR):
                self.drop()
                return
        self.used -= done
        memmove(self.buffer, self.buffer + done, self.used)

    cdef void drop(self) noexcept nogil:
        """Drops and counts the lines in the buffer."""
        cdef const char *at = self.buffer
        cdef const char *end = at + self.used
        while at < end:
            at = <const char *> memchr(at, 10, end - at) + 1
            self.dropped += 1
        self.used = 0


cdef inline void put_optional(Line *line, uint64_t number, bint present) noexcept nogil:
    if present:
        put_number(line, number)
    else:
        put(line, "null", 4)


cdef void put_fraction(Line *line, uint32_t microseconds) noexcept nogil:
    """A dot and six digits."""
    cdef char[7] text
    cdef int i
    text[0] = 46
    for i in range(6, 0, -1):
        text[i] = <char> (48 + microseconds % 10)
        microseconds //= 10
    put(line, text, 7)


cdef uint32_t whole_lines(const char *data, uint32_t size) noexcept nogil:
    """Bytes of the whole lines at `data` that fit into one atomic write; `data` contains only whole lines."""
    cdef uint32_t whole = 0, length
    while whole < size:
        length = <uint32_t> (<const char *> memchr(data + whole, 10, size - whole) - (data + whole)) + 1
        if whole + length > WHOLE:
            break
        whole += length
    return whole


cdef bint is_writable(int fd) noexcept nogil:
    """A pipe is writable only if PIPE_BUF bytes fit, so a write of at most that size is never partial."""
    cdef pollfd state = pollfd(fd=fd, events=POLLOUT, revents=0)
    return poll(&state, 1, 0) > 0


cdef Slice as_slice(bytes text):
    cdef Slice value = Slice(data=NULL, size=0)
    if text is not None:
        value.data = <const char *> text
        value.size = <uint32_t> len(text)
    return value
