# An exchange whose upstream has switched protocols (101, RFC 9110 section 7.8): bytes both ways, uninterpreted.

from libc.stdint cimport uint32_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor


# Sends the 101 in `r.head`, after filters, and the `size` bytes at `data` that followed it to the client. Returns a
# Verdict.
cdef int tunnel_begin(Reactor r, Connection *c, Exchange *x, Connection *u, char *data, uint32_t size) noexcept nogil
# Relays what is possible now. Returns a Verdict.
cdef int tunnel_advance(Reactor r, Connection *c, Exchange *x) noexcept nogil
# Called when the deadline of the client's connection has passed. Returns a Verdict.
cdef int tunnel_expired(Reactor r, Connection *c, Exchange *x) noexcept nogil
