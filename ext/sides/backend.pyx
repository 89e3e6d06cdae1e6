"""The sides towards backends, by protocol; see backend.pxd."""

from fastroute.ext.http2.parent cimport http2_backend_parent
from fastroute.ext.message.protocol cimport (
    PROTOCOL_HTTP1, PROTOCOL_HTTP2_BACKEND, PROTOCOL_HTTP2_STREAM, PROTOCOLS,
)
from fastroute.ext.reactor.parent cimport protocol_at
from fastroute.ext.sides.http1_backend cimport http1_backend
from fastroute.ext.sides.http2_backend cimport http2_backend

cdef BackendSide[<int> PROTOCOLS] ROWS
http1_backend(&ROWS[<int> PROTOCOL_HTTP1])
http2_backend(&ROWS[<int> PROTOCOL_HTTP2_STREAM])
http2_backend_parent(protocol_at(PROTOCOL_HTTP2_BACKEND))


cdef BackendSide *backend_side(uint8_t protocol) noexcept nogil:
    return &ROWS[protocol]


cdef bint backend_takes_chunks(uint8_t protocol) noexcept nogil:
    return ROWS[protocol].takes_chunks


cdef bint backend_upgrades(uint8_t protocol) noexcept nogil:
    return ROWS[protocol].upgrades


cdef int backend_send(Reactor r, Connection *u, const Message *message, const Piece *piece) noexcept nogil:
    return ROWS[u.protocol].send(r, u, message, piece)


cdef int backend_queue_head(Reactor r, Connection *u, const Message *message) noexcept nogil:
    return ROWS[u.protocol].queue_head(r, u, message)


cdef int backend_body(Reactor r, Connection *u, const Piece *piece) noexcept nogil:
    return ROWS[u.protocol].body(r, u, piece)


cdef int backend_receive(Reactor r, Connection *u, uint32_t room, Arrival *arrival) noexcept nogil:
    return ROWS[u.protocol].receive(r, u, room, arrival)


cdef int backend_event(Reactor r, Connection *u, const Exchange *x, Arrival *arrival) noexcept nogil:
    return ROWS[u.protocol].event(r, u, x, arrival)


cdef void backend_accept(Reactor r, Connection *u) noexcept nogil:
    ROWS[u.protocol].accept(r, u)


cdef bint backend_has_all(Reactor r, const Connection *u, const Arrival *arrival, bint *exact) noexcept nogil:
    return ROWS[u.protocol].has_all(r, u, arrival, exact)


cdef void backend_forget(Connection *u, const Arrival *arrival) noexcept nogil:
    ROWS[u.protocol].forget(u, arrival)
