# What a protocol does on its two sides: the rows of the tables in client.pyx and backend.pyx, which say what each function
# does. A protocol that carries Messages is two modules that fill in a row each.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.message.message cimport Message
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.sides.arrival cimport Arrival, Piece


cdef struct ClientSide:
    # events
    int (*read)(Reactor r, Connection *c, Arrival *arrival) noexcept nogil
    bint (*has_begun)(const Connection *c) noexcept nogil
    void (*begin)(Reactor r, Connection *c, Exchange *x, int event) noexcept nogil
    void (*receive)(Reactor r, Connection *c, uint32_t most, Arrival *arrival) noexcept nogil
    int (*event)(Reactor r, Connection *c, Exchange *x, Arrival *arrival) noexcept nogil
    int (*skip)(Reactor r, Connection *c, Arrival *arrival) noexcept nogil
    int (*unwrap)(Reactor r, Connection *c, Exchange *x) noexcept nogil        # only with pieces in chunks
    int (*keep_rest)(Connection *c, const Arrival *arrival) noexcept nogil
    # operations
    bint (*interim)(Reactor r, Connection *c, Exchange *x, const Message *message, uint32_t *written) noexcept nogil
    uint32_t (*head)(Reactor r, Connection *c, Exchange *x, const Message *message, bint close) noexcept nogil
    int (*body)(Reactor r, Connection *c, Exchange *x, uint32_t head, const Piece *piece) noexcept nogil

cdef struct BackendSide:
    uint8_t takes_chunks        # pieces may be in chunks
    uint8_t upgrades            # requests can ask for another protocol
    # operations
    int (*send)(Reactor r, Connection *u, const Message *message, const Piece *piece) noexcept nogil
    int (*queue_head)(Reactor r, Connection *u, const Message *message) noexcept nogil
    int (*body)(Reactor r, Connection *u, const Piece *piece) noexcept nogil
    # events
    int (*receive)(Reactor r, Connection *u, uint32_t room, Arrival *arrival) noexcept nogil
    int (*event)(Reactor r, Connection *u, const Exchange *x, Arrival *arrival) noexcept nogil
    void (*accept)(Reactor r, Connection *u) noexcept nogil
    bint (*has_all)(Reactor r, const Connection *u, const Arrival *arrival, bint *exact) noexcept nogil
    void (*forget)(Connection *u, const Arrival *arrival) noexcept nogil
