"""The sides towards clients, by protocol; see client.pxd. A call through this table costs no more than one to another
module."""

from fastroute.ext.http2.parent cimport http2_parent
from fastroute.ext.message.protocol cimport PROTOCOL_HTTP1, PROTOCOL_HTTP2, PROTOCOL_HTTP2_STREAM, PROTOCOLS
from fastroute.ext.reactor.parent cimport protocol_at
from fastroute.ext.sides.arrival cimport last_piece
from fastroute.ext.sides.http1_client cimport http1_client
from fastroute.ext.sides.http2_client cimport http2_client

cdef ClientSide[<int> PROTOCOLS] ROWS
http1_client(&ROWS[<int> PROTOCOL_HTTP1])
http2_client(&ROWS[<int> PROTOCOL_HTTP2_STREAM])
http2_parent(protocol_at(PROTOCOL_HTTP2))


cdef ClientSide *client_side(uint8_t protocol) noexcept nogil:
    return &ROWS[protocol]


cdef int client_read(Reactor r, Connection *c, Arrival *arrival) noexcept nogil:
    return ROWS[c.protocol].read(r, c, arrival)


cdef bint client_has_begun(const Connection *c) noexcept nogil:
    return ROWS[c.protocol].has_begun(c)


cdef void client_begin(Reactor r, Connection *c, Exchange *x, int event) noexcept nogil:
    ROWS[c.protocol].begin(r, c, x, event)


cdef void client_receive(Reactor r, Connection *c, uint32_t most, Arrival *arrival) noexcept nogil:
    ROWS[c.protocol].receive(r, c, most, arrival)


cdef int client_event(Reactor r, Connection *c, Exchange *x, Arrival *arrival) noexcept nogil:
    return ROWS[c.protocol].event(r, c, x, arrival)


cdef int client_skip(Reactor r, Connection *c, Arrival *arrival) noexcept nogil:
    return ROWS[c.protocol].skip(r, c, arrival)


cdef int client_unwrap(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    return ROWS[c.protocol].unwrap(r, c, x)


cdef int client_keep_rest(Connection *c, const Arrival *arrival) noexcept nogil:
    return ROWS[c.protocol].keep_rest(c, arrival)


cdef bint client_interim(Reactor r, Connection *c, Exchange *x, const Message *message, uint32_t *written) noexcept nogil:
    return ROWS[c.protocol].interim(r, c, x, message, written)


cdef uint32_t client_head(Reactor r, Connection *c, Exchange *x, const Message *message, bint close) noexcept nogil:
    return ROWS[c.protocol].head(r, c, x, message, close)


cdef int client_body(Reactor r, Connection *c, Exchange *x, uint32_t head, const Piece *piece) noexcept nogil:
    return ROWS[c.protocol].body(r, c, x, head, piece)


cdef int client_end(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    cdef Piece last = last_piece()
    return ROWS[c.protocol].body(r, c, x, 0, &last)
