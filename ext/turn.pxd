# Turns: what an engine does with what epoll tells it, in pieces that are short.

from libc.stdint cimport uint64_t

from fastroute.ext.epoll cimport epoll_event
from fastroute.ext.reactor cimport Reactor


cdef enum:
    EVENTS = 256                # fetched at once

cdef struct Turns:
    epoll_event events[EVENTS]
    int next                    # first of `events` that is still to be handled
    int count                   # of `events` (less than 1: none)
    uint64_t made               # turns so far
    uint64_t worst              # microseconds of the longest
    uint64_t waits              # how often a turn waited for more to come

# Handles what is ready, about 3 ms at most. True: work is left that no descriptor announces.
cdef bint turn(Reactor r, Turns *turns) noexcept nogil
# No turn of the next moment waits for traffic: trio has something to do.
cdef void hurry(Reactor r) noexcept nogil
# Has the engine's descriptor become readable at `when` (milliseconds, not 0), or at once if that is past.
cdef void ring(Reactor r, uint64_t when) noexcept nogil
