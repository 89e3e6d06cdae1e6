# Listening sockets: accepting, and knowing when not to.
#
# Level-triggered, unlike all others: a queue that is not emptied in one visit announces itself again. Each visit takes
# about as many as the last one found, so that a quiet listener costs no call that only says "none left".

from libc.stdint cimport uint32_t

from fastroute.ext.connection cimport Connection
from fastroute.ext.reactor cimport Reactor


# Takes over a listening socket; `index` is its place in Reactor.sockets. Returns 0, or -1 with errno.
cdef int listener_open(Reactor r, int fd, uint32_t index) noexcept nogil
# Accepts what is queued, within bounds. A leaving listener closes when its queue is empty.
cdef void listener_accept(Reactor r, Connection *listener) noexcept nogil
# Accepts what is still queued, then closes.
cdef void listener_leave(Reactor r, Connection *listener) noexcept nogil
# Back to accepting, after max_connections was reached or descriptors ran out.
cdef void listeners_resume(Reactor r) noexcept nogil
