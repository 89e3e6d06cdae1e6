# Which certificates of clients a listener accepts: whether it insists on one, and the CAs that may have issued it.
#
# Without a valid certificate, a client is refused during the handshake (REQUIRED), or it is served without an identity
# (OPTIONAL). A certificate that would be expensive to verify is refused in both cases. A session is resumed only at a
# listener with the same CAs and the same Clients (secure.pyx), for an hour after its certificate was verified, and while
# this certificate is valid. When the CAs or the Clients of a listener change, the certificates of open connections are
# verified again (tls_admit). Revocation is not checked: the Gateway API has no field for it.
#
# The CAs are not part of a context of libssl, but of a connection, and only during its handshake (secure_open,
# tls_identify): so connections that stay open after a change do not keep the memory of former CAs.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.tls.anchors cimport Anchors
from fastroute.ext.tls.openssl cimport SSL, SSL_CTX, X509, X509_STORE

cdef enum Clients:
    CLIENTS_UNASKED = 0         # clients are not asked for a certificate
    CLIENTS_REQUIRED
    CLIENTS_OPTIONAL

cdef enum:
    SHOWN_MOST = 16384          # bytes of the certificates that a client sends, including those of issuers
    SHOWN = 0                   # index of the application's data of a libssl connection with a client: a uint32_t *, to
                                # which the memory for the certificates of the client is written

# Makes a context ask for certificates, and name the CAs. `anchors` must be read completely. MemoryError.
cdef int admission_set(SSL_CTX *context, Anchors anchors, Clients clients) except -1
# Bytes of memory that libcrypto may need for a certificate that was verified.
cdef uint32_t admission_memory(const X509 *certificate) noexcept nogil
# After a handshake: whether the certificate of the client, if there is one, is valid now with these CAs.
cdef bint admission_holds(const SSL *ssl, X509_STORE *anchors) noexcept nogil
# After a failed handshake: why the certificate was not accepted; static text. NULL: it failed for another reason.
cdef const char *admission_fault(const SSL *ssl, uint8_t clients, unsigned long error) noexcept nogil
