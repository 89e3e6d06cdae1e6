# Who gets the request: a backendRef by weight, exactly; then an endpoint of it, the less busy of two random ones.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.tables cimport Backend, Endpoint


cdef struct Choice:             # counted, so that an unchanged rule keeps it over an install
    uint32_t refs
    uint32_t count
    uint64_t left               # picks until the period (sum of weights / their gcd) is over
    uint32_t *weights           # divided by their gcd
    uint32_t *taken             # picks of each in this period

cdef Choice *choice_new(const uint32_t *weights, uint32_t count, uint64_t random) noexcept nogil   # NULL: no memory
cdef void choice_unref(Choice *choice) noexcept nogil
# Index of the backendRef that gets this request; -1 when all weights are 0 or there are none.
cdef int choose_target(Choice *choice) noexcept nogil
# An endpoint for the request, none of `tried`; NULL when there is none left. `now` in engine milliseconds.
cdef Endpoint *choose_endpoint(Backend *backend, Endpoint **tried, uint32_t tried_count, uint64_t now,
                               uint64_t *random) noexcept nogil
