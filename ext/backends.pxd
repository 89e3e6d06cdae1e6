# Who can be forwarded to: backends and their endpoints, the live part of the tables.
#
# A Backend is a Service's port, an Endpoint one address of it. Both are named by id, shared by all versions of the
# tables, and change under endpoint updates without touching a rule. An Endpoint is shared by every backend that lists
# its address, so what is learnt about its health is learnt once. One thread touches them: counts are plain integers.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.slice cimport Slice


cdef struct Endpoint:           # one address
    uint32_t refs
    uint32_t listed             # by how many backends
    uint16_t family             # AF_INET or AF_INET6
    uint16_t port
    uint8_t address[16]         # network order; 4 bytes used for IPv4
    uint64_t identity           # the same for this address and port in every process
    char label[56]              # "10.0.0.1:8080" or "[::1]:8080", zero-terminated: for the log
    uint32_t in_flight          # requests being served by it, from this worker
    uint32_t connections        # sockets open to it, idle ones included
    uint32_t idle_head          # index of its first idle upstream connection in the engine's slab; 0 is none
    uint32_t idle_count
    uint32_t failures           # connect failures in a row; see balancer
    uint64_t avoided_until      # engine milliseconds; before that it is picked only when there is nothing else
    bint probed                 # one request tries whether it is well again
    bint gone                   # no backend lists it any more: idle connections are closed, others not reused
    Endpoint *next_gone         # list of those that take_gone has not given out yet

cdef struct Backend:            # Service + port
    uint32_t refs
    uint32_t count
    Slice name                  # "ns/name:port"; in this block
    uint32_t mask               # of `places`, less than a power of two by one
    uint32_t *places            # hash table of `endpoints` by identity: index + 1, 0 is free; NULL without endpoints
    Endpoint **endpoints        # those eligible now (ready, or serving while terminating when none is ready)

cdef void backend_ref(Backend *backend) noexcept nogil
cdef void backend_unref(Backend *backend) noexcept nogil        # frees at zero
cdef void endpoint_ref(Endpoint *endpoint) noexcept nogil
cdef void endpoint_unref(Endpoint *endpoint) noexcept nogil     # frees at zero

# The eligible endpoint of this identity, in constant time; NULL when there is none.
cdef Endpoint *backend_find(const Backend *backend, uint64_t identity) noexcept nogil

cdef class Upstreams:
    cdef dict backends          # id -> Listed, which holds a reference
    cdef dict endpoints         # address and port as bytes -> Known, which holds a reference while one lists it
    cdef Py_ssize_t enough      # backends in the book before it is looked through for those nobody names
    cdef Endpoint *gone         # list by next_gone; the list holds a reference to each
    # The backend of this id, made without endpoints if there is none yet. Borrowed: take a reference to keep it.
    cdef Backend *backend(self, str id) except NULL
    cdef int tidy(self) except -1       # sweeps when it may be worth it: a constant cost per backend that came
    # One endpoint that left every backend, with a reference that is now the caller's: close its idle connections, then
    # endpoint_unref. NULL when there is none. To be emptied after every call into Upstreams (`gone` says whether).
    cdef Endpoint *take_gone(self) noexcept nogil
