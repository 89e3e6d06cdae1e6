"""The field traceparent; see tracecontext.pxd. Section numbers are those of W3C Trace Context (level 1)."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport DROPPED_HERE, Field
from fastroute.ext.message.octet cimport is_text


cdef char[512] digit_pairs      # the two hex digits of each octet
for _octet in range(256):
    digit_pairs[2 * _octet], digit_pairs[2 * _octet + 1] = b"%02x" % _octet


cdef bint is_hex(const char *text, uint32_t size) noexcept nogil:
    """Whether all are hex digits in lower case."""
    cdef uint32_t i
    for i in range(size):
        if not (c'0' <= text[i] <= c'9' or c'a' <= text[i] <= c'f'):
            return False
    return True


cdef bint is_id(const char *text, uint32_t size) noexcept nogil:
    """Whether these are hex digits that are not all zero (section 3.2.2.3 and 3.2.2.4)."""
    cdef uint32_t i
    if not is_hex(text, size):
        return False
    for i in range(size):
        if text[i] != c'0':
            return True
    return False


cdef inline uint8_t digit(char text) noexcept nogil:
    return <uint8_t> (text - c'0' if text <= c'9' else text - c'a' + 10)


cdef bint context_read(TraceContext *context, Slice value) noexcept nogil:
    cdef const char *text = value.data
    if value.size < PARENT_TEXT or text[2] != c'-' or text[35] != c'-' or text[52] != c'-':
        return False
    if not is_hex(text, 2) or (text[0] == c'f' and text[1] == c'f'):
        return False
    # A later version may have more parts (section 3.2.4).
    if value.size > PARENT_TEXT and (text[PARENT_TEXT] != c'-' or (text[0] == c'0' and text[1] == c'0')):
        return False
    if not (is_id(text + TRACE_ID_AT, TRACE_ID_TEXT) and is_id(text + SPAN_ID_AT, SPAN_ID_TEXT) and is_hex(text + 53, 2)):
        return False
    context.trace_id = Slice(text + TRACE_ID_AT, TRACE_ID_TEXT)
    context.span_id = Slice(text + SPAN_ID_AT, SPAN_ID_TEXT)
    context.sampled = digit(text[54]) & 1
    return True


cdef inline bint is_parent(const Field *field) noexcept nogil:
    return field.name.size == 11 and is_text(field.name.data, 11, b"traceparent", 11) and not field.dropped


cdef bint context_find(TraceContext *context, const Message *message) noexcept nogil:
    cdef const Field *field = message.fields
    cdef const Field *end = message.fields + message.fields_count
    cdef const Field *found = NULL
    while field < end:
        if is_parent(field):
            if found is not NULL:
                return False
            found = field
        field += 1
    return found is not NULL and context_read(context, found.value)


cdef bint context_take(TraceContext *context, Message *message) noexcept nogil:
    cdef bint valid = context_find(context, message)
    cdef Field *field = message.fields
    cdef Field *end = message.fields + message.fields_count
    while field < end:
        if is_parent(field) or (not valid and field.name.size == 10
                                and is_text(field.name.data, 10, b"tracestate", 10)):
            field.dropped = DROPPED_HERE
        field += 1
    return valid


cdef void context_write(char *out, const char *trace_id, const char *span_id, bint sampled) noexcept nogil:
    memcpy(out, b"00-", 3)
    memcpy(out + TRACE_ID_AT, trace_id, TRACE_ID_TEXT)
    out[35] = c'-'
    memcpy(out + SPAN_ID_AT, span_id, SPAN_ID_TEXT)
    memcpy(out + 52, b"-01" if sampled else b"-00", 3)


cdef void write_hex(char *out, const uint8_t *octets, uint32_t size) noexcept nogil:
    cdef uint32_t i
    for i in range(size):
        memcpy(out + 2 * i, digit_pairs + 2 * octets[i], 2)


# --- for Python


def parse(bytes value not None) -> "tuple[str, str, bool] | None":
    """The trace id, the span id of the sender, and whether it is sampled; None if the value is not valid."""
    cdef TraceContext context
    if not context_read(&context, Slice(<const char *> value, <uint32_t> len(value))):
        return None
    return (context.trace_id.data[:TRACE_ID_TEXT].decode(), context.span_id.data[:SPAN_ID_TEXT].decode(),
            context.sampled != 0)
