# What it costs to verify a signature of a key that somebody else has chosen.

from fastroute.ext.tls.openssl cimport EVP_PKEY

cdef enum:
    RSA_OF_CLIENTS = 4096       # bits: the most for keys of clients and their CAs, and
    RSA_OF_BACKENDS = 8192      # for those that a backend shows: a verification takes 0.3 ms, and a chain has up to ten

# Whether that is expensive (with RSA keys of more than `most` bits, or long exponents, it takes milliseconds), or the key is of an unusual
# kind or NULL.
cdef bint is_large(const EVP_PKEY *key, int most) noexcept nogil
