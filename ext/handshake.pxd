# A client's connection from its first byte until TLS is agreed: the name it asks for, its listener, the handshake.
#
# Before the name is known a client costs no more than one that is silent on a plain port. Handshakes in progress are
# bounded (settings.Limits.max_handshakes): a new one takes the place of the oldest.

from fastroute.ext.connection cimport Connection
from fastroute.ext.reactor cimport Reactor


# The client must speak TLS first.
cdef void handshake_begin(Reactor r, Connection *c) noexcept nogil
# Does what can be done now. True: TLS is agreed. Else it goes on, or the connection was closed.
cdef bint handshake_advance(Reactor r, Connection *c) noexcept nogil
# Closes a connection without TLS, for a TlsFailure. Nothing is said but what libssl said already: a client that asks
# for a name nobody has sees a plain end, as on a port where nobody listens.
cdef void handshake_fail(Reactor r, Connection *c, int failure) noexcept nogil
