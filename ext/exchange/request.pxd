# A request on its way from the client to an endpoint: matching, filters, sending the head, relaying the body.

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.sides.arrival cimport Arrival


# Begins the exchange for the head that has arrived, with the body bytes that came with it. Returns a Verdict.
cdef int request_begin(Reactor r, Connection *c, Exchange *x, Arrival *arrival) noexcept nogil
# Relays one piece of the request body. Returns a Verdict.
cdef int request_relay(Reactor r, Connection *c, Exchange *x, Connection *u) noexcept nogil
# Answers a request whose head or body was refused (a Refusal). Returns a Verdict.
cdef int request_refused(Reactor r, Connection *c, Exchange *x, int refusal) noexcept nogil
