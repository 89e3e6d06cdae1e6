# Connections to endpoints: opening them, and the pools of idle ones, for each endpoint and pool key (routing/pools). With a
# protocol that has streams, these functions open and end streams, and the connections that carry them are in a list of
# their endpoint (Endpoint.parents).
#
# A pool is a list through the slab (IdlePool.idle, Connection.link), last in, first out: the connection that was used
# last is the most likely to be alive, and those at the end become old enough to be closed. All idle connections of the
# engine are in a second list, by age (reactor/resting).

from libc.stdint cimport uint8_t, uint16_t

from fastroute.ext.message.message cimport Message
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.routing.poolkey cimport PoolKey
from fastroute.ext.routing.tables cimport Endpoint


cdef enum:
    POOL_MOST = 512             # idle connections of one pool
    HELD_MOST = 256             # idle connections from which on held ones are not pooled
    HELD_TIME = 1000            # milliseconds: longer than the retransmission of a lost packet takes

cdef enum Opening:              # of a connection in STATE_CONNECTING
    OPENING_GOES_ON = 0
    OPENING_DONE                # it is established, and in STATE_ACTIVE
    OPENING_FAILED

cdef enum Obstacle:             # why a connection could not even be started
    OBSTACLE_ENDPOINT           # it cannot be reached; this is counted as its failure
    OBSTACLE_ROOM               # no local port, or too many connections to it; there may be room for another endpoint
    OBSTACLE_DESCRIPTOR         # no descriptor or memory, whatever the endpoint

# Takes an idle connection with this key from its pool, in STATE_ACTIVE, for a request of `method` (MethodName); NULL if
# there is none. It is charged to the namespace `payer`, but a connection that carries streams stays charged to the namespace
# that opened it. With `certainly` it is checked first, for requests that must not be sent twice. Unusable ones are closed,
# but only a few: then it returns NULL.
cdef Connection *upstream_reuse(Reactor r, Endpoint *endpoint, PoolKey *key, uint8_t method,
                                bint certainly, uint16_t payer) noexcept nogil
# Notes the final head of an answer on `u`. A body that was stated but must not follow (after HEAD, or in a 304) may
# follow nevertheless, and would be read as the next answer. So the connection is `held`: its socket is checked
# before it is reused, and after HEAD only HEAD requests use it for HELD_TIME.
cdef void upstream_note(Reactor r, Connection *u, const Message *message) noexcept nogil
# Starts a connection: STATE_CONNECTING, or STATE_ACTIVE if it was established at once. NULL with `obstacle` if it could not
# be started. `payer`: the namespace of the route, to which its handshake and its descriptor are charged.
cdef Connection *upstream_connect(Reactor r, Endpoint *endpoint, PoolKey *key, uint16_t payer,
                                  Obstacle *obstacle) noexcept nogil
# Sets the options of a connection whose bytes are passed on unread, before the second write: the first one needs none, and
# many connections have no other.
cdef void upstream_tune(Connection *u) noexcept nogil
# The Protocol of the Messages on connections with this key.
cdef uint8_t upstream_speaks(const PoolKey *key) noexcept nogil
# Whether a connection in STATE_CONNECTING is established: with TLS, if its pool key requires that.
cdef Opening upstream_connected(Reactor r, Connection *u) noexcept nogil
# Puts an active connection back into its pool, or closes it if it cannot be pooled.
cdef void upstream_release(Reactor r, Connection *u) noexcept nogil
cdef void upstream_close(Reactor r, Connection *u) noexcept nogil
# Closes a few of the idle connections that no backend may use any more (Pools.unused).
cdef void upstream_forget(Reactor r) noexcept nogil
# Whether a backend may still use a connection that carries streams.
cdef bint upstream_is_listed(Reactor r, const Connection *p) noexcept nogil
