"""Trailers from HTTP/1; see http1_trailing.pxd. HTTP/1 on both sides sends the lines of trailers as they were received."""

from fastroute.ext.http1.trailer cimport trailers_join, trailers_read
from fastroute.ext.message.message cimport Message
from fastroute.ext.sides.trailing cimport trailers_filter


cdef int http1_trailers(Reactor r, const Exchange *x, bint response, const Body *body, Slice section,
                        Piece *piece) noexcept nogil:
    cdef Message *trailers = &r.trailers
    if section.size == 0:
        return 0
    if trailers_read(trailers, section, body.trailer_fields, &r.arena) < 0:
        return -1
    trailers_filter(r, x, response, body.nominated, trailers)
    if not piece.chunked:
        piece.trailers = trailers
        return 0
    trailers_join(trailers, &section)
    if piece.data.size == 0:
        piece.data = section
    else:
        piece.data.size += section.size     # they are adjacent: the section came in the same read
    return 0
