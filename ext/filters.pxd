# What a rule or a backendRef does to a request or response: header modifiers, rewrite, redirect.

from libc.stdint cimport uint16_t, uint32_t

from fastroute.ext.chain cimport FilterChain
from fastroute.ext.copies cimport Copies
from fastroute.ext.cors cimport Cors
from fastroute.ext.head cimport Field, Head
from fastroute.ext.slice cimport Arena, Slice


cdef struct Answer:             # a response we give ourselves, and what every response to the request must say
    uint16_t status
    uint16_t reason             # LocalReason
    Slice location              # for redirects; in the arena
    Field *fields               # for preflights; in the arena
    uint32_t fields_count
    const Cors *cors            # of the CORS filter that was met; NULL: none
    Slice origin                # the request's, if `cors` admits it; in the head
    Copies *copies              # given: where mirrors' copies of the request go; NULL: nobody wants them

# Applies the request side in listed order. Returns 1 when `answer` is filled in (a redirect or a preflight: do not
# forward), 0 to go on (only `cors` and `origin` of `answer` may be set), -1 if the arena is full. `prefix`, `listener_port`: of the Decision.
# A rewrite changes the path and authority of the head (not its host), so keep the path for the log before. Call it after
# `forward`, so that forwarding fields set by a user are kept and X-Forwarded-Host names the received host. `chain` may
# be NULL.
cdef int filter_request(const FilterChain *chain, Head *head, uint32_t prefix, uint16_t listener_port, bint tls,
                        Arena *arena, Answer *answer) noexcept nogil
# Applies the response side; `origin`: as the request's Answer said. Returns 0, or -1 when the arena is full. `chain` may
# be NULL.
cdef int filter_response(const FilterChain *chain, Slice origin, Head *head, Arena *arena) noexcept nogil
# Whether the chain has header modifiers for responses. `chain` may be NULL.
cdef bint filters_change_responses(const FilterChain *chain) noexcept nogil
# Applies these, and nothing else, to an answer of our own: `head` has its fields, those of CORS included. Returns 0, or
# -1 when the arena is full.
cdef int filter_own_response(const FilterChain *chain, Head *head, Arena *arena) noexcept nogil
