# The head of an HTTP/1 message: what its start line and fields say besides the Message.
#
# The slices of a Head point into the parsed bytes or into the arena: both must remain valid until the head is written.

from libc.stdint cimport uint8_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport Message


cdef enum Framing:              # how the body ends (RFC 9112 section 6)
    FRAMING_NONE = 0            # no body
    FRAMING_LENGTH              # content_length bytes
    FRAMING_CHUNKED
    FRAMING_CLOSE               # until the peer closes (responses only)

cdef struct Head:
    Message message
    Slice target                # as received
    uint8_t minor               # Version: HTTP/1.minor, 0 or 1 (higher values count as 1); of a request also VERSION_UNKNOWN
    uint8_t framing             # Framing of the body that follows; FRAMING_NONE for Content-Length: 0 too
    uint8_t stated              # Framing according to the fields, even if no body follows (0 bytes, HEAD, 304)
    uint8_t nominates           # Connection nominates fields of this hop, which may also occur as trailers
