# Certificates with their keys, parsed once and shared by every listener that uses them.
#
# A Credential is the slot of one certificate, by its id: its content changes at an install, its users keep the slot. A
# connection holds its certificate itself (libssl counts references), so a new certificate closes no connection.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.tls.names cimport Names
from fastroute.ext.tls.openssl cimport EVP_PKEY, SSL_CTX, X509, X509_STACK, X509_STORE


cdef struct Credential:
    uint32_t refs
    int kind                    # of the key: the base id of an EVP_PKEY
    uint32_t size               # bytes of all its certificates, as they are sent
    X509 *leaf                  # NULL: there is no usable certificate
    X509_STACK *chain           # the issuers of the leaf, in order; NULL: none
    EVP_PKEY *key
    Names names                 # of the leaf

cdef void credential_unref(Credential *credential) noexcept nogil

cdef class Parsed:
    cdef X509 *leaf
    cdef X509_STACK *chain      # NULL: there are no other certificates
    cdef EVP_PKEY *key
    cdef Names names
    cdef uint32_t size          # bytes of all certificates

# The certificate with its key. CertificateError (a ValueError): it is not usable.
cdef Parsed parse(bytes chain, bytes key)

cdef enum:
    DIGEST = 32                 # bytes of SHA-256

cdef struct Context:            # TLS settings, shared by all listeners that have the same
    uint32_t refs
    uint8_t clients             # Clients
    uint8_t digest[DIGEST]      # of the CAs for certificates of clients; zero if clients are not asked
    X509_STORE *store           # these CAs; NULL: clients are not asked
    SSL_CTX *ssl

cdef int clients_of(tls) except -1      # the Clients that a snapshot.ListenerTLS, or None, demands
cdef void context_unref(Context *context) noexcept nogil

cdef class Certificates:        # one per worker; every change comes from Python between turns
    cdef dict held              # id -> CredentialHandle
    cdef dict pending           # id -> Parsed or None, applied by `commit`
    cdef list ready             # (CredentialHandle, Parsed): the changes that `prepare` took from `pending`
    cdef list old               # the same, with what the last `commit` replaced
    cdef dict contexts          # (min, max, ciphers, alpn) -> ContextHandle
    cdef dict anchors           # PEM -> Anchors of the contexts in `asking`
    cdef dict asking            # the same with a snapshot.ClientValidation: these have CAs, so unused ones are freed
    # The slot of this certificate, with a reference, created if it does not exist. MemoryError.
    cdef Credential *credential(self, str id) except NULL
    # The context with these settings, with a reference. ValueError, MemoryError.
    cdef Context *context(self, tls) except NULL
