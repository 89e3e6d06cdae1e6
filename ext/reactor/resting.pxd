# Connections to backends that carry no request: those in pools, and those without streams. They are in one list, by age:
# if no file descriptor is left, the oldest are closed. Two gauges count them.

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


cdef void resting_add(Reactor r, Connection *u) noexcept nogil
cdef void resting_remove(Reactor r, Connection *u) noexcept nogil
# The one that has rested for the longest time; NULL: none.
cdef Connection *resting_oldest(Reactor r) noexcept nogil
