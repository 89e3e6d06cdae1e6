# The field traceparent of a request (W3C Trace Context, https://www.w3.org/TR/trace-context/).

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport Message


cdef enum:
    TRACE_ID_TEXT = 32          # hex digits in lower case
    SPAN_ID_TEXT = 16
    PARENT_TEXT = 55            # bytes of a traceparent of version 00
    TRACE_ID_AT = 3             # where the parts of it begin
    SPAN_ID_AT = 36

cdef struct TraceContext:       # of the sender; its slices point into the value
    Slice trace_id
    Slice span_id
    uint8_t sampled

# Reads a value. False: it is not valid.
cdef bint context_read(TraceContext *context, Slice value) noexcept nogil
# Finds the context of a request. False: there is none, or it is not valid: no traceparent, or more than one.
cdef bint context_find(TraceContext *context, const Message *message) noexcept nogil
# The same, and removes traceparent; without a valid one also tracestate (section 2.4).
cdef bint context_take(TraceContext *context, Message *message) noexcept nogil
# Writes PARENT_TEXT bytes: a traceparent of version 00.
cdef void context_write(char *out, const char *trace_id, const char *span_id, bint sampled) noexcept nogil
# Writes `size` octets as hex digits.
cdef void write_hex(char *out, const uint8_t *octets, uint32_t size) noexcept nogil
