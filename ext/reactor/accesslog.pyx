"""The access log: one line per request, formatted (logline.pyx) and written without Python.

Lines are collected in the buffer and appended whole, several at a time. On a regular file (O_APPEND) an append of any
size is atomic, so the lines of several workers never mix. On a pipe only PIPE_BUF bytes are atomic, so there each write
is a sequence of whole lines of at most that size. Nothing here blocks: what a slow reader has not read stays in the
buffer, and when the buffer is full, lines are dropped and counted.

A line always fits: if it is too long, it is written again with truncated values; a truncated value ends in "...".

With a sample below 1, each line that is not about a failure is written with that probability.
"""

import os
import stat

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memmove

from fastroute.ext.memory.random cimport random_next, random_seed
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport VERSION_UNKNOWN
from fastroute.ext.reactor.logline cimport (
    FORMAT_COMBINED, FORMAT_COMMON, FORMAT_JSON, FORMAT_TRACES, is_failure, line_write, stamp_set,
)
from fastroute.ext.reactor.logrecord cimport Record

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
cdef uint32_t[4] CUTS
CUTS[:] = [UNCUT, 400, 48, 16]

FORMATS = {"json": FORMAT_JSON, "common": FORMAT_COMMON, "combined": FORMAT_COMBINED, "traces": FORMAT_TRACES}


cdef class AccessLog:
    """Appends to `fd`, which it owns and closes. A pipe, socket or terminal should be non-blocking. `seed`: of the
    choice which lines are written, for tests."""

    def __cinit__(self, fd: int, format: str = "json", sample: float = 1.0, seed: int | None = None) -> None:
        self.fd = -1
        self.buffer = <char *> malloc(BUFFER)
        if self.buffer == NULL:
            raise MemoryError
        self.format = FORMATS[format]
        self.sampled = sample < 1
        self.sample = <uint64_t> (sample * 2.0 ** 64) if self.sampled else 0
        self.random = random_seed() if seed is None else seed
        stamp_set(&self.stamp, 0)

    def __init__(self, fd: int, format: str = "json", sample: float = 1.0, seed: int | None = None) -> None:
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
               tls_server_name: bytes | None = None, user_agent: bytes | None = None, referer: bytes | None = None,
               trace_id: bytes | None = None, tries: int = 0) -> None:
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
            server_name=as_slice(tls_server_name), user_agent=as_slice(user_agent), referer=as_slice(referer),
            trace_id=as_slice(trace_id), tries=tries)
        self.write(&record)

    def flush_now(self) -> None:
        """Flushes like the engine: for tests, and when a worker ends."""
        self.flush()

    cdef void write(self, const Record *record) noexcept nogil:
        cdef uint32_t limit = WHOLE if self.shared else LINE
        cdef uint32_t size = 0, i
        if self.sampled and not is_failure(record) and random_next(&self.random) >= self.sample:
            return
        if BUFFER - self.used < limit:
            self.flush()
            if BUFFER - self.used < limit:
                self.dropped += 1
                return
        if record.time // 1_000_000 != self.stamp.second:
            stamp_set(&self.stamp, record.time // 1_000_000)
        for i in range(4):
            size = line_write(self.buffer + self.used, limit, CUTS[i], self.format, &self.stamp, record)
            if size:
                break
        self.used += size
        if self.used >= FLUSH_AT:
            self.flush()

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
