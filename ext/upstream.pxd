# Connections to endpoints: opening them, and the pool of idle ones that each endpoint has.
#
# A pool is a list through the slab (Endpoint.idle_head, Connection.next), last in, first out: the connection used last
# is the likeliest to be alive, and those at the end grow old enough to be closed.

from libc.stdint cimport uint8_t

from fastroute.ext.connection cimport Connection
from fastroute.ext.head cimport Head
from fastroute.ext.reactor cimport Reactor
from fastroute.ext.tables cimport Endpoint


cdef enum:
    POOL_MOST = 512             # idle connections of one endpoint
    HELD_MOST = 256             # of these, after which none is pooled that is held
    HELD_TIME = 1000            # milliseconds: longer than a lost packet takes to be sent again

# An idle connection of the pool, in STATE_ACTIVE, for a request of `method` (MethodName); NULL when there is none. With
# `certainly` one that is not known to be dead: its socket is asked (for requests that must not be sent twice).
cdef Connection *upstream_reuse(Reactor r, Endpoint *endpoint, uint8_t method, bint certainly) noexcept nogil
# Notes the final head of an answer on `u`. A body that was stated and must not follow (`withheld`: after HEAD, or in a
# 304) may follow all the same, and would be read as the next answer. So the connection is `held`: its socket is asked
# before it is used again, and after HEAD only further HEAD requests use it for HELD_TIME.
cdef void upstream_note(Reactor r, Connection *u, const Head *head) noexcept nogil
# Starts a connection: STATE_CONNECTING, or STATE_ACTIVE when it stood at once. NULL when it cannot
# even be tried (if that is the endpoint's fault, it is noted against it).
cdef Connection *upstream_connect(Reactor r, Endpoint *endpoint) noexcept nogil
# Whether a connection that was being made stands now: 1 (it is STATE_ACTIVE from here), 0 not yet, -1 it failed.
cdef int upstream_connected(Reactor r, Connection *u) noexcept nogil
# Puts an active connection back into its endpoint's pool, or closes it when it is not wanted there.
cdef void upstream_release(Reactor r, Connection *u) noexcept nogil
cdef void upstream_close(Reactor r, Connection *u) noexcept nogil
# Asks the socket itself whether it is open and has nothing to say (an event may be on its way, or out of date).
cdef bint upstream_is_quiet(const Connection *u) noexcept nogil
# Closes the idle connections of an endpoint that left.
cdef void upstream_forget(Reactor r, Endpoint *endpoint) noexcept nogil
