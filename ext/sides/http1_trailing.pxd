# Trailer sections of HTTP/1 bodies that an exchange relays.

from fastroute.ext.http1.body cimport Body
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.sides.arrival cimport Piece


# Adds the trailers that go on to the piece. `section`: the trailer section of `body`, as body_pass gives it; with an empty
# section, nothing is done. Returns 0, or -1 if the arena is full.
cdef int http1_trailers(Reactor r, const Exchange *x, bint response, const Body *body, Slice section,
                        Piece *piece) noexcept nogil
