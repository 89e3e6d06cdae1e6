"""Costs of keys; see keycost.pxd."""

from fastroute.ext.tls.openssl cimport (
    BIGNUM, BN_free, BN_num_bits, EVP_PKEY_EC, EVP_PKEY_ED25519, EVP_PKEY_ED448, EVP_PKEY_RSA, EVP_PKEY_RSA_PSS,
    EVP_PKEY_get_base_id, EVP_PKEY_get_bits, EVP_PKEY_get_bn_param,
)

cdef enum:
    EXPONENT_MOST = 32          # bits
    CURVE_MOST = 521            # bits


cdef bint is_large(const EVP_PKEY *key, int most) noexcept nogil:
    cdef int kind = EVP_PKEY_get_base_id(key) if key is not NULL else 0
    cdef BIGNUM *exponent = NULL
    cdef bint large
    if kind == EVP_PKEY_EC:
        return EVP_PKEY_get_bits(key) > CURVE_MOST
    if kind != EVP_PKEY_RSA and kind != EVP_PKEY_RSA_PSS:
        return kind != EVP_PKEY_ED25519 and kind != EVP_PKEY_ED448
    large = EVP_PKEY_get_bits(key) > most or EVP_PKEY_get_bn_param(key, b"e", &exponent) != 1 \
        or BN_num_bits(exponent) > EXPONENT_MOST
    BN_free(exponent)
    return large
