# Turns: the engine handles the events of epoll in short pieces.

from libc.stdint cimport uint64_t

from fastroute.ext.reactor.epoll cimport epoll_event
from fastroute.ext.reactor.reactor cimport Reactor


cdef enum:
    EVENTS = 64                 # fetched at once

cdef struct Turns:
    epoll_event events[EVENTS]
    int next                    # first of `events` that is not handled yet
    int count                   # number of `events` (less than 1: none)
    uint64_t made               # turns so far
    uint64_t worst              # microseconds of the longest turn
    bint unvisited              # the last turn had no time for a visit, although a connection had work
    uint64_t waits              # how often events were waited for between turns in a row

# Handles what is ready, for less than 3 ms (more if the last step is a handshake with an RSA key). True: work is left
# for which there will be no event.
cdef bint turn(Reactor r, Turns *turns) noexcept nogil
# Turns in a row while traffic goes on, for about ROW at most; fewer if trio has work. Returns like `turn`.
cdef bint take_turns(Reactor r, Turns *turns) noexcept nogil
# Makes the engine's descriptor readable at `when` (milliseconds, not 0), or at once if that time has passed.
cdef void ring(Reactor r, uint64_t when) noexcept nogil
