# Certificates with their keys, parsed once and shared by every listener that uses them.
#
# A Credential is the slot of one certificate, by its id: its content changes at an install, its users keep the slot. A
# connection holds its certificate itself (libssl counts references), so a new certificate closes no connection.

from libc.stdint cimport uint32_t

from fastroute.ext.tls.names cimport Names
from fastroute.ext.tls.openssl cimport BIO, EVP_PKEY, SSL_CTX, X509, X509_STACK


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

cdef class Text:
    cdef BIO *bio
    cdef bytes text

# Refuses an encrypted key: there is no way to enter a password.
cdef int no_password(char *into, int size, int writing, void *data) noexcept nogil

cdef class Certificates:        # one per worker; every change comes from Python between turns
    cdef dict held              # id -> CredentialHandle
    cdef dict pending           # id -> Parsed or None, applied by `commit`
    cdef list ready             # (CredentialHandle, Parsed): the changes that `prepare` took from `pending`
    cdef list old               # the same, with what the last `commit` replaced
    cdef dict contexts          # (min, max, ciphers, alpn) -> ContextHandle
    # The slot of this certificate, with a reference, created if it does not exist. MemoryError.
    cdef Credential *credential(self, str id) except NULL
    # The libssl context with these settings, with a reference. ValueError, MemoryError.
    cdef SSL_CTX *context(self, tls) except NULL
