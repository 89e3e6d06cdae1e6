"""Answers of HTTP/2; see response.pxd.

Connection-specific fields are left out (RFC 9113 section 8.2.2). Content-Length is written from the Message.
"""

from fastroute.ext.http2.fieldblock cimport list_field, put_field
from fastroute.ext.memory.decimal cimport DECIMAL_MOST, decimal
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.fieldlist cimport is_copied
from fastroute.ext.message.message cimport BODY_LENGTH, Field


cdef inline bint goes_on(const Field *field) noexcept nogil:
    return not field.dropped and is_copied(field.known) and field.name.size != 0


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


cdef bint list_message(FieldList *list, const Message *message) noexcept nogil:
    cdef const Field *field = message.fields
    cdef const Field *end = message.fields + message.fields_count
    while field < end:
        if goes_on(field) and not list_field(list, field.name, field.value):
            return False
        field += 1
    return True
