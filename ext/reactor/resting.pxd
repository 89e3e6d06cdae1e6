# Connections to backends that carry no request: those in pools, and those without streams. They are in two lists, by age:
# one of all, and one of the namespace to which they are charged. If no file descriptor is left, the oldest are closed. Two
# gauges count them.

from libc.stdint cimport uint16_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


# Both use `u.payer`, which may change only between them.
cdef void resting_add(Reactor r, Connection *u) noexcept nogil
cdef void resting_remove(Reactor r, Connection *u) noexcept nogil
# The one that has rested for the longest time; NULL: none.
cdef Connection *resting_oldest(Reactor r) noexcept nogil
# The same of a namespace (owner.pxd).
cdef Connection *resting_oldest_of(Reactor r, uint16_t payer) noexcept nogil
