# The effect of the filters of a rule or backendRef on a request or response: header modifiers, rewrite, redirect.

from libc.stdint cimport uint16_t, uint32_t

from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.message cimport Field, Message
from fastroute.ext.routing.chain cimport FilterChain
from fastroute.ext.routing.copies cimport Copies
from fastroute.ext.routing.cors cimport Cors


cdef enum Filtered:             # what the filters did with a request
    FILTERED_ON = 0             # it goes on; only `cors` and `origin` of the Answer may be set
    FILTERED_ANSWERED           # the Answer is filled in (a redirect or a preflight): it is not forwarded
    FILTERED_NO_ROOM            # the arena is full

cdef struct Answer:             # a local response, and the values that every response to the request needs
    uint16_t status
    uint16_t reason             # LocalReason
    Slice location              # for redirects; in the arena
    Field *fields               # for preflights; in the arena
    uint32_t fields_count
    const Cors *cors            # of the CORS filter that was applied; NULL: none
    Slice origin                # the Origin of the request, if `cors` allows it; in the head
    Copies *copies              # input: receives the copies of the request for mirrors; NULL: no copies are made

# Applies the request side in listed order. `prefix`, `listener_port`: of the Decision. A rewrite changes the path and
# authority of the head (not its host), so save the path for the log first. Call it after `forward`, so that forwarding
# fields set by a filter are kept and X-Forwarded-Host contains the received host. `chain` may be NULL.
cdef Filtered filter_request(const FilterChain *chain, Message *message, uint32_t prefix, uint16_t listener_port,
                             Arena *arena, Answer *answer) noexcept nogil
# Applies the response side; `origin`: from the Answer of the request. Returns 0, or -1 if the arena is full. `chain`
# may be NULL.
cdef int filter_response(const FilterChain *chain, Slice origin, Message *message, Arena *arena) noexcept nogil
# Drops the trailers that a header modifier for requests (or for responses) names: a trailer must not circumvent a
# filter that sets or removes the field of that name, because some servers merge trailers into the head. `chain` may be
# NULL.
cdef void filter_trailers(const FilterChain *chain, bint response, Message *trailers) noexcept nogil
# Whether the chain has header modifiers for responses. `chain` may be NULL.
cdef bint filters_change_responses(const FilterChain *chain) noexcept nogil
# Applies only the header modifiers to a local response: `head` has its fields, including those of CORS. Returns 0, or
# -1 if the arena is full.
cdef int filter_own_response(const FilterChain *chain, Message *message, Arena *arena) noexcept nogil
