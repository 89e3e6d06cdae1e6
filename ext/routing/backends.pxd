# Backends and their endpoints: the live part of the tables.
#
# A Backend is a port of a Service, and lists endpoints. Both are identified by id, shared by all versions of the tables,
# and change with endpoint updates without changing a rule. Every backend that lists an address shares its Endpoint
# (endpoint.pxd), but only backends with equal pool keys share connections to it (pools.pxd). Only one thread uses them:
# reference counts are plain integers.

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.routing.budget cimport Budget
from fastroute.ext.routing.endpoint cimport Endpoint, endpoint_ref, endpoint_unref    # re-exported
from fastroute.ext.routing.poolkey cimport PoolKey, PoolKeys
from fastroute.ext.routing.pools cimport Pools


cdef struct Backend:            # Service + port
    uint32_t refs
    uint32_t count
    uint16_t owner              # its namespace (owner.pxd)
    Slice name                  # "ns/name:port"; in this block
    PoolKey *key                # of its connections; changes together with `endpoints`; holds a reference
    uint32_t mask               # number of `cells` minus 1; `cells` is a power of two
    Endpoint **cells            # hash table of `endpoints` by identity; NULL without endpoints
    Endpoint **endpoints        # eligible endpoints (ready, or serving while terminating if none is ready)
    uint32_t usable             # the others, at the end of `endpoints`, were avoided when examined; see balancer
    uint64_t examined           # endpoints that choices have examined, except pairs that fitted at the first draw
    Budget budget               # of retries

cdef void backend_ref(Backend *backend) noexcept nogil
cdef void backend_unref(Backend *backend) noexcept nogil        # frees at zero

# The eligible endpoint with this identity, in constant time; NULL if there is none.
cdef Endpoint *backend_find(const Backend *backend, uint64_t identity) noexcept nogil

cdef class Upstreams:
    cdef dict backends          # id -> Listed, which holds a reference
    cdef list endpoints         # dictionaries: address and port as bytes -> Known, which holds a reference while a
                                # backend lists it. Many small ones, because one that grows is rebuilt as a whole
    cdef PoolKeys keys
    cdef Pools pools            # after every call into Upstreams: see Pools.first_unused
    cdef Endpoint *left         # list by next_left: endpoints that a backend with flows of datagrams to them does not list
                                # any more; each has a reference. The engine ends these flows
    cdef uint64_t listings      # number of Listings so far
    cdef Py_ssize_t enough      # number of backends above which unused ones are removed
    # The backend with this id, created without endpoints if it does not exist. Borrowed: take a reference to keep it.
    cdef Backend *backend(self, str id) except NULL
