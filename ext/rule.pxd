# A rule of a route as attached to a listener: what it asks of a request, and what becomes of one it takes.
#
# Immutable, counted, and one block of memory with all its strings; shared by all versions of the tables in which it is
# unchanged. Exchanges in flight hold a reference. One whose count falls to zero goes to the graveyard (graveyard.pxd).

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.backends cimport Backend, Upstreams
from fastroute.ext.balancer cimport Choice
from fastroute.ext.chain cimport FilterChain
from fastroute.ext.graveyard cimport Grave, bury
from fastroute.ext.pool cimport Pool
from fastroute.ext.regex cimport Pattern
from fastroute.ext.retry cimport Retry
from fastroute.ext.session cimport Session
from fastroute.ext.slice cimport Slice


cdef enum PathType:             # in the order in which they are tried
    PATH_EXACT = 0
    PATH_PREFIX
    PATH_REGEX

cdef struct Rule

cdef struct ValueTest:          # of a header (name in lower case) or query parameter
    Slice name
    Slice value                 # unused with `pattern`
    Pattern *pattern            # NULL: the value has to be equal

cdef struct Match:
    Rule *rule                  # the one it belongs to
    uint32_t index              # in the rule
    uint8_t path_type           # PathType
    Slice path                  # "/a/b" of an exact path or prefix (no final slash there: "" is every path)
    Pattern *pattern            # of a PATH_REGEX
    Slice method                # empty: any
    ValueTest *headers
    ValueTest *query
    uint16_t headers_count
    uint16_t query_count
    Slice rank                  # bytes that compare as the matches' ranks do: smaller is tried first

cdef struct Target:             # one backendRef of a rule
    Backend *backend            # NULL: the share is answered locally
    Slice name                  # "ns/name:port", also of a refused one: for the log
    uint16_t status             # with NULL: 500
    uint16_t reason             # LocalReason, with NULL
    uint32_t weight
    uint32_t mark               # how session tokens name it
    FilterChain *filters        # of the backendRef; NULL when none
    uint32_t series             # slot of http_requests_total in the counters

cdef struct Rule:
    Grave grave                 # the count of references, and its place in the graveyard
    Slice id
    Slice gateway               # "ns/name"
    Slice listener
    Slice route                 # "ns/name"
    Slice route_kind
    Slice name                  # its name, or its index
    FilterChain *filters        # NULL when none
    uint32_t request_timeout    # milliseconds, 0: none
    uint32_t backend_timeout    # milliseconds, 0: none
    Session *session            # NULL: none
    Retry *retry                # NULL: nothing is retried but what no backend can have noticed
    Choice *choice
    Target *targets
    uint32_t targets_count
    uint16_t reason             # LocalReason when choose_target gives -1: no_backend_refs or zero_weights (500)
    uint32_t local_series       # slot for answers before a backend was chosen (redirects, 500 without backends)
    uint32_t duration_series    # slot of http_request_duration_seconds
    Match *matches
    uint32_t matches_count
    Pool pool                   # where all of it lies

# From a snapshot.Rule and its RuleSlots, with one reference and without a choice: tables give it that.
# Raises ValueError for a regular expression that RE2 refuses, MemoryError.
cdef Rule *rule_new(source, slots, Upstreams upstreams) except NULL
cdef void rule_ref(Rule *rule) noexcept nogil
cdef void rule_unref(Rule *rule) noexcept nogil         # to the graveyard at zero
