# The client's side: a connection between its requests, and when it ends.

from libc.stdint cimport uint8_t, uint16_t

from fastroute.ext.connection cimport Connection
from fastroute.ext.reactor cimport Reactor


# Takes over a socket that a listener accepted, and reads what may be there already.
cdef void downstream_adopt(Reactor r, Connection *listener, int fd, uint16_t family, const uint8_t *address,
                           uint16_t port) noexcept nogil
# Does what can be done now; called after any event that concerns the connection, its exchange's upstream included.
cdef void downstream_advance(Reactor r, Connection *c) noexcept nogil
# Its deadline has passed, or (with `u`) that of its exchange's upstream connection.
cdef void downstream_expired(Reactor r, Connection *c, Connection *u) noexcept nogil
# Ends the connection, its exchange included.
cdef void downstream_close(Reactor r, Connection *c) noexcept nogil
