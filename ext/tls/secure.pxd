# How an HTTPS listener terminates TLS: a context of libssl, and the certificates of the listener.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastroute.ext.tls.certificate cimport DIGEST, Certificates, Context, Credential
from fastroute.ext.tls.openssl cimport SSL

cdef enum:
    FLOWS = 4096                # listeners by hash: those with the same hash share a flow
    # Bytes that are part of a ticket. A ticket of one listener is not valid at another, or after the listener has got
    # other CAs for the certificates of clients, or began or ceased to insist on one.
    SESSION_CONTEXT = 32

cdef struct Secure:             # one block of memory
    uint32_t refs
    uint32_t count
    uint16_t flow               # of the listener, and
    uint16_t owner              # of its namespace, among the waiting handshakes (waiting.pxd)
    Context *context            # NULL: no certificate, or libssl refused the settings; no client can be served
    uint8_t clients             # Clients
    uint8_t digest[DIGEST]      # of the CAs for certificates of clients, as in the context; zero without context
    uint8_t session_context[SESSION_CONTEXT]
    Credential **credentials    # in the listener's order, with a reference to each

# From a snapshot.Listener for HTTPS, with one reference. If libssl refuses the settings, there is no context: a mistake
# in one listener must not affect the others. Raises MemoryError.
cdef Secure *secure_new(listener, Certificates certificates) except NULL
cdef void secure_unref(Secure *secure) noexcept nogil
# A libssl connection with the certificates for a client that asks for `name` ("": none): for each kind of key the first
# certificate that has the name, else the first one. NULL if there is no certificate, or if out of memory. `longest`:
# the bytes of the longest of their chains.
cdef SSL *secure_open(const Secure *secure, const char *name, uint32_t size, uint32_t *longest) noexcept nogil
