# The UDP places of an engine: their sockets, and the rule to which each belongs.
#
# The main process binds one socket for each worker and place, and keeps all of them open: so the kernel, which chooses the
# socket by a hash of the addresses, gives the datagrams of a flow to the same worker for as long as the place exists. While
# a worker is being replaced, another one reads its socket too.

from libc.stdint cimport uint32_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


# Takes over a UDP socket of the place with this index in Reactor.sockets. `everywhere`: the place has all addresses of the
# machine. Returns 0, or -1 with errno.
cdef int place_open(Reactor r, int fd, uint32_t index, bint everywhere) noexcept nogil
# Closes the sockets of this index (< 0: of all), or only the one with `fd` (< 0: all of them).
cdef void place_leave(Reactor r, long index, int fd) noexcept nogil
# Uses the listeners and rules of the tables that were installed. The flows of changed rules are compared with them in the
# next turns. True: there are such flows.
cdef bint places_follow(Reactor r) noexcept nogil
# Closes a socket; the flows of a place without sockets end in the next turns.
cdef void place_close(Reactor r, Connection *c) noexcept nogil
