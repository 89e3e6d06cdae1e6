"""Session persistence in an exchange; see affinity.pxd.

The first choice follows the weights. After that the token of the client takes precedence over the weights, also over a
weight of 0 (Gateway API v1.6; in v1.7 the weights choose the backend of each request, and the token only the endpoint
in it). A token is ignored if its endpoint is no longer eligible, is avoided because of failures, or belongs to a
backendRef that is now refused: then a new choice is made, and the response carries a new token. A response that a retry
got from another endpoint also carries a new token.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastroute.ext.routing.backends cimport backend_find
from fastroute.ext.routing.balancer cimport choose_target
from fastroute.ext.routing.rule cimport Rule, Target
from fastroute.ext.routing.session cimport Token, session_read, session_write
from fastroute.ext.routing.tables cimport Endpoint


cdef inline int64_t seconds_now(Reactor r) noexcept nogil:
    return (<int64_t> r.now + r.wall) // 1000000


cdef Endpoint *named(const Target *target, const Token *token) noexcept nogil:
    """The endpoint that a token names in this target; NULL if it is not one of its endpoints."""
    if target.backend is NULL or target.mark != token.backend:
        return NULL
    return backend_find(target.backend, token.endpoint)


cdef int take_up(Exchange *x, const Token *token, uint32_t first, uint32_t last) noexcept nogil:
    """Records the token's endpoint if one of the targets in [first, last) has it; returns the index of that target, or
    -1."""
    cdef Endpoint *endpoint
    cdef uint32_t i
    for i in range(first, last):
        endpoint = named(&x.rule.targets[i], token)
        if endpoint is not NULL:
            x.held_endpoint = endpoint
            x.session_endpoint = token.endpoint
            x.session_backend = token.backend
            return <int> i
    return -1


cdef int affinity_choose(Reactor r, Exchange *x, const Message *message) noexcept nogil:
    cdef const Rule *rule = x.rule
    cdef int64_t now = seconds_now(r)
    cdef uint64_t position = 0
    cdef uint32_t first = 0
    cdef uint32_t last = rule.targets_count
    cdef int chosen = -1
    cdef int held
    cdef Token token
    if not rule.session.holds_backend:
        chosen = choose_target(rule.choice)
        if chosen < 0:
            return chosen
        first, last = <uint32_t> chosen, <uint32_t> chosen + 1
    while session_read(rule.session, message, now, &position, &token):
        held = take_up(x, &token, first, last)
        if held >= 0:
            return held
    return chosen if chosen >= 0 else choose_target(rule.choice)


cdef int affinity_respond(Reactor r, Exchange *x, Message *message) noexcept nogil:
    cdef Endpoint *endpoint
    cdef Token token
    if x.tries == 0:
        return 0
    endpoint = x.tried[x.tries - 1]
    if x.session_endpoint == endpoint.identity and x.session_backend == x.target.mark:
        return 0
    token.endpoint = endpoint.identity
    token.backend = x.target.mark
    token.made = <uint32_t> seconds_now(r)
    return session_write(x.rule.session, &token, message, &r.arena)
