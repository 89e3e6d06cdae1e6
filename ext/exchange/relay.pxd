# Advances an exchange in both directions, by at most one read each way.

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


# Called after any event of the client's connection or of the upstream's. Returns a Verdict. If more can be done at
# once, the connection has been queued.
cdef int exchange_advance(Reactor r, Connection *c) noexcept nogil
# Called when the deadline of the client's connection (`u` is NULL) or of the upstream's has passed. Returns a Verdict.
cdef int exchange_expired(Reactor r, Connection *c, Connection *u) noexcept nogil
