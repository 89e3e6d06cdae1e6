# Listening sockets of TCP: accepting connections, and pausing when there is no room.
#
# Level-triggered, unlike all other descriptors: a queue that is not emptied is reported again. Each visit accepts about
# as many connections as the one before found, so that a quiet listener avoids the accept4 call that returns EAGAIN.
#
# If all connections are in use and a client waits, another connection ends (crowd.pxd). If none may end, a listener with
# waiting clients is added to a list, its events are switched off, and it tries again after PAUSE. When there is room
# again, the first listeners of the list accept. So the work after a client has left does not depend on the number of
# listeners.

from libc.stdint cimport uint32_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


# Takes over a listening socket; `index` is its index in Reactor.sockets. Returns 0, or -1 with errno.
cdef int listener_open(Reactor r, int fd, uint32_t index) noexcept nogil
# Accepts queued connections, within bounds. A leaving listener closes when its queue is empty.
cdef void listener_accept(Reactor r, Connection *listener) noexcept nogil
# Accepts the queued connections, then closes.
cdef void listener_leave(Reactor r, Connection *listener) noexcept nogil
# Closes it at once.
cdef void listener_close(Reactor r, Connection *listener) noexcept nogil
# Accepts connections from some of the listeners that wait.
cdef void listeners_resume(Reactor r) noexcept nogil
# Handles an expired deadline: makes room for a client, or accepts the rest of the queue of a leaving listener.
cdef void listener_expired(Reactor r, Connection *listener) noexcept nogil

cdef inline bint has_room(Reactor r) noexcept nogil:
    """Whether another client connection can be accepted."""
    return r.downstreams < r.max_connections and r.milliseconds >= r.paused_until

cdef inline bint listeners_can_resume(Reactor r) noexcept nogil:
    """Whether there is room, and listeners wait."""
    return r.paused.first != 0 and has_room(r)
