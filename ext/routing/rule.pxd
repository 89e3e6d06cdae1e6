# A rule of a route as attached to a listener: which requests it accepts, and what happens to them.
#
# Immutable, reference-counted, and in one pool with all its strings; shared by all versions of the tables in which it
# is unchanged. Exchanges in flight hold a reference. When the count is zero, the rule is added to the graveyard
# (graveyard.pxd).

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.graveyard cimport Grave, bury
from fastroute.ext.memory.pool cimport Pool
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.routing.backends cimport Backend, Upstreams
from fastroute.ext.routing.balancer cimport Choice
from fastroute.ext.routing.chain cimport FilterChain
from fastroute.ext.routing.regex cimport Pattern
from fastroute.ext.routing.retry cimport Retry
from fastroute.ext.routing.session cimport Session


cdef enum PathType:             # in the order in which they are tried
    PATH_EXACT = 0
    PATH_PREFIX
    PATH_REGEX

cdef enum:
    BEGINNING_MOST = 63

cdef struct Rule

cdef struct ValueTest:          # of a header (name in lower case) or query parameter
    Slice name
    Slice value                 # unused if there is a pattern
    Pattern *pattern            # NULL: the value must be equal

cdef struct Match:
    Rule *rule                  # to which it belongs
    uint32_t index              # index in the rule
    uint8_t path_type           # PathType
    Slice path                  # "/a/b": exact path or prefix (a prefix has no final slash: "" is every path)
    Pattern *pattern            # for PATH_REGEX
    Slice method                # empty: any; of a rule with `calls`: the method of gRPC
    ValueTest *headers
    ValueTest *query
    uint16_t headers_count
    uint16_t query_count
    Slice beginning             # for PATH_REGEX: a prefix of every path that matches, at most BEGINNING_MOST bytes
    Slice rank                  # bytes that sort like the ranks of matches: the smallest is tried first

cdef struct Target:             # one backendRef of a rule
    Backend *backend            # NULL: answered locally
    Slice name                  # "ns/name:port", also if it is refused: for the log
    uint16_t status             # if backend is NULL: 500
    uint16_t reason             # LocalReason, if backend is NULL
    uint32_t weight
    uint32_t mark               # identifies the backend in session tokens
    FilterChain *filters        # of the backendRef; NULL if there are none
    uint32_t series             # slot of http_requests_total in the counters
    uint32_t upstream_series    # slot of upstream_request_duration_seconds; 0: it has none

cdef struct Rule:
    Grave grave                 # reference count, and position in the graveyard
    Slice id
    Slice gateway               # "ns/name"
    Slice listener
    Slice route                 # "ns/name"
    Slice route_kind
    Slice name                  # its name, or its index
    FilterChain *filters        # NULL if there are none
    uint32_t request_timeout    # milliseconds, 0: none
    uint32_t backend_timeout    # milliseconds, 0: none
    Session *session            # NULL: none
    Retry *retry                # NULL: only requests that no backend can have noticed are retried
    Choice *choice
    Target *targets
    uint32_t targets_count
    uint8_t calls               # takes only calls of gRPC, before the rules for all requests
    uint16_t owner              # the namespace of the route (owner.pxd)
    uint16_t reason             # LocalReason if choose_target returns -1: no_backend_refs or zero_weights (500)
    uint32_t local_series       # slot for answers before a backend was chosen (redirects, 500 without backends)
    uint32_t duration_series    # slot of http_request_duration_seconds
    Match *matches
    uint32_t matches_count
    Pool pool                   # all of its memory

# A rule that is made in steps, by `drafting`, with one reference and without a choice, which the tables add.
cdef class Draft:
    cdef Rule *rule
    cdef list expressions       # the addresses of what has a regular expression: (ValueTest or Match, whether a Match)
    cdef uint32_t work          # since the last step, in small operations

cdef void rule_ref(Rule *rule) noexcept nogil
cdef void rule_unref(Rule *rule) noexcept nogil         # added to the graveyard at zero
