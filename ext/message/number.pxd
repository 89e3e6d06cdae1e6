# Numbers in the fields of a head, in any protocol.

from libc.stdint cimport UINT32_MAX, uint32_t, uint64_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport Message
from fastroute.ext.message.refusal cimport REFUSAL_LENGTH_INVALID, REFUSAL_MAX_FORWARDS_INVALID


cdef enum:
    LENGTH_DIGITS_MOST = 18     # 10**18 - 1 bytes: more than any message has, and it fits into 64 bits

cdef inline int count_bytes(Slice value, uint64_t *length) noexcept nogil:
    """Content-Length = 1*DIGIT. Returns 0 or -Refusal."""
    cdef uint32_t i
    if value.size == 0 or value.size > LENGTH_DIGITS_MOST:
        return -REFUSAL_LENGTH_INVALID
    length[0] = 0
    for i in range(value.size):
        if value.data[i] < c'0' or value.data[i] > c'9':
            return -REFUSAL_LENGTH_INVALID
        length[0] = length[0] * 10 + <uint64_t> (value.data[i] - c'0')
    return 0

cdef inline int take_max_forwards(Message *message, Slice value, uint32_t fields) noexcept nogil:
    """Max-Forwards, of which there are `fields` (RFC 9110 section 7.6.2: only OPTIONS and TRACE are limited). A value that
    is too large becomes UINT32_MAX. Returns 0 or -Refusal."""
    cdef uint64_t count = 0
    cdef uint32_t i
    if fields > 1 or value.size == 0:
        return -REFUSAL_MAX_FORWARDS_INVALID
    for i in range(value.size):
        if value.data[i] < c'0' or value.data[i] > c'9':
            return -REFUSAL_MAX_FORWARDS_INVALID
        count = min(count * 10 + <uint64_t> (value.data[i] - c'0'), <uint64_t> UINT32_MAX)
    message.has_max_forwards = 1
    message.max_forwards = <uint32_t> count
    return 0
