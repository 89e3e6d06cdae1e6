# A request on its way from the client to an endpoint: matching, filters, sending the head, relaying the body.

from libc.stdint cimport uint32_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor


# Begins the exchange for the head in `r.head`; `rest` has the bytes after it. Sets `taken` to the number of them that
# belong to the request. Returns a Verdict.
cdef int request_begin(Reactor r, Connection *c, Exchange *x, char *rest, uint32_t size,
                       uint32_t *taken) noexcept nogil
# Relays one piece of the request body. Returns a Verdict.
cdef int request_relay(Reactor r, Connection *c, Exchange *x, Connection *u) noexcept nogil
# Answers a request whose head or body was refused (a Refusal). Returns a Verdict.
cdef int request_refused(Reactor r, Connection *c, Exchange *x, int refusal) noexcept nogil
