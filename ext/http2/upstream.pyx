"""Messages to and from backends over HTTP/2; see upstream.pxd.

libnghttp2 has checked of every answer what RFC 9113 section 8 demands: names in lower case, octets of names and values, one
valid :status before all other fields, no connection-specific fields, one Content-Length, which agrees with the content.
Here the same limits and rules apply as for answers of HTTP/1.
"""

from libc.stdint cimport uint16_t
from libc.string cimport memcpy, memset, strlen

from fastroute.ext.http2.fieldblock cimport list_begin, list_plain, list_text, next_field
from fastroute.ext.http2.response cimport list_length, list_message
from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.fieldname cimport field_name
from fastroute.ext.message.fieldname import HOP_FIELDS
from fastroute.ext.message.limits cimport FIELDS_SPARE
from fastroute.ext.message.message cimport (
    BODY_LENGTH, BODY_NONE, BODY_UNKNOWN, DROPPED_HERE, FIELD_CONTENT_LENGTH, FIELD_COUNT, METHOD_HEAD, Field,
)
from fastroute.ext.message.number cimport count_bytes
from fastroute.ext.message.octet cimport is_text
from fastroute.ext.message.refusal cimport (
    REFUSAL_ARENA_FULL, REFUSAL_FIELDS_TOO_MANY, REFUSAL_LENGTH_REPEATED, REFUSAL_STATUS_INVALID,
)
from fastroute.ext.message.status cimport status_phrase

cdef uint8_t dropped[FIELD_COUNT]


def _lay_out():
    for known in HOP_FIELDS:
        dropped[known] = DROPPED_HERE


_lay_out()


# --- requests


cdef enum:
    FIELDS_MORE = 8             # that a request has besides the fields of its Message


cdef bint list_path(FieldList *list, const Message *message) noexcept nogil:
    """False: there is no room."""
    cdef Slice path = message.path
    cdef char *text
    if message.has_query:
        path.size += 1 + message.query.size
        text = list_text(list, path.size)
        if text is NULL:
            return False
        path.data = text
        memcpy(text, message.path.data, message.path.size)
        text += message.path.size
        text[0] = c'?'
        if message.query.size:
            memcpy(text + 1, message.query.data, message.query.size)
    return list_plain(list, Slice(b":path", 5), path)


cdef bint list_pseudo(FieldList *list, const Message *message, bint secure) noexcept nogil:
    """False: there is no room."""
    return list_plain(list, Slice(b":method", 7), message.method) \
        and list_plain(list, Slice(b":scheme", 7), Slice(b"https", 5) if secure else Slice(b"http", 4)) \
        and (message.authority.size == 0 or list_plain(list, Slice(b":authority", 10), message.authority)) \
        and list_path(list, message)


cdef bint list_request(FieldList *list, const Message *message, bint secure, Arena *arena, char *text,
                       uint32_t room) noexcept nogil:
    return list_begin(list, message.fields_count + FIELDS_MORE, arena, text, room) \
        and list_pseudo(list, message, secure) and list_message(list, message) and list_length(list, message) \
        and (not message.te_trailers or list_plain(list, Slice(b"te", 2), Slice(b"trailers", 8))) \
        and (message.mark.size == 0 or list_plain(list, Slice(b"fastroute-loop", 14), message.mark))


# --- answers


cdef uint32_t status_of(const char *block, uint32_t size) noexcept nogil:
    cdef const char *at = block
    cdef Slice name, value
    cdef uint32_t status = 0
    cdef uint32_t i
    if not next_field(&at, block + size, &name, &value, NULL) or not is_text(name.data, name.size, b":status", 7) \
            or value.size != 3:
        return 0
    for i in range(3):
        status = status * 10 + <uint32_t> (value.data[i] - c'0')
    return status


cdef uint32_t first_head(const char *blocks, uint32_t size) noexcept nogil:
    cdef const char *at = blocks
    cdef const char *start
    cdef Slice name, value
    next_field(&at, blocks + size, &name, &value, NULL)       # its :status
    while at != blocks + size:
        start = at
        next_field(&at, blocks + size, &name, &value, NULL)
        if name.data[0] == c':':
            return <uint32_t> (start - blocks)          # that of the next one
    return size


cdef int take_fields(Message *message, Slice block, Slice *length, const HeadLimits *limits) noexcept nogil:
    """Returns how many Content-Length fields there are, or -Refusal."""
    cdef const char *at = block.data
    cdef const char *end = block.data + block.size
    cdef Field *field = message.fields
    cdef Slice name, value
    cdef uint8_t received
    cdef int lengths = 0
    while next_field(&at, end, &name, &value, &received):
        if name.data[0] == c':':
            continue
        if message.fields_count == limits.fields:
            return -REFUSAL_FIELDS_TOO_MANY
        memset(field, 0, sizeof(Field))
        field.name = name
        field.value = value
        field.received = received
        field.known = field_name(name.data, name.size)
        field.dropped = dropped[field.known]
        if field.known == FIELD_CONTENT_LENGTH:
            lengths += 1
            length[0] = value
        message.fields_count += 1
        field += 1
    return lengths


cdef int settle_body(Message *message, int lengths, Slice length, bint ends, uint8_t method) noexcept nogil:
    """What the answer says about its body (RFC 9110 section 6.4.1). Returns 0, or -Refusal."""
    cdef bint bodiless = message.status < 200 or message.status == 204
    cdef int refusal
    message.declared = BODY_NONE if ends or bodiless else BODY_UNKNOWN
    if lengths > 1:
        return -REFUSAL_LENGTH_REPEATED
    if lengths and not bodiless:
        message.declared = BODY_LENGTH
        refusal = count_bytes(length, &message.content_length)
        if refusal:
            return refusal
    bodiless = bodiless or message.status == 304 or method == METHOD_HEAD
    if bodiless and lengths == 0:
        message.declared = BODY_NONE
    message.has_body = not (ends or bodiless)
    return 0


cdef int read_answer(Message *message, Slice block, bint ends, uint8_t method, const HeadLimits *limits,
                     Arena *arena) noexcept nogil:
    cdef Slice length = Slice(NULL, 0)
    cdef int lengths
    memset(message, 0, sizeof(Message))
    message.status = <uint16_t> status_of(block.data, block.size)
    if message.status < 100 or message.status == 101:   # HTTP/2 has no 101 (RFC 9113 section 8.6)
        return -REFUSAL_STATUS_INVALID
    message.reason.data = status_phrase(message.status)
    message.reason.size = <uint32_t> strlen(message.reason.data)
    message.keep_alive = True
    message.fields_room = limits.fields + FIELDS_SPARE
    message.fields = <Field *> arena_take(arena, message.fields_room * <uint32_t> sizeof(Field))
    if message.fields is NULL:
        return -REFUSAL_ARENA_FULL
    lengths = take_fields(message, block, &length, limits)
    return settle_body(message, lengths, length, ends, method) if lengths >= 0 else lengths
