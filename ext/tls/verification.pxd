# How the gateway uses TLS towards a backend: what it sends, and how the certificate of the backend is verified. There is
# one Verification for each distinct snapshot.BackendTLS; connections with different ones are never exchanged.
#
# The certificate must lead to a trust anchor, and must be valid for the server name, or, if there are subject names, for
# one of these instead. The common name is never looked at (RFC 9525 section 2). A session is resumed only with the same
# Verification and endpoint, for an hour after its certificate was verified, and while this certificate is valid.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastroute.ext.tls.anchors cimport Anchors
from fastroute.ext.tls.openssl cimport SSL, SSL_CTX, SSL_SESSION


cdef enum:
    SESSIONS = 64               # endpoints of a Verification whose sessions are kept: those with the same hash share a slot

cdef struct Kept:               # the newest session of an endpoint
    SSL_SESSION *session        # NULL: none
    uint64_t endpoint           # its identity
    int64_t verified            # Unix seconds: when the certificate was verified

cdef struct Verification:
    SSL_CTX *context            # NULL: it could not be made; every connection fails
    uint8_t http2               # a connection whose backend does not agree to HTTP/2 fails
    const char *server_name     # sent as SNI; NULL: none, because it is an address
    uint32_t hosts_count
    uint32_t uris_count
    char **hosts                # subject names: one of these, or of the URIs, must be in the certificate
    char **uris
    Kept kept[SESSIONS]

cdef struct Dialogue:           # of one connection; its libssl connection refers to it
    Verification *verification  # NULL: a client's connection
    uint64_t endpoint           # its identity
    int64_t verified            # Unix seconds; 0: not yet

# From a snapshot.BackendTLS. `protocol`: a Protocol that is offered by ALPN, unless it is PROTOCOL_RAW; the backend must
# agree to HTTP/2. ValueError: the client certificate or a name cannot be used; MemoryError.
cdef Verification *verification_new(tls, Anchors anchors, uint8_t protocol) except NULL
# One with which every connection fails.
cdef Verification *verification_without() except NULL
cdef void verification_free(Verification *verification) noexcept nogil
# A libssl connection to the endpoint. NULL: that is not possible. The Dialogue must not move.
cdef SSL *verification_open(Dialogue *dialogue) noexcept nogil
# The handshake has failed: the session that was offered is not offered again.
cdef void verification_forget(Dialogue *dialogue) noexcept nogil
