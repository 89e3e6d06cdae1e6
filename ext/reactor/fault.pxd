# What ends a connection or a stream of a client without an exchange, or before it: a line of the access log each.

from libc.stdint cimport uint16_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


# Logs that the connection `c` of a client ended for `reason`. `version`: Version; VERSION_UNKNOWN: no protocol was agreed.
cdef void fault_log(Reactor r, const Connection *c, int version, const char *reason) noexcept nogil
# Counts and logs that a connection for TLSRoutes ended before its route was found, for a LocalReason. `name`: the server name
# that it asks for; empty: none, or not known.
cdef void fault_route(Reactor r, const Connection *c, uint16_t reason, Slice name) noexcept nogil
# Counts and logs what a client of HTTP/2 did on its connection `p`. `failure`: Http2Failure.
cdef void fault_note(Reactor r, const Connection *p, int failure) noexcept nogil
