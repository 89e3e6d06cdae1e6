# Who gets a request of a rule with session persistence: the endpoint that its token names, else as without.

from fastroute.ext.exchange cimport Exchange
from fastroute.ext.head cimport Head
from fastroute.ext.reactor cimport Reactor


# Index of the backendRef, as choose_target; a token's endpoint is noted for the first try (Exchange.held_endpoint).
cdef int affinity_choose(Reactor r, Exchange *x, const Head *head) noexcept nogil
# Puts the session's token into the response `head` if the client has none for the endpoint that answered. Returns 0, or -1
# when the arena is full.
cdef int affinity_respond(Reactor r, Exchange *x, Head *head) noexcept nogil
