# The client's side: a connection between its requests, and its end.

from libc.stdint cimport uint8_t, uint16_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


# Takes over a socket that a listener accepted, and reads the data that has already arrived.
cdef void downstream_adopt(Reactor r, Connection *listener, int fd, uint16_t family, const uint8_t *address,
                           uint16_t port) noexcept nogil
# Does everything that is possible now; called after any event that concerns the connection or its exchange's upstream.
cdef void downstream_advance(Reactor r, Connection *c) noexcept nogil
# Continues a handshake that waited and is next (waiting.pxd).
cdef void downstream_shake(Reactor r, Connection *c) noexcept nogil
# Handles an expired deadline of the connection or, with `u`, of the upstream connection of its exchange.
cdef void downstream_expired(Reactor r, Connection *c, Connection *u) noexcept nogil
# Ends the connection because of a limit for all connections, and logs this: with a 503 if it has a request that is not
# answered yet.
cdef void downstream_end(Reactor r, Connection *c, uint16_t reason) noexcept nogil
# Ends the exchange of the connection with a TCP reset, and logs it.
cdef void downstream_reset(Reactor r, Connection *c, uint16_t reason) noexcept nogil
# Ends the streams of a connection that is broken by its protocol, says that nothing follows, and closes it after a while.
cdef void downstream_linger(Reactor r, Connection *c) noexcept nogil
# Closes the connection, and ends its exchange.
cdef void downstream_close(Reactor r, Connection *c) noexcept nogil
