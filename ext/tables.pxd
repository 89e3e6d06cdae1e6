# The installed tables: what a worker routes by. Immutable once installed; counted by the exchanges that use them.
#
# A Tables is one version's whole routing state. Rules are shared between versions: an unchanged rule keeps its Rule
# (and its Choice, so weights go on where they were). Backends and Endpoints are the live part: they belong to the
# worker, are named by id, and change under EndpointUpdates without touching any Rule.
# Everything here is touched by the worker's one thread only, so counts are plain integers.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.slice cimport Slice


cdef enum LocalReason:          # why we answered by ourselves; names in tables.pyx (REASONS), for log and metrics
    REASON_NONE = 0             # tables.pyx owns the list: no_listener, no_rule, reference_refused, backend_not_found,
                                # no_endpoint, connect_failed, upstream_closed, request_timeout, redirect, ...

cdef struct Endpoint:           # one address; shared by every backend that lists it, so health is shared too
    uint32_t refs
    uint16_t family             # AF_INET or AF_INET6
    uint16_t port
    uint8_t address[16]         # network order; 4 bytes used for IPv4
    char label[56]              # "10.0.0.1:8080" or "[::1]:8080", zero-terminated: for the log
    uint32_t in_flight          # requests being served by it, from this worker
    uint32_t connections        # sockets open to it, idle ones included
    uint32_t idle_head          # index of its first idle upstream connection in the engine's slab; 0 is none
    uint32_t idle_count
    uint32_t failures           # connect failures in a row
    uint64_t avoided_until      # engine milliseconds; before that it is picked only when there is nothing else
    bint gone                   # no backend lists it any more: idle connections are closed, others not reused

cdef struct Backend:            # Service + port
    uint32_t refs
    Slice name                  # "ns/name:port"
    Endpoint **endpoints        # those eligible now (ready, or serving while terminating when none is ready)
    uint32_t count

cdef struct Choice              # weighted choice among a rule's backendRefs: balancer.pxd
cdef struct FilterChain         # filters.pxd

cdef struct Target:             # one backendRef of a rule
    Backend *backend            # NULL: the share is answered locally
    uint16_t status             # with NULL: 500
    uint16_t reason             # LocalReason, with NULL
    uint32_t weight
    FilterChain *filters        # of the backendRef; NULL when none
    uint32_t series             # slot of http_requests_total in the counters

cdef struct Rule:
    uint32_t refs
    Slice id
    Slice gateway               # "ns/name"
    Slice listener
    Slice route                 # "ns/name"
    Slice route_kind
    Slice name                  # its name, or its index
    FilterChain *filters        # NULL when none
    uint32_t request_timeout    # milliseconds, 0: none
    uint32_t backend_timeout    # milliseconds, 0: none
    Choice *choice
    Target *targets
    uint32_t targets_count
    uint32_t local_series       # slot for answers before a backend was chosen (redirects, 500 without backends)
    uint32_t duration_series    # slot of http_request_duration_seconds

cdef void rule_ref(Rule *rule) noexcept nogil
cdef void rule_unref(Rule *rule) noexcept nogil         # frees at zero, and drops what it holds
cdef void backend_ref(Backend *backend) noexcept nogil
cdef void backend_unref(Backend *backend) noexcept nogil
cdef void endpoint_ref(Endpoint *endpoint) noexcept nogil
cdef void endpoint_unref(Endpoint *endpoint) noexcept nogil
cdef const char *reason_name(int reason) noexcept nogil

cdef struct Routes              # router.pyx's own: the flat lookup structure

cdef class Tables:              # one installed version; made by TableBuilder, in slices
    cdef Routes *routes
    cdef readonly object version
