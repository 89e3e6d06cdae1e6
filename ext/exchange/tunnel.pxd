# An exchange whose upstream has switched protocols (101, RFC 9110 section 7.8): bytes both ways, uninterpreted.

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.sides.arrival cimport Arrival


# Sends the 101 of the arrival, after filters, and the bytes that followed it to the client. Returns a Verdict.
cdef int tunnel_begin(Reactor r, Connection *c, Exchange *x, Connection *u, const Arrival *arrival) noexcept nogil
# Relays what is possible now. Returns a Verdict.
cdef int tunnel_advance(Reactor r, Connection *c, Exchange *x) noexcept nogil
# Called when the deadline of the client's connection has passed. Returns a Verdict.
cdef int tunnel_expired(Reactor r, Connection *c, Exchange *x) noexcept nogil
