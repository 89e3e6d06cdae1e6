# What it costs to verify a signature of a key that somebody else has chosen.

from fastroute.ext.tls.openssl cimport EVP_PKEY

# Whether that is expensive: RSA keys of more than 4,096 bits, long exponents and large keys of DSA take milliseconds. With
# the largest allowed keys it takes 0.2 ms, so 2 ms for a chain of ten. Not for NULL: it verifies nothing.
cdef bint is_large(const EVP_PKEY *key) noexcept nogil
# Whether the key is of a kind that is neither RSA, ECDSA nor EdDSA, or NULL.
cdef bint is_unusual(const EVP_PKEY *key) noexcept nogil
