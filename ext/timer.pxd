# Deadlines of connections: one wheel, moved by the engine's clock.
#
# A connection has one deadline. Moving it later costs one store: the wheel finds out when the old place comes up, and
# puts the connection where it belongs now. Only a deadline earlier than the place moves the connection.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.connection cimport Connection, Slab


cdef enum:
    TICK = 4                    # milliseconds of one slot
    SLOTS = 4096                # 16 s round; later deadlines wait in the farthest slot and are put on from there

cdef struct Wheel:
    uint64_t tick               # everything before it has been looked at
    uint32_t heads[SLOTS]       # first connection of each slot; 0: none
    uint64_t filled[64]         # which slots have one: a bit each
    uint32_t count

# Sets the deadline (milliseconds; 0: none).
cdef void timer_set(Wheel *wheel, Slab *slab, Connection *connection, uint64_t deadline) noexcept nogil
# Takes a connection that is about to be closed out of the wheel.
cdef void timer_remove(Wheel *wheel, Slab *slab, Connection *connection) noexcept nogil
# The next connection whose deadline has passed at `now` (its deadline is 0 from then on), or NULL.
cdef Connection *timer_expired(Wheel *wheel, Slab *slab, uint64_t now) noexcept nogil
# When to look again: milliseconds, never before the wheel's own time; 0: nothing to wait for.
cdef uint64_t timer_next(const Wheel *wheel) noexcept nogil
