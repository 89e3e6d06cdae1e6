"""Answers of HTTP/2; see response.pxd.

Connection-specific fields are left out (RFC 9113 section 8.2.2). Content-Length is written from the Message.
"""

from fastroute.ext.http2.fieldblock cimport list_begin, list_field, list_plain, list_text
from fastroute.ext.memory.decimal cimport DECIMAL_MOST, decimal
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.fieldlist cimport is_copied
from fastroute.ext.message.message cimport BODY_LENGTH, Field


cdef enum:
    FIELDS_MORE = 2             # that an answer has besides the fields of its Message


cdef inline bint goes_on(const Field *field) noexcept nogil:
    return not field.dropped and is_copied(field.known) and field.name.size != 0


cdef bint list_message(FieldList *list, const Message *message) noexcept nogil:
    cdef const Field *field = message.fields
    cdef const Field *end = message.fields + message.fields_count
    while field < end:
        if goes_on(field) and not list_field(list, field):
            return False
        field += 1
    return True


cdef bint list_length(FieldList *list, const Message *message) noexcept nogil:
    cdef char *digits
    if message.declared != BODY_LENGTH:
        return True
    digits = list_text(list, DECIMAL_MOST)
    return digits is not NULL and list_plain(list, Slice(b"content-length", 14), decimal(digits, message.content_length))


cdef bint list_response(FieldList *list, const Message *message, Arena *arena, char *text, uint32_t room) noexcept nogil:
    cdef char *digits
    if not list_begin(list, message.fields_count + FIELDS_MORE, arena, text, room):
        return False
    digits = list_text(list, DECIMAL_MOST)
    return digits is not NULL and list_plain(list, Slice(b":status", 7), decimal(digits, message.status)) \
        and list_length(list, message) and list_message(list, message)
