# One visit of a connection that has work to do.

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


# Does what is possible now, in about the time of one read in each direction; queues the connection if there is more.
cdef void visit(Reactor r, Connection *c) noexcept nogil
# Handles the expired deadline of a parent.
cdef void parent_expired(Reactor r, Connection *p) noexcept nogil
# Closes a connection of a client or to a backend, with its streams if it is a parent.
cdef void parent_close(Reactor r, Connection *p) noexcept nogil
# Lets a parent end: no more streams, and a close after the last one.
cdef void parent_drain(Reactor r, Connection *p) noexcept nogil
