"""Content in chunks; see http1_chunk.pxd."""

from fastroute.ext.http1.write cimport write_chunk_head, write_trailers

cdef const char *LAST = b"\r\n0\r\n\r\n"       # the end of a chunk, and the last chunk


cdef int http1_chunk(Reactor r, const Piece *piece, char *head, uint32_t used, iovec *parts, int count) noexcept nogil:
    cdef uint32_t size = piece.data.size
    cdef const char *last = LAST if size else LAST + 2
    cdef uint32_t trailers
    if size:
        count = add_part(parts, count, head, write_chunk_head(head, size))
        count = add_part(parts, count, piece.data.data, size)
    if not piece.end:
        return add_part(parts, count, LAST, 2 if size else 0)
    if piece.trailers is NULL:
        return add_part(parts, count, last, LAST + 7 - last)
    trailers = write_trailers(r.outgoing + used, r.outgoing_size - used, piece.trailers)
    count = add_part(parts, count, last, LAST + 5 - last)
    return add_part(parts, count, r.outgoing + used, trailers) if trailers else -1
