# Session persistence: a request goes to the endpoint that its token names, or else is balanced as usual.

from fastroute.ext.message.message cimport Message
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor


# The index of the backendRef, like choose_target; the token's endpoint is recorded for the first try
# (Exchange.held_endpoint).
cdef int affinity_choose(Reactor r, Exchange *x, const Message *message) noexcept nogil
# Adds the session's token to the response `head` if the client has none for the endpoint that answered. Returns 0, or
# -1 if the arena is full.
cdef int affinity_respond(Reactor r, Exchange *x, Message *message) noexcept nogil
