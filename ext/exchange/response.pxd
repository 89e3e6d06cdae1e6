# A response on its way from an endpoint to the client: its heads, after filters, and its body.

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor


# Reads the upstream connection once, and relays what it received. Returns a Verdict.
cdef int response_relay(Reactor r, Connection *c, Exchange *x, Connection *u) noexcept nogil
