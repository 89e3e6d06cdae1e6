"""Backends without Messages; see raw_backend.pxd.

The tunnel (exchange/tunnel) reads and writes their connections. Of this row only `send` is called for it, with an empty
Message, when a connection is established. A request or a mirror that was sent to such a backend would fail.
"""

from libc.stdint cimport uint32_t

from fastroute.ext.message.message cimport Message
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.sides.arrival cimport EVENT_CLOSED, Arrival, Piece


cdef int send(Reactor r, Connection *u, const Message *message, const Piece *piece) noexcept nogil:
    return -1 if message.method.size else 0


cdef int queue_head(Reactor r, Connection *u, const Message *message) noexcept nogil:
    return -1


cdef int body(Reactor r, Connection *u, const Piece *piece) noexcept nogil:
    return -1


cdef int receive(Reactor r, Connection *u, uint32_t room, Arrival *arrival) noexcept nogil:
    arrival.closed = True
    return 0


cdef int next_event(Reactor r, Connection *u, const Exchange *x, Arrival *arrival) noexcept nogil:
    return EVENT_CLOSED


cdef void accept(Reactor r, Connection *u) noexcept nogil:
    pass


cdef bint has_all(Reactor r, const Connection *u, const Arrival *arrival, bint *exact) noexcept nogil:
    exact[0] = False
    return False


cdef void forget(Connection *u, const Arrival *arrival) noexcept nogil:
    pass


cdef void raw_backend(BackendSide *side) noexcept:
    side.takes_chunks = False
    side.upgrades = False
    side.send = send
    side.queue_head = queue_head
    side.body = body
    side.receive = receive
    side.event = next_event
    side.accept = accept
    side.has_all = has_all
    side.forget = forget
