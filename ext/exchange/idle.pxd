# Idle connections to backends: the questions whose answers depend on the protocol. One row for each protocol without
# streams; a connection with streams is not in a pool.

from libc.stdint cimport uint8_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


# Whether it may carry a request of `method` (MethodName) now. No system call.
cdef bint idle_takes(Reactor r, const Connection *u, uint8_t method) noexcept nogil
# Whether it is usable for a request. With `certainly`, the request must not be sent twice: looks at what has arrived.
cdef bint idle_is_usable(Reactor r, Connection *u, bint certainly) noexcept nogil
# Something may have arrived (`readable`) although no request is in progress. Whether the connection stays usable.
cdef bint idle_stays(Reactor r, Connection *u) noexcept nogil
