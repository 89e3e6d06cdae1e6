# What is done with mirrors (mirror.pxd): begun, given the request's bytes, and followed to their end.

from libc.stdint cimport uint32_t

from fastroute.ext.connection cimport Connection
from fastroute.ext.exchange cimport Exchange
from fastroute.ext.reactor cimport Reactor


# Begins a mirror for each of `r.copies`, with the `size` bytes of body that came with the head.
cdef void mirrors_begin(Reactor r, Exchange *x, const char *body, uint32_t size) noexcept nogil
# Gives every mirror of the exchange a piece of the body, `x.request_body` being behind it already.
cdef void mirrors_feed(Reactor r, Exchange *x, const char *data, uint32_t size) noexcept nogil
# The exchange ends: mirrors that miss a part of the body are cut off.
cdef void mirrors_leave(Reactor r, Exchange *x) noexcept nogil
# Whatever can go on now at the mirror `u`, after an event of it. It may be closed, or in a pool, afterwards.
cdef void mirror_advance(Reactor r, Connection *u) noexcept nogil
# Its deadline has passed.
cdef void mirror_expired(Reactor r, Connection *u) noexcept nogil
# Cuts it off.
cdef void mirror_close(Reactor r, Connection *u) noexcept nogil
