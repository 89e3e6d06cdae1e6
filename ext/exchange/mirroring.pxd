# Operations on mirrors (mirror.pxd): start them, pass the bytes of the request on to them, follow them to their end.

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.sides.arrival cimport Piece


# Starts a mirror for each of `r.copies`, with the piece of the body that arrived with the head.
cdef void mirrors_begin(Reactor r, Exchange *x, const Piece *piece) noexcept nogil
# Whether every mirror of the exchange has room for the next piece. If not, makes room for one of them: then the piece must
# wait for another step, because what is queued may be a megabyte for each mirror, and moves.
cdef bint mirrors_ready(Reactor r, Exchange *x) noexcept nogil
# Passes a piece of the body on to every mirror of the exchange; `x.request_body` already includes the piece.
cdef void mirrors_feed(Reactor r, Exchange *x, const Piece *piece) noexcept nogil
# Called when the exchange ends: closes the mirrors that did not get the whole body.
cdef void mirrors_leave(Reactor r, Exchange *x) noexcept nogil
# Does everything that is possible now for the mirror `u`, after an event. `u` may be closed or in a pool afterwards.
cdef void mirror_advance(Reactor r, Connection *u) noexcept nogil
# Called when the deadline of `u` has passed.
cdef void mirror_expired(Reactor r, Connection *u) noexcept nogil
# Closes `u` because too many bytes are buffered; counts a failure unless the whole request was sent.
cdef void mirror_crowded(Reactor r, Connection *u) noexcept nogil
# Closes `u`; counts a failure unless the whole request was sent.
cdef void mirror_close(Reactor r, Connection *u) noexcept nogil
