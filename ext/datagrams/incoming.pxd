# Datagrams of clients: each goes to the endpoint of its flow.

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


# Reads some datagrams from a socket of a place, and passes them on. If more wait, the socket is reported again.
cdef void incoming_read(Reactor r, Connection *c) noexcept nogil
