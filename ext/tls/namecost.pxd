# What names cost. libcrypto compares each name constraint of a CA with each name of each certificate below it. It makes an
# object of each element of an extension, and does that again for each name for which it searches: 30,000 empty names took
# 40 ms.

from fastroute.ext.tls.openssl cimport X509, X509_STORE_CTX


cdef enum:
    # Bytes of the certificates that a peer shows, times bytes of all name constraints: the comparisons take at most about
    # 5 ms, whatever the lengths of the names are.
    COMPARED_MOST = 33554432
    PARSED_MOST = 2048          # elements in the extensions of all certificates that a peer shows

# Bytes of the name constraints of a certificate.
cdef unsigned int constraints_of(const X509 *certificate) noexcept nogil
# Whether the verification would parse or compare too much. Counts all trust anchors, although a chain has only some of them.
cdef bint are_names_costly(const X509_STORE_CTX *chain) noexcept nogil
