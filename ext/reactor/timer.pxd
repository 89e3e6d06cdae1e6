# Deadlines of connections: a timer wheel, driven by the engine's clock.
#
# A connection has one deadline. Moving it later costs one store: when the old slot is reached, the wheel moves the
# connection to the slot of its current deadline. Only a deadline before the slot moves the connection at once.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.memory.list cimport List
from fastroute.ext.reactor.connection cimport Connection, Slab


cdef enum:
    TICK = 4                    # milliseconds per slot
    SLOTS = 4096                # one round is 16 s; later deadlines wait in the farthest slot and are then moved on

cdef struct Wheel:
    uint64_t tick               # all earlier ticks have been processed
    List slots[SLOTS]
    uint64_t filled[64]         # which slots have a connection: one bit each
    uint64_t words              # which words of `filled` are not 0: one bit each
    uint32_t count

# Sets the deadline (milliseconds; 0: none).
cdef void timer_set(Wheel *wheel, Slab *slab, Connection *connection, uint64_t deadline) noexcept nogil
# Removes a connection that is about to be closed from the wheel.
cdef void timer_remove(Wheel *wheel, Slab *slab, Connection *connection) noexcept nogil
# The next connection whose deadline has passed at `now`, or NULL. It is no longer in the wheel, but keeps its deadline.
# Takes at most `steps[0]` connections out of their slots, and subtracts their number: with NULL and 0 steps left, more may
# have expired.
cdef Connection *timer_expired(Wheel *wheel, Slab *slab, uint64_t now, uint32_t *steps) noexcept nogil
# When to call timer_expired again: milliseconds, never before the wheel's own time; 0 if there are no deadlines.
cdef uint64_t timer_next(const Wheel *wheel) noexcept nogil
