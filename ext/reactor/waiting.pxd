# Handshakes that wait, so that a flood of them does not delay other traffic.
#
# A handshake may cost milliseconds of computation, so each one waits here after its ClientHello. A turn runs them one at
# a time when no other work is left, and at its end. The next one is from the namespace that has used
# the least time for handshakes recently, within it from the listener that has used the least, and within it the oldest.
# So neither a listener nor a namespace with many clients delays the handshakes of another one.

from libc.stdint cimport uint16_t, uint64_t

from fastroute.ext.reactor.connection cimport Connection, Slab
from fastroute.ext.reactor.groups cimport Groups


cdef enum:
    DECAY = 1000                # milliseconds: the half-life of the time that was used

cdef struct Usage:
    uint64_t spent              # microseconds, decayed
    uint64_t since              # milliseconds: when it was last decayed
    uint16_t owner              # of a listener: its namespace

cdef struct Waiting:
    Groups flows                # the waiting connections by listener: FLOWS (secure.pxd)
    Usage *listeners            # of each flow
    Usage *owners               # of each namespace: OWNERS (owner.pxd)
    uint64_t spent              # microseconds of all handshakes in this turn

cdef int waiting_open(Waiting *waiting) except -1       # raises MemoryError
cdef void waiting_close(Waiting *waiting) noexcept nogil
# Adds a connection, which must not be in any group, or removes it.
cdef void waiting_add(Waiting *waiting, Slab *slab, Connection *c) noexcept nogil
cdef void waiting_remove(Waiting *waiting, Slab *slab, Connection *c) noexcept nogil
# Removes and returns the connection that is next, or NULL. `now`: milliseconds.
cdef Connection *waiting_next(Waiting *waiting, Slab *slab, uint64_t now) noexcept nogil
# The oldest connection of the flow with the most connections, or NULL.
cdef Connection *waiting_crowd(const Waiting *waiting, Slab *slab) noexcept nogil
# Records what a step of its handshake cost.
cdef void waiting_charge(Waiting *waiting, const Connection *c, uint64_t microseconds, uint64_t now) noexcept nogil
