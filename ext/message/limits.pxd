# The limits of a head, whatever its protocol.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.message.message cimport Field


cdef enum:
    FIELDS_SPARE = 96           # maximum number of fields that filters and forwarding append
    HOST_MOST = 255             # maximum bytes of a host name
    METHOD_MOST = 32            # maximum bytes of a method

cdef struct HeadLimits:
    uint32_t head               # bytes of start line and fields in total (431)
    uint32_t target             # bytes of the request target (414)
    uint32_t fields             # number of fields (431)
    uint8_t merge_slashes       # normalisation also merges `//` in paths
    uint8_t keep_underscores    # fields of requests whose names contain '_' are kept

cdef inline uint32_t head_room(const HeadLimits *limits) noexcept nogil:
    """Maximum bytes of an Arena that one parsed head uses; filters and forwarding need additional space."""
    return (limits.fields + FIELDS_SPARE + 1) * <uint32_t> sizeof(Field) + limits.target + HOST_MOST + 64
