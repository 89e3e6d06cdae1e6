# Content in chunks (RFC 9112 section 7.1), towards either side.

from libc.stdint cimport uint32_t

from fastroute.ext.http1.body cimport CHUNK_HEAD_MOST
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.sides.arrival cimport Piece


cdef enum:
    CHUNK_PARTS = 4             # parts of a piece

# Adds the parts that send the content of the piece as a chunk; with its end, the last chunk and the trailers. `head`: room
# for CHUNK_HEAD_MOST bytes; `used`: bytes of `r.outgoing` that are in use. Both must stay until the parts are sent.
# Returns the number of parts, or -1 if the trailers have no room.
cdef int http1_chunk(Reactor r, const Piece *piece, char *head, uint32_t used, iovec *parts, int count) noexcept nogil

cdef inline int add_part(iovec *parts, int count, const char *data, size_t size) noexcept nogil:
    if size == 0:
        return count
    parts[count].iov_base = <char *> data
    parts[count].iov_len = size
    return count + 1
