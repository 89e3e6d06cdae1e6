# Connections whose bytes are passed on unread: those of TCPRoutes and TLSRoutes. Each is one exchange, which is a tunnel from
# the moment at which a backend is connected.
#
# A connection of a plain port begins with its accept, one of TLS with its ClientHello (handshake.pxd): the server name
# determines listener, rule and backend before anything else is done, so that a client that gets no backend sees no byte.

from libc.stdint cimport uint8_t, uint16_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.routing.router cimport Listener
from fastroute.ext.routing.tables cimport Rule, Target


cdef struct Passage:            # where a connection goes. Borrowed from the tables, and from the caller
    Listener *listener
    Rule *rule                  # NULL: none takes it
    Target *target              # NULL: none was chosen
    uint16_t reason             # LocalReason for which it goes nowhere; 0: it goes to `target`
    uint8_t version             # VERSION_TCP or VERSION_TLS
    Slice name                  # the server name of the client's TLS; NULL data: none

# Finds the rule of a listener for a server name, and chooses the backend by weight.
cdef void passage_find(Passage *passage, Listener *listener, uint8_t version, Slice name) noexcept nogil
# Begins the exchange: connects to an endpoint, or ends it at once. Returns a Verdict.
cdef int passage_begin(Reactor r, Connection *c, Exchange *x, const Passage *passage) noexcept nogil
# Continues until the tunnel begins, and then the tunnel. Returns a Verdict.
cdef int passage_advance(Reactor r, Connection *c, Exchange *x) noexcept nogil
# Called when a deadline has passed before the tunnel began: that of the upstream connection, if `u` is not NULL. Returns a
# Verdict.
cdef int passage_expired(Reactor r, Connection *c, Exchange *x, const Connection *u) noexcept nogil
