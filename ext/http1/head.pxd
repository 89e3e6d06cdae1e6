# The head of an HTTP/1 message: what its start line and fields say besides the Message, and the limits of heads.
#
# The slices of a Head point into the parsed bytes or into the arena: both must remain valid until the head is written.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport Field, Message


cdef enum Framing:              # how the body ends (RFC 9112 section 6)
    FRAMING_NONE = 0            # no body
    FRAMING_LENGTH              # content_length bytes
    FRAMING_CHUNKED
    FRAMING_CLOSE               # until the peer closes (responses only)

cdef struct Head:
    Message message
    Slice target                # as received
    uint8_t minor               # HTTP/1.minor, 0 or 1 (higher values count as 1); of a request also MINOR_UNKNOWN
    uint8_t framing             # Framing of the body that follows; FRAMING_NONE for Content-Length: 0 too
    uint8_t stated              # Framing according to the fields, even if no body follows (0 bytes, HEAD, 304)
    uint8_t nominates           # Connection nominates fields of this hop, which may also occur as trailers
    uint8_t withheld            # response to HEAD, or 304: its fields state a body, but none may follow

cdef enum:
    FIELDS_SPARE = 96           # maximum number of fields that filters and forwarding append
    METHOD_MOST = 32            # maximum bytes of a method
    HOST_MOST = 255             # maximum bytes of a host name
    MINOR_UNKNOWN = 255         # no version was parsed: the request was refused or is incomplete

cdef struct HeadLimits:
    uint32_t head               # bytes of start line and fields in total (431)
    uint32_t target             # bytes of the request target (414)
    uint32_t fields             # number of fields (431)
    uint8_t merge_slashes       # normalisation also merges `//` in paths
    uint8_t keep_underscores    # fields of requests whose names contain '_' are kept

cdef inline uint32_t head_room(const HeadLimits *limits) noexcept nogil:
    """Maximum bytes of an Arena that one parsed head uses; filters and forwarding need additional space."""
    return (limits.fields + FIELDS_SPARE + 1) * <uint32_t> sizeof(Field) + limits.target + HOST_MOST + 64
