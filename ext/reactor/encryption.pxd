# TLS as a layer of a connection: its callers see plaintext, while `Connection.output` holds encrypted bytes.
#
# `Connection.tls` is set from the ClientHello on; the layer is LAYER_TLS from `handshake_enter` on. The functions that
# the module `handshake` uses before the end of the handshake are declared here.

from libc.stdint cimport uint32_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


# Marks a connection with TLS as readable because of bytes already received. When they are used up, `readable` depends
# on the socket again.
cdef void lend_readable(Connection *c) noexcept nogil
# Sends what libssl has written to the pipe. Returns 0, or -1 if the connection is broken.
cdef int ship(Reactor r, Connection *c) noexcept nogil
# Ends TLS with a peer to which nothing more is sent: sends close_notify and frees the TLS state. Later input is not
# decrypted.
cdef void end_tls(Reactor r, Connection *c) noexcept nogil
# Begins the handshake of `c.tls`: adds the connection to the list of handshakes in progress. Or removes it from there.
cdef void handshake_enter(Reactor r, Connection *c) noexcept nogil
cdef void handshake_leave(Reactor r, Connection *c) noexcept nogil
# Notes how many bytes of memory its output has that the client has not read.
cdef void handshake_note(Reactor r, Connection *c, uint32_t unread) noexcept nogil
