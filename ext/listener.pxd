# Listening sockets: accepting connections, and pausing when there is no room.
#
# Level-triggered, unlike all other descriptors: a queue that is not emptied is reported again. Each visit accepts about
# as many connections as the one before found, so that a quiet listener avoids the accept4 call that returns EAGAIN.

from libc.stdint cimport uint32_t

from fastroute.ext.connection cimport Connection
from fastroute.ext.reactor cimport Reactor


# Takes over a listening socket; `index` is its index in Reactor.sockets. Returns 0, or -1 with errno.
cdef int listener_open(Reactor r, int fd, uint32_t index) noexcept nogil
# Accepts queued connections, within bounds. A leaving listener closes when its queue is empty.
cdef void listener_accept(Reactor r, Connection *listener) noexcept nogil
# Accepts the queued connections, then closes.
cdef void listener_leave(Reactor r, Connection *listener) noexcept nogil
# Resumes accepting after max_connections was reached or descriptors ran out.
cdef void listeners_resume(Reactor r) noexcept nogil
