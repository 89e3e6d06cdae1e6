"""Writes heads (RFC 9112): of requests to backends, and of responses to clients.

Fields that are valid for one hop only are never copied: Host, framing, Connection, Upgrade and TE are written from the
members of the Message, so a client or a filter cannot change them by `fields`. All other fields keep their order and
spelling. Field lines that are adjacent in the received bytes, as most are, are copied together.

Requests to backends are always HTTP/1.1, and their connection is kept: that is the default, so no field is needed.
Responses have `Connection: close` if fastroute will close, and `keep-alive` only for a 1.0 client (RFC 9112 section
9.3). A body of unknown length is written in chunks, except to HTTP/1.0 clients: there it ends with the connection.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from fastroute.ext.memory.decimal cimport DECIMAL_MOST, decimal
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.fieldlist cimport is_copied
from fastroute.ext.message.message cimport BODY_LENGTH, BODY_UNKNOWN, FIELD_TRAILER, RECEIVED_LINE, Field, Message, is_line

cdef struct Pen:                # position of the next byte
    char *at
    char *end
    bint full                   # something did not fit: the output is invalid

cdef const char *HEX = b"0123456789abcdef"


# -------------------------------------------------------------------------------------------------------------- pieces

cdef inline void put(Pen *pen, const char *data, size_t size) noexcept nogil:
    if <size_t> (pen.end - pen.at) < size:
        pen.full = True
    elif size:
        memcpy(pen.at, data, size)
        pen.at += size


cdef inline void put_slice(Pen *pen, Slice slice) noexcept nogil:
    put(pen, slice.data, slice.size)


cdef void put_number(Pen *pen, uint64_t number) noexcept nogil:
    cdef char[DECIMAL_MOST] digits
    put_slice(pen, decimal(digits, number))


cdef void put_fields(Pen *pen, const Message *message, bint trailer) noexcept nogil:
    """Writes the fields that are forwarded; `trailer`: including the field Trailer."""
    cdef const Field *field = message.fields
    cdef const Field *end = message.fields + message.fields_count
    cdef const char *start = NULL       # start of the received lines that are not copied yet
    cdef const char *stop = NULL        # their end
    while field < end:
        if field.dropped or not is_copied(field.known) or (field.known == FIELD_TRAILER and not trailer):
            field += 1
            continue
        if field.name.data != stop or not field.received & RECEIVED_LINE:
            put(pen, start, stop - start)
            start = stop = field.name.data
        if is_line(field):
            stop = field.value.data + field.value.size + 2
        else:
            start = stop = NULL
            put_slice(pen, field.name)
            put(pen, b": ", 2)
            put_slice(pen, field.value)
            put(pen, b"\r\n", 2)
        field += 1
    put(pen, start, stop - start)


cdef void put_framing(Pen *pen, int declared, uint64_t length) noexcept nogil:
    if declared == BODY_LENGTH:
        put(pen, b"Content-Length: ", 16)
        put_number(pen, length)
        put(pen, b"\r\n", 2)
    elif declared == BODY_UNKNOWN:
        put(pen, b"Transfer-Encoding: chunked\r\n", 28)


cdef void put_connection(Pen *pen, bint close, bint to_http10) noexcept nogil:
    if close:
        put(pen, b"Connection: close\r\n", 19)
    elif to_http10:
        put(pen, b"Connection: keep-alive\r\n", 24)


cdef void put_upgrade(Pen *pen, const Message *message) noexcept nogil:
    if message.upgrade:
        put(pen, b"Connection: Upgrade\r\nUpgrade: ", 30)
        put_slice(pen, message.protocols)
        put(pen, b"\r\n", 2)


cdef inline uint32_t written(const Pen *pen, const char *out) noexcept nogil:
    return 0 if pen.full else <uint32_t> (pen.at - out)


# --------------------------------------------------------------------------------------------------------------- heads

cdef uint32_t write_request(char *out, uint32_t room, const Message *message) noexcept nogil:
    cdef Pen pen = Pen(out, out + room, False)
    put_slice(&pen, message.method)
    put(&pen, b" ", 1)
    put_slice(&pen, message.path)
    if message.has_query:
        put(&pen, b"?", 1)
        put_slice(&pen, message.query)
    put(&pen, b" HTTP/1.1\r\nHost: ", 17)
    put_slice(&pen, message.authority)
    put(&pen, b"\r\n", 2)
    put_fields(&pen, message, True)
    put_framing(&pen, message.declared, message.content_length)
    if message.te_trailers:
        put(&pen, b"TE: trailers\r\nConnection: TE\r\n", 30)
    put_upgrade(&pen, message)
    if message.mark.size:
        put(&pen, b"Fastroute-Loop: ", 16)
        put_slice(&pen, message.mark)
        put(&pen, b"\r\n", 2)
    put(&pen, b"\r\n", 2)
    return written(&pen, out)


cdef void put_status_line(Pen *pen, int status, Slice reason) noexcept nogil:
    put(pen, b"HTTP/1.1 ", 9)
    put_number(pen, status)
    put(pen, b" ", 1)
    put_slice(pen, reason)
    put(pen, b"\r\n", 2)


cdef uint32_t write_response(char *out, uint32_t room, const Message *message, bint close,
                             bint to_http10) noexcept nogil:
    cdef Pen pen = Pen(out, out + room, False)
    put_status_line(&pen, message.status, message.reason)
    put_fields(&pen, message, not to_http10)
    if message.declared != BODY_UNKNOWN or not to_http10:
        put_framing(&pen, message.declared, message.content_length)
    if message.status >= 200:
        put_connection(&pen, close, to_http10)
    if not to_http10:
        put_upgrade(&pen, message)
    put(&pen, b"\r\n", 2)
    return written(&pen, out)


cdef uint32_t write_trailers(char *out, uint32_t room, const Message *trailers) noexcept nogil:
    cdef Pen pen = Pen(out, out + room, False)
    put_fields(&pen, trailers, False)
    put(&pen, b"\r\n", 2)
    return written(&pen, out)


cdef uint32_t write_chunk_head(char *out, uint64_t size) noexcept nogil:
    cdef int digits = 1
    cdef int i
    while digits < 16 and size >> (4 * digits):
        digits += 1
    for i in range(digits):
        out[i] = HEX[(size >> (4 * (digits - 1 - i))) & 15]
    out[digits] = c'\r'
    out[digits + 1] = c'\n'
    return digits + 2
