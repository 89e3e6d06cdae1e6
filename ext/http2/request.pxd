# Requests of HTTP/2: from a block of fields to a Message (RFC 9113 section 8.3).

from libc.stdint cimport uint32_t

from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.limits cimport HeadLimits
from fastroute.ext.message.message cimport Message


# Reads the block of a request head that libnghttp2 has accepted. `ends`: no content follows. The Message points into the
# block and the arena. Returns 0, or -Refusal. With METHOD_CONNECT the request is for a WebSocket, and `upgrade` is set.
cdef int read_request(Message *message, Slice block, bint ends, const HeadLimits *limits, Arena *arena) noexcept nogil
# Reads `count` trailers. Returns 0, or -1 if the arena is full.
cdef int read_trailers(Message *trailers, Slice block, uint32_t count, Arena *arena) noexcept nogil
