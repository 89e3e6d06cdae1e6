# Load balancing: a backendRef by exact weight, then one of its endpoints, the less busy of two random ones.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.routing.backends cimport Backend, Endpoint


cdef struct Choice:             # reference-counted, so that an unchanged rule keeps it over an install
    uint32_t refs
    uint32_t count
    uint64_t left               # picks left in the period of sum(weights) / gcd(weights) picks
    uint32_t *weights           # divided by their gcd
    uint32_t *taken             # picks of each backendRef in this period

# `random` determines the phase. NULL: out of memory.
cdef Choice *choice_new(const uint32_t *weights, uint32_t count, uint64_t random) noexcept nogil
cdef void choice_unref(Choice *choice) noexcept nogil
# The index of the backendRef for this request; -1 if all weights are 0 or there are none (see Rule.reason).
cdef int choose_target(Choice *choice) noexcept nogil
# An endpoint for the request that is not in `tried`; NULL if there is none left. `now` in engine milliseconds. `random`
# is the state of random.pxd.
cdef Endpoint *choose_endpoint(Backend *backend, Endpoint **tried, uint32_t tried_count, uint64_t now,
                               uint64_t *random) noexcept nogil
# The same, but NULL if all are avoided.
cdef Endpoint *choose_usable(Backend *backend, Endpoint **tried, uint32_t tried_count, uint64_t now,
                             uint64_t *random) noexcept nogil
# Call it when a request begins to use a chosen endpoint. If the endpoint has failed before, the request may be the one
# that tests it: then this returns True.
cdef bint endpoint_used(Endpoint *endpoint, uint64_t now) noexcept nogil
# The request that should have tested it was not sent, for a reason that has nothing to do with it: the next one may test
# it at once.
cdef void endpoint_spared(Endpoint *endpoint, uint64_t now) noexcept nogil
# Passive health checks. Failed: a connection was refused or timed out; the endpoint is avoided for 1 s, then 2, 4 ...
# 30 s (with jitter), and then one request per second tests it until a connection succeeds. Succeeded: a connection was
# established.
cdef void endpoint_failed(Endpoint *endpoint, uint64_t now, uint64_t *random) noexcept nogil
cdef void endpoint_succeeded(Endpoint *endpoint) noexcept nogil
