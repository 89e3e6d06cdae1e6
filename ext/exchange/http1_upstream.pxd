# HTTP/1 towards a backend: the operations by which a request is sent, and the events of which an answer consists.
# Another protocol has the same ones.
#
# One read is an Arrival. Its events are taken one after another, until EVENT_NONE.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.exchange.piece cimport Piece
from fastroute.ext.message.message cimport Message
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor


cdef enum Event:
    EVENT_NONE = 0              # all that was received has been taken
    EVENT_INTERIM               # the head of an interim answer, in `r.head.message`
    EVENT_HEAD                  # the head of the final answer, in `r.head.message`; a piece follows, which may be empty
    EVENT_PIECE                 # of the body
    EVENT_CLOSED                # the connection has ended
    EVENT_MALFORMED             # `refusal`
    EVENT_NO_ROOM               # out of memory

cdef struct Arrival:
    char *data                  # received, not taken yet; after a 101: not HTTP
    uint32_t size
    uint32_t taken              # bytes of the head that was taken last
    uint8_t kept                # the bytes are in the input of the connection
    uint8_t headed              # EVENT_HEAD was the last event
    uint8_t closed
    uint8_t clean               # closed by the peer, not broken
    int refusal
    Piece piece

# Writes the request to `r.outgoing`. Returns its bytes; never 0 for one that request_begin has kept.
cdef uint32_t backend_write(Reactor r, const Message *message) noexcept nogil
# Sends the request of the exchange and the first `size` bytes of its body. Returns 0, or -1 if the connection is broken.
cdef int backend_send(Reactor r, Connection *u, Exchange *x, const char *body, uint32_t size) noexcept nogil
# Receives once. Returns 0, or -1 if out of memory.
cdef int backend_receive(Reactor r, Connection *u, Arrival *arrival) noexcept nogil
# The next Event of the answer. After EVENT_HEAD, call backend_accept before the next one.
cdef int backend_event(Reactor r, Exchange *x, Connection *u, Arrival *arrival) noexcept nogil
# The answer whose head was taken is the one for the client.
cdef void backend_accept(Reactor r, Exchange *x) noexcept nogil
# Whether the whole body of the answer whose head was taken last has arrived. `exact`: and nothing after it.
cdef bint backend_has_all(Reactor r, const Arrival *arrival, bint *exact) noexcept nogil
# Whether the connection can have another request after the answer. `exact`: nothing came after the answer.
cdef bint backend_is_reusable(const Exchange *x, const Connection *u, bint keeps, bint exact) noexcept nogil
# Frees what was received and has been taken.
cdef void backend_forget(Connection *u, const Arrival *arrival) noexcept nogil
