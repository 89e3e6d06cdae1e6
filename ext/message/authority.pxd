# The authority of a request: a host and a port (RFC 3986 section 3.2), parsed strictly.

from libc.stdint cimport uint16_t, uint32_t

from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.message cimport Message


# Sets the host of the message from its authority: in lower case, without port and final dot. Returns 0 or -Refusal.
cdef int take_host(Message *message, Arena *arena) noexcept nogil
# Returns 0, or -Refusal for an authority that is not allowed in a request.
cdef int check_authority(Slice authority) noexcept nogil
# ":8080", at most 6 bytes; nothing for 0.
cdef uint32_t write_port(char *out, uint16_t port) noexcept nogil
