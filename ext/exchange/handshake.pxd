# A client connection from its first byte until TLS is established: its server name, its listener, the handshake.
#
# Before the server name is known, a client costs no more than one on a plain port. The number of handshakes in progress
# is limited (settings.Limits.max_handshakes): if most of them wait, a new one replaces the oldest of the listener with
# the most waiting ones, otherwise the oldest of all. The output that clients have not read is limited too.

from fastroute.ext.exchange.passage cimport Passage
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.tls.hello cimport Hello


cdef enum WelcomeEnd:
    WELCOME_GOES_ON = 0         # the handshake is in progress, or the connection was closed
    WELCOME_SECURED             # TLS is established
    WELCOME_PASSED              # there is no handshake: the connection goes to a TLSRoute. The ClientHello is in its input

cdef struct Welcome:
    Hello hello
    Passage passage             # its name is in `hello`

# Starts a connection on which the client must begin with TLS.
cdef void handshake_begin(Reactor r, Connection *c) noexcept nogil
# Continues the handshake as far as possible now, or lets it wait (waiting.pxd). Fills in `welcome` if it returns
# WELCOME_PASSED.
cdef WelcomeEnd handshake_advance(Reactor r, Connection *c, Welcome *welcome) noexcept nogil
# The same for a connection that waited and was removed from the list of waiting ones.
cdef WelcomeEnd handshake_resume(Reactor r, Connection *c) noexcept nogil
# The deadline of the connection has passed: closes it.
cdef void handshake_expired(Reactor r, Connection *c) noexcept nogil
# Whether a handshake can continue although no further event will be reported for it.
cdef bint handshake_has_more(const Connection *c) noexcept nogil
# Closes a connection without TLS, for a TlsFailure. Only alerts that libssl has produced are sent: a client whose
# server name no listener has sees the connection close, as on an unused port.
cdef void handshake_fail(Reactor r, Connection *c, int failure) noexcept nogil
