# Backends and their endpoints: the live part of the tables.
#
# A Backend is a port of a Service, an Endpoint is one address of it. Both are identified by id, shared by all versions
# of the tables, and change with endpoint updates without changing a rule. Every backend that lists an address shares
# its Endpoint, and so its health. Only one thread uses them: reference counts are plain integers.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.routing.budget cimport Budget


cdef struct Endpoint:           # one address
    uint32_t refs
    uint32_t listed             # number of backends that list it
    uint16_t family             # AF_INET or AF_INET6
    uint16_t port
    uint8_t address[16]         # network order; 4 bytes used for IPv4
    uint64_t identity           # the same for this address and port in every process
    char label[56]              # "10.0.0.1:8080" or "[::1]:8080", zero-terminated: for the log
    uint32_t in_flight          # requests in flight to it, from this worker
    uint32_t connections        # open sockets to it, including idle ones
    uint32_t idle_head          # index of its first idle upstream connection in the engine's slab; 0: none
    uint32_t idle_count
    uint32_t failures           # consecutive connect failures; see balancer
    uint64_t avoided_until      # engine milliseconds; before that it is chosen only if there is no other endpoint
    bint probed                 # one request tests whether it accepts connections again
    bint gone                   # no backend lists it any more: idle connections are closed, others are not reused
    uint64_t listing            # number of the last Listing that has it
    Endpoint *next_gone         # list of the endpoints that take_gone has not returned yet

cdef struct Backend:            # Service + port
    uint32_t refs
    uint32_t count
    Slice name                  # "ns/name:port"; in this block
    uint32_t mask               # number of `places` minus 1; `places` is a power of two
    Endpoint **places           # hash table of `endpoints` by identity; NULL without endpoints
    Endpoint **endpoints        # eligible endpoints (ready, or serving while terminating if none is ready)
    uint32_t usable             # the others, at the end of `endpoints`, were avoided when examined; see balancer
    uint64_t examined           # endpoints that choices have examined, except pairs that fitted at the first draw
    Budget budget               # of retries

cdef void backend_ref(Backend *backend) noexcept nogil
cdef void backend_unref(Backend *backend) noexcept nogil        # frees at zero
cdef void endpoint_ref(Endpoint *endpoint) noexcept nogil
cdef void endpoint_unref(Endpoint *endpoint) noexcept nogil     # frees at zero

# The eligible endpoint with this identity, in constant time; NULL if there is none.
cdef Endpoint *backend_find(const Backend *backend, uint64_t identity) noexcept nogil

cdef class Upstreams:
    cdef dict backends          # id -> Listed, which holds a reference
    cdef list endpoints         # dictionaries: address and port as bytes -> Known, which holds a reference while a
                                # backend lists it. Many small ones, because one that grows is rebuilt as a whole
    cdef uint64_t listings      # number of Listings so far
    cdef Py_ssize_t enough      # number of backends above which unused ones are removed
    cdef Endpoint *gone         # list by next_gone; the list holds a reference to each
    # The backend with this id, created without endpoints if it does not exist. Borrowed: take a reference to keep it.
    cdef Backend *backend(self, str id) except NULL
    # Returns one endpoint that left every backend, with a reference that the caller owns: close its idle connections,
    # then call endpoint_unref. NULL if there is none. Call it until NULL after every call into Upstreams (`gone` shows
    # whether it is needed).
    cdef Endpoint *take_gone(self) noexcept nogil
