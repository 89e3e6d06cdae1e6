"""Costs of keys; see keycost.pxd."""

from fastroute.ext.tls.openssl cimport (
    BIGNUM, BN_free, BN_num_bits, EVP_PKEY_DSA, EVP_PKEY_EC, EVP_PKEY_ED25519, EVP_PKEY_ED448, EVP_PKEY_RSA,
    EVP_PKEY_RSA_PSS, EVP_PKEY_get_base_id, EVP_PKEY_get_bits, EVP_PKEY_get_bn_param,
)

cdef enum:
    EXPONENT_MOST = 32          # bits
    CURVE_MOST = 521            # bits
    DSA_MOST = 2048             # bits
    RSA_MOST = 4096             # bits


cdef inline int kind_of(const EVP_PKEY *key) noexcept nogil:
    return EVP_PKEY_get_base_id(key) if key is not NULL else 0


cdef bint is_unusual(const EVP_PKEY *key) noexcept nogil:
    cdef int kind = kind_of(key)
    return (kind != EVP_PKEY_EC and kind != EVP_PKEY_RSA and kind != EVP_PKEY_RSA_PSS and kind != EVP_PKEY_ED25519
            and kind != EVP_PKEY_ED448)


cdef bint is_large(const EVP_PKEY *key) noexcept nogil:
    cdef int kind = kind_of(key)
    cdef BIGNUM *exponent = NULL
    cdef bint large
    if kind == EVP_PKEY_EC:
        return EVP_PKEY_get_bits(key) > CURVE_MOST
    if kind == EVP_PKEY_DSA:
        return EVP_PKEY_get_bits(key) > DSA_MOST
    if kind != EVP_PKEY_RSA and kind != EVP_PKEY_RSA_PSS:
        return False
    large = EVP_PKEY_get_bits(key) > RSA_MOST or EVP_PKEY_get_bn_param(key, b"e", &exponent) != 1 \
        or BN_num_bits(exponent) > EXPONENT_MOST
    BN_free(exponent)
    return large
