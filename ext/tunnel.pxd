# What an exchange becomes when its upstream switches protocols (101, RFC 9110 section 7.8): bytes both ways, unread.

from libc.stdint cimport uint32_t

from fastroute.ext.connection cimport Connection
from fastroute.ext.exchange cimport Exchange
from fastroute.ext.reactor cimport Reactor


# Sends the filtered 101 in `r.head` to the client, with the `size` bytes at `data` that came behind it. Returns a Verdict.
cdef int tunnel_begin(Reactor r, Connection *c, Exchange *x, Connection *u, char *data, uint32_t size) noexcept nogil
# Whatever can go on now. Returns a Verdict.
cdef int tunnel_advance(Reactor r, Connection *c, Exchange *x) noexcept nogil
# The deadline of the client's connection has passed. Returns a Verdict.
cdef int tunnel_expired(Reactor r, Connection *c, Exchange *x) noexcept nogil
