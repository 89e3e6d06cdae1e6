# Pools of idle connections: one for each endpoint and pool key with which backends list it.
#
# So a connection is reused only by requests to backends with its key. Almost always all backends that list an endpoint
# have the same key. So the first pool is part of the Endpoint, and needs no look-up; the other ones are in a hash table.
# A pool exists while a backend lists its endpoint with its key, and then until its idle connections are closed.
# Connections do not refer to their pool: a pool may move into the Endpoint when that is free.

from libc.stdint cimport uint32_t

from fastroute.ext.routing.endpoint cimport Endpoint, IdlePool, OtherPool
from fastroute.ext.routing.poolkey cimport PoolKey


cdef class Pools:
    cdef OtherPool **others     # the hash table; NULL until it is needed
    cdef IdlePool *unused       # list by next_unused: pools with idle connections that no backend may use any more
    # Another backend with this key lists the endpoint.
    cdef int enter(self, Endpoint *endpoint, PoolKey *key) except -1
    # One of these backends no longer lists it.
    cdef void leave(self, Endpoint *endpoint, PoolKey *key) noexcept nogil
    # A pool with idle connections that no backend may use any more: close them. NULL: there is none. Call it until NULL
    # if `unused` is not NULL.
    cdef IdlePool *first_unused(self) noexcept nogil
    # The pool in the hash table; NULL: there is none.
    cdef IdlePool *other(self, Endpoint *endpoint, const PoolKey *key) noexcept nogil
    cdef void drop(self, IdlePool *pool) noexcept nogil

cdef inline IdlePool *pool_of(Pools pools, Endpoint *endpoint, const PoolKey *key) noexcept nogil:
    """NULL: no backend with this key lists the endpoint, and no such connection is idle. Valid until the next call."""
    return &endpoint.pool if endpoint.pool.key == key else pools.other(endpoint, key)
