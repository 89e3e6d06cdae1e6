# Why a connection to an endpoint could not be established, and whether the endpoint is the cause.

from libc.stdint cimport uint16_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.routing.tables cimport Endpoint


# The LocalReason for which a connection in STATE_CONNECTING was not established; NULL: it could not even be started.
cdef uint16_t upstream_fault(const Connection *u) noexcept nogil
# No connection `u` (NULL: it has gone) to the endpoint could be established. If TLS was what failed, this depends on the
# pool key: the endpoint is avoided only if all backends that list it have this key. Returns whether the try failed because
# of the endpoint: not if the handshake of `u` still waits for its turn in the gateway.
cdef bint note_failure(Reactor r, const Connection *u, Endpoint *endpoint) noexcept nogil
# Whether the handshake of `u` waits for its turn in the gateway, and not for the endpoint.
cdef bint waits_for_gateway(Reactor r, const Connection *u) noexcept nogil
# The handshake of `u` has failed: keeps the cause, for Engine.faults.
cdef void note_fault(Reactor r, const Connection *u) noexcept nogil
# The connection `p`, which carries streams, could not be established: keeps the cause for each of them.
cdef void note_faults(Reactor r, Connection *p) noexcept nogil
