# Endpoints: one address each, with its health and its idle connections.
#
# Every backend that lists an address shares its Endpoint, and so its health and its number of requests in flight. Idle
# connections are shared only by backends with equal pool keys: they belong to an IdlePool, one for each endpoint and
# key (see pools).

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.list cimport List
from fastroute.ext.routing.poolkey cimport PoolKey


cdef struct IdlePool:           # the idle connections to one endpoint that are exchangeable
    PoolKey *key                # holds a reference; NULL: this pool does not exist
    IdlePool *next_unused         # list of pools whose connections must be closed (Pools.unused)
    uint32_t listed             # number of backends with this key that list the endpoint; 0: none may use it
    List idle                   # its connections, in the engine's slab; the one that was used last is the last
    uint32_t count              # idle connections
    uint8_t other               # this is an OtherPool
    uint8_t unused              # in the list of next_unused

cdef struct Endpoint:
    IdlePool pool               # the first one; must be the first member
    uint32_t refs
    uint16_t family             # AF_INET or AF_INET6
    uint16_t port
    uint8_t address[16]         # network order; 4 bytes used for IPv4
    uint64_t identity           # the same for this address and port in every process
    char label[55]              # "10.0.0.1:8080" or "[::1]:8080", zero-terminated: for the log
    uint8_t probed              # one request tests whether it accepts connections again
    List parents                # its upstream connections that carry streams, with any key
    uint32_t streams            # how many a connection may carry, as the newest one has said; UINT32_MAX: unknown
    uint32_t in_flight          # requests in flight to it, from this worker
    uint32_t failures           # consecutive connect failures; see balancer
    uint64_t avoided_until      # engine milliseconds; before that it is chosen only if there is no other endpoint
    uint64_t listing            # number of the last Listing that has it
    uint32_t listed             # number of backends that list it
    uint8_t datagrams           # of UDP: other than the endpoint of TCP with this address and port
    List flows                  # of datagrams (reactor/flow.pxd); in_flight counts them
    uint8_t is_left             # in the list of next_left
    uint32_t unchecked          # how many of the first flows may belong to backends that do not list it any more
    Endpoint *next_left         # list of endpoints with such flows (Upstreams.left)

cdef struct OtherPool:          # a further pool of an endpoint; in the hash table of Pools
    IdlePool pool               # must be the first member
    Endpoint *endpoint          # holds a reference
    OtherPool *next             # with the same hash

# The address and port as bytes in network order, and one more byte for UDP. Raises ValueError if they are invalid.
cdef bytes endpoint_packed(str address, int port, bint datagrams)
# The bytes that endpoint_packed returned for it.
cdef bytes endpoint_packed_of(const Endpoint *endpoint)
# A new endpoint with one reference, listed by no backend.
cdef Endpoint *endpoint_new(bytes packed) except NULL
cdef void endpoint_ref(Endpoint *endpoint) noexcept nogil
cdef void endpoint_unref(Endpoint *endpoint) noexcept nogil     # frees at zero
