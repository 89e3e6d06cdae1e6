"""Answers of HTTP/2; see response.pxd.

Connection-specific fields are left out (RFC 9113 section 8.2.2). Content-Length is written from the Message.
"""

from libc.stdint cimport uint8_t
from fastroute.ext.http2.fieldblock cimport next_field, put_field
from fastroute.ext.http2.nghttp2 cimport (
    NGHTTP2_NV_FLAG_NO_COPY_NAME, NGHTTP2_NV_FLAG_NO_COPY_VALUE, NGHTTP2_NV_FLAG_NO_INDEX,
)
from fastroute.ext.memory.decimal cimport DECIMAL_MOST, decimal
from fastroute.ext.memory.slice cimport Slice, arena_take
from fastroute.ext.message.fieldlist cimport is_copied
from fastroute.ext.message.message cimport BODY_LENGTH, Field
from fastroute.ext.message.octet cimport is_text


cdef inline bint goes_on(const Field *field) noexcept nogil:
    return not field.dropped and is_copied(field.known) and field.name.size != 0


cdef bint has_fields(const Message *message) noexcept nogil:
    cdef uint32_t i
    for i in range(message.fields_count):
        if goes_on(&message.fields[i]):
            return True
    return False


cdef uint32_t put_fields(char *out, uint32_t used, uint32_t room, const Message *message) noexcept nogil:
    """Returns the bytes in use; 0 if the room is too small, or nothing is there."""
    cdef const Field *field = message.fields
    cdef const Field *end = message.fields + message.fields_count
    while field < end:
        if goes_on(field):
            used = put_field(out, used, room, field.name, field.value)
            if used == 0:
                return 0
        field += 1
    return used


cdef uint32_t write_response(char *out, uint32_t room, const Message *message) noexcept nogil:
    cdef char[DECIMAL_MOST] digits
    cdef uint32_t used = put_field(out, 0, room, Slice(b":status", 7), decimal(digits, message.status))
    if used and message.declared == BODY_LENGTH:
        used = put_field(out, used, room, Slice(b"content-length", 14), decimal(digits, message.content_length))
    return put_fields(out, used, room, message) if used else 0


cdef uint32_t write_trailers(char *out, uint32_t room, const Message *trailers) noexcept nogil:
    return put_fields(out, 0, room, trailers)


cdef nghttp2_nv *list_fields(const char *block, uint32_t size, size_t *count, Arena *arena) noexcept nogil:
    cdef const char *at = block
    cdef nghttp2_nv *fields = <nghttp2_nv *> arena_take(arena, 0)
    cdef nghttp2_nv *field = fields
    cdef Slice name, value
    if fields is NULL:
        return NULL
    while next_field(&at, block + size, &name, &value):
        if arena_take(arena, sizeof(nghttp2_nv)) is NULL:
            return NULL
        field.name = <uint8_t *> name.data
        field.value = <uint8_t *> value.data
        field.namelen = name.size
        field.valuelen = value.size
        field.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE
        if is_text(name.data, name.size, b"x-request-id", 12):
            field.flags |= NGHTTP2_NV_FLAG_NO_INDEX     # each request has another one: it would displace others
        field += 1
    count[0] = field - fields
    return fields
