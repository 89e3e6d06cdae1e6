# Who gets the request: a backendRef by weight, exactly; then an endpoint of it, the less busy of two random ones.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.backends cimport Backend, Endpoint


cdef struct Choice:             # counted, so that an unchanged rule keeps it over an install
    uint32_t refs
    uint32_t count
    uint64_t left               # picks until the period (sum of weights / their gcd) is over
    uint32_t *weights           # divided by their gcd
    uint32_t *taken             # picks of each in this period

# `random` decides the phase. NULL: no memory.
cdef Choice *choice_new(const uint32_t *weights, uint32_t count, uint64_t random) noexcept nogil
cdef void choice_unref(Choice *choice) noexcept nogil
# Index of the backendRef that gets this request; -1 when all weights are 0 or there are none (Rule.reason says which).
cdef int choose_target(Choice *choice) noexcept nogil
# An endpoint for the request, none of `tried`; NULL when there is none left. `now` in engine milliseconds. `random` is
# the state of random.pxd.
cdef Endpoint *choose_endpoint(Backend *backend, Endpoint **tried, uint32_t tried_count, uint64_t now,
                               uint64_t *random) noexcept nogil
# Whether a session's endpoint may be asked: not while it is avoided.
cdef bint hold_endpoint(Endpoint *endpoint, uint64_t now) noexcept nogil
# Passive health. Failed: a connection to it was refused or timed out; it is avoided for 1 s, then 2, 4 ... 30 s (with
# jitter), and then tried by one request a second until one gets through. Succeeded: a connection was established.
cdef void endpoint_failed(Endpoint *endpoint, uint64_t now, uint64_t *random) noexcept nogil
cdef void endpoint_succeeded(Endpoint *endpoint) noexcept nogil
