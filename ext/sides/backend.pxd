# The side of an exchange, or of a mirror, towards a backend, by the protocol of its connection: the operations by which a
# request is sent, and the events of which an answer consists. Only the rows (side.pxd) know protocols.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.message.message cimport Message
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.sides.arrival cimport Arrival, Piece
from fastroute.ext.sides.side cimport BackendSide


# The row of a Protocol; it is static.
cdef BackendSide *backend_side(uint8_t protocol) noexcept nogil

# Whether pieces of a request body may be in chunks with this Protocol.
cdef bint backend_takes_chunks(uint8_t protocol) noexcept nogil

# Whether a request can ask for another protocol on its connection (RFC 9110 section 7.8).
cdef bint backend_upgrades(uint8_t protocol) noexcept nogil

# --- operations. A request is aborted by upstream_close.

# Sends the head of a request that request_begin has kept, and the first piece of its body. Returns 0, or -1 if the
# connection is broken.
cdef int backend_send(Reactor r, Connection *u, const Message *message, const Piece *piece) noexcept nogil
# Puts the head into the output, so that it is sent with the next piece. Returns 0, or -1 if there is no room.
cdef int backend_queue_head(Reactor r, Connection *u, const Message *message) noexcept nogil
# Sends a piece of the body; the last one ends the request. Returns like backend_send.
cdef int backend_body(Reactor r, Connection *u, const Piece *piece) noexcept nogil

# --- events

# Receives once: at most `room` bytes, and at most SCRATCH. Returns 0, or -1 if out of memory. Then the caller sets
# `waiting`, `method` and `upgrades` of the arrival.
cdef int backend_receive(Reactor r, Connection *u, uint32_t room, Arrival *arrival) noexcept nogil
# The next event of the answer. After EVENT_HEAD, call backend_accept before the next one. `x`: NULL for a mirror.
cdef int backend_event(Reactor r, Connection *u, const Exchange *x, Arrival *arrival) noexcept nogil
# The head that was taken is that of the final answer: its body follows.
cdef void backend_accept(Reactor r, Connection *u) noexcept nogil
# Whether the whole body of the answer whose head was taken last has arrived. `exact`: and nothing after it.
cdef bint backend_has_all(Reactor r, const Connection *u, const Arrival *arrival, bint *exact) noexcept nogil
# Frees what was received and has been taken.
cdef void backend_forget(Connection *u, const Arrival *arrival) noexcept nogil
