# Which rule takes a request: port, then hostname, then path, then method, headers and query, in the spec's order.

from libc.stdint cimport uint16_t, uint32_t

from fastroute.ext.http1 cimport Head
from fastroute.ext.rule cimport Rule
from fastroute.ext.slice cimport Arena


cdef struct Routes              # the flat lookup structure: sockets, their listeners, these' hostname groups

cdef struct Decision:
    Rule *rule                  # NULL: nothing takes it. Borrowed: rule_ref it to keep it past the next install
    uint16_t reason             # LocalReason when rule is NULL
    uint16_t listener_port      # spec port of the chosen listener (a redirect names it), 0 when none
    uint32_t prefix             # bytes of the normalised path that the matched PathPrefix covers (for ReplacePrefixMatch)
    uint32_t match              # index of the match in the rule

# `socket` is the index that the tables gave the (address, port) the request came in on (Tables.socket_index): the same
# in all later versions, never given to another; one that is out of range has no listeners. Costs the same for one rule
# and for 5,000; allocates nothing but in the arena; never fails.
cdef void find_rule(const Routes *routes, uint32_t socket, const Head *head, Arena *arena,
                    Decision *decision) noexcept nogil
