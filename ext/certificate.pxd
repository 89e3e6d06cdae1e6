# Certificates with their keys, parsed once and shared by every listener that shows them.
#
# A Credential is the place of one certificate, by its id: what it holds changes at an install, its users keep it. A
# connection holds what it was shown by itself (libssl counts), so a new certificate drops nothing.

from libc.stdint cimport uint32_t

from fastroute.ext.openssl cimport EVP_PKEY, SSL_CTX, X509, X509_STACK


cdef struct Credential:
    uint32_t refs
    int kind                    # of the key: an EVP_PKEY's base id
    X509 *leaf                  # NULL: there is nothing to show
    X509_STACK *chain           # what signs the leaf, in order; NULL: nothing
    EVP_PKEY *key

cdef void credential_unref(Credential *credential) noexcept nogil

cdef class Certificates:        # a worker's; every change comes from Python between turns
    cdef dict held              # id -> CredentialHandle
    cdef dict pending           # id -> Parsed or None, what `commit` makes of it
    cdef dict contexts          # (min, max, ciphers, alpn) -> ContextHandle
    # The place of this certificate, with a reference, made when it is not known yet. MemoryError.
    cdef Credential *credential(self, str id) except NULL
    # The libssl context of these settings, with a reference. ValueError, MemoryError.
    cdef SSL_CTX *context(self, tls) except NULL
