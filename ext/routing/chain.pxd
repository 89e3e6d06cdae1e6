# The filters of a rule or backendRef as a flat list of steps, in listed order. Immutable.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastroute.ext.memory.pool cimport Pool
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.routing.backends cimport Backend, Upstreams
from fastroute.ext.routing.cors cimport Cors


cdef enum StepType:
    STEP_SET = 0
    STEP_ADD
    STEP_ADD_LINE               # as a separate field line
    STEP_REMOVE
    STEP_REWRITE
    STEP_REDIRECT
    STEP_CORS
    STEP_MIRROR

cdef enum PathChange:
    PATH_KEPT = 0
    PATH_FULL
    PATH_PREFIX

cdef struct Step:
    uint8_t type                # StepType
    uint8_t response            # of a header step: it changes responses
    Cors *cors                  # of STEP_CORS; in the chain's pool
    uint8_t path_change         # PathChange
    uint16_t status             # of a redirect
    uint16_t port               # of a redirect; 0: not given
    Backend *backend            # of a mirror; holds a reference
    uint32_t numerator          # of a mirror: its share of the requests, numerator / denominator
    uint32_t denominator
    Slice name                  # of a header step, as written
    Slice lower                 # the same in lower case
    Slice value                 # of a header step
    Slice separator             # of STEP_ADD
    Slice scheme                # of a redirect; empty: the scheme of the request
    Slice hostname              # of a rewrite or redirect; empty: the host of the request
    Slice path                  # the full path, or the replacement of the prefix (then without trailing slashes)

cdef struct FilterChain:
    Pool pool
    Step *steps
    uint32_t count
    bint changes_responses      # at least one header step changes responses

# Creates the chain for the filters of a snapshot; NULL if there are none. `upstreams` provides the backends of mirrors.
# MemoryError.
cdef FilterChain *filters_new(tuple filters, Upstreams upstreams) except? NULL
cdef void filters_free(FilterChain *chain) noexcept nogil
# Whether the chain, which may be NULL, has a CORS filter.
cdef bint filters_share(const FilterChain *chain) noexcept nogil
# Whether a header modifier for requests (or for responses) names this field, without regard to case. '_' equals '-'.
cdef bint filters_name(const FilterChain *chain, bint response, const char *name, uint32_t size) noexcept nogil
