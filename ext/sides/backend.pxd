# The side of an exchange, or of a mirror, towards a backend, by the protocol of its connection: the operations by which a
# request is sent, and the events of which an answer consists. Only the rows (side.pxd) know protocols.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.message.message cimport Message
from fastroute.ext.message.protocol cimport PROTOCOLS
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.sides.arrival cimport Arrival, Piece
from fastroute.ext.sides.side cimport BackendSide


# The rows by Protocol. The functions below are inline, so that calling one costs one indirect call, not two.
cdef BackendSide[<int> PROTOCOLS] backend_rows

# The row of a Protocol.
cdef inline BackendSide *backend_side(uint8_t protocol) noexcept nogil:
    return &backend_rows[protocol]

# Whether pieces of a request body may be in chunks with this Protocol.
cdef inline bint backend_takes_chunks(uint8_t protocol) noexcept nogil:
    return backend_rows[protocol].takes_chunks

# Whether a request can ask for another protocol on its connection (RFC 9110 section 7.8).
cdef inline bint backend_upgrades(uint8_t protocol) noexcept nogil:
    return backend_rows[protocol].upgrades

# --- operations. A request is aborted by upstream_close.

# Sends the head of a request that request_begin has kept, and the first piece of its body. Returns 0, or -1 if the
# connection is broken.
cdef inline int backend_send(Reactor r, Connection *u, const Message *message, const Piece *piece) noexcept nogil:
    return backend_rows[u.protocol].send(r, u, message, piece)
# Puts the head into the output, so that it is sent with the next piece. Returns 0, or -1 if there is no room.
cdef inline int backend_queue_head(Reactor r, Connection *u, const Message *message) noexcept nogil:
    return backend_rows[u.protocol].queue_head(r, u, message)
# Sends a piece of the body; the last one ends the request. Returns like backend_send.
cdef inline int backend_body(Reactor r, Connection *u, const Piece *piece) noexcept nogil:
    return backend_rows[u.protocol].body(r, u, piece)

# --- events

# Receives once: at most `room` bytes, and at most SCRATCH. Returns 0, or -1 if out of memory. Then the caller sets
# `waiting`, `method` and `upgrades` of the arrival.
cdef inline int backend_receive(Reactor r, Connection *u, uint32_t room, Arrival *arrival) noexcept nogil:
    return backend_rows[u.protocol].receive(r, u, room, arrival)
# The next event of the answer. After EVENT_HEAD, call backend_accept before the next one. `x`: NULL for a mirror.
cdef inline int backend_event(Reactor r, Connection *u, const Exchange *x, Arrival *arrival) noexcept nogil:
    return backend_rows[u.protocol].event(r, u, x, arrival)
# The head that was taken is that of the final answer: its body follows.
cdef inline void backend_accept(Reactor r, Connection *u) noexcept nogil:
    backend_rows[u.protocol].accept(r, u)
# Whether the whole body of the answer whose head was taken last has arrived. `exact`: and nothing after it.
cdef inline bint backend_has_all(Reactor r, const Connection *u, const Arrival *arrival, bint *exact) noexcept nogil:
    return backend_rows[u.protocol].has_all(r, u, arrival, exact)
# Frees what was received and has been taken.
cdef inline void backend_forget(Connection *u, const Arrival *arrival) noexcept nogil:
    backend_rows[u.protocol].forget(u, arrival)
