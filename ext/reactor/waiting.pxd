# Handshakes that wait, so that a flood of them does not delay other traffic.
#
# A handshake may cost milliseconds of computation, so each one waits here after its ClientHello. A turn runs them one at
# a time when no other work is left, and at its end. The next one is from the namespace that has used
# the least time for handshakes recently, within it from the listener that has used the least, and within it the oldest.
# So neither a listener nor a namespace with many clients delays the handshakes of another one.

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from fastroute.ext.reactor.connection cimport Connection, Slab


cdef enum:
    DECAY = 1000                # milliseconds: the half-life of the time that was used

cdef struct Usage:
    uint64_t spent              # microseconds, decayed
    uint64_t since              # milliseconds: when it was last decayed

cdef struct Flow:               # the waiting connections of a listener, oldest first, linked through Tls
    uint32_t first
    uint32_t last
    uint32_t count
    uint32_t position           # index in `active`
    Usage usage

cdef struct Waiting:
    Flow *flows                 # FLOWS (secure.pxd)
    Usage *owners               # OWNERS (owner.pxd)
    uint16_t *active            # flows that have connections, in no order
    uint32_t active_count
    uint32_t count              # connections in total
    uint64_t spent              # microseconds of all handshakes in this turn

cdef int waiting_open(Waiting *waiting) except -1       # raises MemoryError
cdef void waiting_close(Waiting *waiting) noexcept nogil
# Adds a connection, which must not be in any other list.
cdef void waiting_add(Waiting *waiting, Slab *slab, Connection *c) noexcept nogil
cdef void waiting_remove(Waiting *waiting, Slab *slab, Connection *c) noexcept nogil
# Removes and returns the connection that is next, or NULL. `now`: milliseconds.
cdef Connection *waiting_next(Waiting *waiting, Slab *slab, uint64_t now) noexcept nogil
# The oldest connection of the flow with the most connections, or NULL.
cdef Connection *waiting_crowd(const Waiting *waiting, Slab *slab) noexcept nogil
# Records what a step of its handshake cost.
cdef void waiting_charge(Waiting *waiting, const Connection *c, uint64_t microseconds, uint64_t now) noexcept nogil
