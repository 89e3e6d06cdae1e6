# The layer of a connection to a backend whose TLS is not established yet: the handshake, and what waits for it.
#
# What is sent through the layer stays in `Connection.output`, as plaintext, until the handshake is over: no function of
# this layer sends it. The bytes of the handshake have a buffer of their own (Tls.sealed).

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


# A connection whose pool key requires TLS: nothing is sent or received in cleartext.
cdef void sealing_begin(Connection *u) noexcept nogil
# Continues the handshake as far as possible; call it when the socket is connected, and then after each event. Returns 1
# if it is over (the layer is LAYER_TLS from now on, and what waited was sent), 0 if it goes on, -1 if it has failed.
cdef int sealing_advance(Reactor r, Connection *u) noexcept nogil
