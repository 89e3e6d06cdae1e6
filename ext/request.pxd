# A request on its way from the client to an endpoint: matched, filtered, sent, and its body after it.

from libc.stdint cimport uint32_t

from fastroute.ext.connection cimport Connection
from fastroute.ext.exchange cimport Exchange
from fastroute.ext.reactor cimport Reactor


# Begins the exchange of the head in `r.head`; `rest` are the bytes that came after it. `taken` says how many of them
# belonged to the request. Returns a Verdict.
cdef int request_begin(Reactor r, Connection *c, Exchange *x, char *rest, uint32_t size,
                       uint32_t *taken) noexcept nogil
# Passes on one piece of the request's body. Returns a Verdict.
cdef int request_relay(Reactor r, Connection *c, Exchange *x, Connection *u) noexcept nogil
# Answers for a body that must not go further: broken (`taken` < 0 of body_take), or too large. Returns a Verdict.
cdef int request_refused(Reactor r, Connection *c, Exchange *x, int refusal) noexcept nogil
