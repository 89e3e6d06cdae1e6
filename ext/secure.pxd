# How one HTTPS listener ends its clients' TLS: libssl's context, and the certificates it may show.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.certificate cimport Certificates, Credential
from fastroute.ext.openssl cimport SSL, SSL_CTX

cdef enum:
    SESSION_CONTEXT = 32        # bytes that a ticket must agree in: those of one listener are no good for another

cdef struct Secure:             # one block of memory
    uint32_t refs
    uint32_t count
    SSL_CTX *context            # NULL: libssl refused the settings, nobody can be served
    uint8_t session_context[SESSION_CONTEXT]
    Credential **credentials    # in the listener's order, each with a reference

# From a snapshot.Listener of HTTPS, with one reference. Settings that libssl refuses make one without context:
# one listener's mistake is not to keep the others from being served. MemoryError.
cdef Secure *secure_new(listener, Certificates certificates) except NULL
cdef void secure_unref(Secure *secure) noexcept nogil
# A connection's libssl half, with the certificates for a client that asks for `name` ("": none); of those with one
# kind of key the first that has the name, else the first. NULL: nothing to show, or no memory.
cdef SSL *secure_open(const Secure *secure, const char *name, uint32_t size) noexcept nogil
