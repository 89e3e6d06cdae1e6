# Handshakes that wait, so that a flood of them does not delay other traffic.
#
# A handshake may cost milliseconds of computation, so each one with a client waits here after its ClientHello, and each step
# of one with a backend. The other steps of a client wait if the turn has spent AT_ONCE on handshakes, or others wait. A turn
# runs them one at a time when no other work is left, and at its end. The next one is from the namespace that has used the least time for handshakes recently,
# within it from the flow that has used the least, and within it the oldest. Each listener has a flow, and so have the
# backends that the routes of a namespace use. So neither a listener nor a namespace with many clients or backends delays
# the handshakes of another one.

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from fastroute.ext.reactor.connection cimport Connection, Slab
from fastroute.ext.reactor.groups cimport Groups
from fastroute.ext.tls.secure cimport FLOWS


cdef enum:
    AT_ONCE = 1000              # microseconds of handshakes in one turn, after which further ones wait
    DECAY = 1000                # milliseconds: the half-life of the time that was used

cdef struct Usage:
    uint64_t spent              # microseconds, decayed
    uint64_t since              # milliseconds: when it was last decayed
    uint16_t owner              # of a flow: its namespace

cdef struct Waiting:
    Groups flows                # the waiting connections by flow: FLOWS of listeners, then OWNERS of backends
    Usage *usages               # of each flow
    Usage *owners               # of each namespace: OWNERS (owner.pxd)
    uint32_t clients            # how many of the waiting connections are those of clients
    uint64_t spent              # microseconds of all handshakes in this turn,
    uint64_t longest            # and of the longest step

cdef inline uint16_t backends_flow(uint16_t owner) noexcept nogil:
    """The flow of the backends that the routes of a namespace use."""
    return <uint16_t> (FLOWS + owner)

cdef inline bint waiting_must(const Waiting *waiting) noexcept nogil:
    """Whether a step of a handshake that has not waited must do so."""
    return waiting.flows.count != 0 or waiting.spent >= AT_ONCE

cdef int waiting_open(Waiting *waiting) except -1       # raises MemoryError
cdef void waiting_close(Waiting *waiting) noexcept nogil
# Adds a connection, which must not be in any group, or removes it.
cdef void waiting_add(Waiting *waiting, Slab *slab, Connection *c) noexcept nogil
cdef void waiting_remove(Waiting *waiting, Slab *slab, Connection *c) noexcept nogil
# Removes and returns the connection that is next, or NULL. `now`: milliseconds.
cdef Connection *waiting_next(Waiting *waiting, Slab *slab, uint64_t now) noexcept nogil
# The oldest connection of the listener with the most waiting connections, or NULL.
cdef Connection *waiting_crowd(const Waiting *waiting, Slab *slab) noexcept nogil
# Records what a step of its handshake cost.
cdef void waiting_charge(Waiting *waiting, const Connection *c, uint64_t microseconds, uint64_t now) noexcept nogil
