"""gRPC in HTTP messages; see grpc.pxd.

Few requests are calls, so nothing is noted about their fields while they are parsed: the fields of POST requests are
searched instead.
"""

from libc.stdint cimport UINT32_MAX, uint32_t

from fastroute.ext.message.message cimport METHOD_POST, Field, is_forwarded
from fastroute.ext.message.octet cimport is_text

cdef enum:
    WEB_SIZE = GRPC_TYPE + 4    # bytes of "application/grpc-web"
    TEXT_SIZE = WEB_SIZE + 5    # bytes of "application/grpc-web-text"
    DIGITS_MOST = 8             # of grpc-timeout


cdef inline bint begins_with(Slice value, const char *text, uint32_t size) noexcept nogil:
    """Whether the type is `text` (in lower case). What may follow is a format or parameters."""
    if value.size < size or not is_text(value.data, size, text, size):
        return False
    return (value.size == size or value.data[size] == c'+' or value.data[size] == c';' or value.data[size] == c' ')


cdef uint8_t call_kind(Slice value) noexcept nogil:
    if begins_with(value, b"application/grpc", GRPC_TYPE):
        return CALL_GRPC
    if value.size < WEB_SIZE:
        return CALL_NONE
    if begins_with(value, b"application/grpc-web", WEB_SIZE):
        return WEB_BINARY
    return WEB_TEXT if begins_with(value, b"application/grpc-web-text", TEXT_SIZE) else CALL_NONE


cdef const Field *find(const Message *message, const char *name, uint32_t size) noexcept nogil:
    """The first field with this name, which is in lower case; NULL: there is none."""
    cdef const Field *field = message.fields
    cdef const Field *end = message.fields + message.fields_count
    while field < end:
        if field.name.size == size and is_text(field.name.data, size, name, size):
            return field
        field += 1
    return NULL


cdef bint is_grpc_answer(const Message *answer) noexcept nogil:
    cdef const Field *field = find(answer, b"content-type", 12)
    return answer.status == 200 and field is not NULL and call_kind(field.value) == CALL_GRPC


cdef uint8_t call_of(const Message *request) noexcept nogil:
    cdef const Field *field
    if request.method_name != METHOD_POST:
        return CALL_NONE
    field = find(request, b"content-type", 12)
    return CALL_NONE if field is NULL or not is_forwarded(request, field) else call_kind(field.value)


cdef Slice grpc_method(const Message *request) noexcept nogil:
    cdef uint32_t at = request.path.size
    while at and request.path.data[at - 1] != c'/':
        at -= 1
    if at <= 1:
        return Slice(NULL, 0)
    return Slice(request.path.data + at, request.path.size - at)


cdef uint64_t grpc_timeout(const Message *request) noexcept nogil:
    cdef const Field *field = find(request, b"grpc-timeout", 12)
    cdef uint64_t value = 0
    cdef uint32_t i
    cdef char unit
    if field is NULL or not 2 <= field.value.size <= DIGITS_MOST + 1:
        return 0
    for i in range(field.value.size - 1):
        if not c'0' <= field.value.data[i] <= c'9':
            return 0
        value = value * 10 + <uint64_t> (field.value.data[i] - c'0')
    unit = field.value.data[field.value.size - 1]
    if unit == c'H':
        value *= 3600000
    elif unit == c'M':
        value *= 60000
    elif unit == c'S':
        value *= 1000
    elif unit == c'u':
        value = (value + 999) // 1000
    elif unit == c'n':
        value = (value + 999999) // 1000000
    elif unit != c'm':
        return 0
    return min(max(value, <uint64_t> 1), <uint64_t> UINT32_MAX)


cdef uint16_t grpc_outcome(const Message *fields) noexcept nogil:
    cdef const Field *field = find(fields, b"grpc-status", 11)
    cdef uint16_t status = 0
    cdef uint32_t i
    if field is NULL:
        return 0
    if not 1 <= field.value.size <= 3:
        return GRPC_UNKNOWN + 1
    for i in range(field.value.size):
        if not c'0' <= field.value.data[i] <= c'9':
            return GRPC_UNKNOWN + 1     # as clients of gRPC read it
        status = status * 10 + <uint16_t> (field.value.data[i] - c'0')
    return status + 1


cdef uint8_t grpc_status_of(uint16_t status) noexcept nogil:
    if status == 400:
        return GRPC_INTERNAL
    if status == 404:
        return GRPC_UNIMPLEMENTED
    if status == 408 or status == 504:
        return GRPC_DEADLINE_EXCEEDED
    if status == 413 or status == 414 or status == 431:
        return GRPC_RESOURCE_EXHAUSTED
    return GRPC_UNAVAILABLE if status >= 500 else <uint8_t> GRPC_OK
