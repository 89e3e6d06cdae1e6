# Connections to backends that carry no request: those in pools, and those without streams. They are in one list, by age:
# if no file descriptor is left, the oldest are closed. Two gauges count them.

from libc.stdint cimport uint16_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


cdef enum:
    RESTING_LOOKS = 64          # connections that are looked at for one of a namespace

cdef void resting_add(Reactor r, Connection *u) noexcept nogil
cdef void resting_remove(Reactor r, Connection *u) noexcept nogil
# The one that has rested for the longest time; NULL: none.
cdef Connection *resting_oldest(Reactor r) noexcept nogil
# The same of a namespace (owner.pxd), if it is among the oldest RESTING_LOOKS; NULL: none.
cdef Connection *resting_oldest_of(Reactor r, uint16_t payer) noexcept nogil
