# What it costs to verify a signature of a key that somebody else has chosen.

from fastroute.ext.tls.openssl cimport EVP_PKEY

# Whether that is expensive (with larger keys, or long exponents, it takes milliseconds), or the key is of an unusual
# kind or NULL.
cdef bint is_large(const EVP_PKEY *key) noexcept nogil
