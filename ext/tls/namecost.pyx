"""Costs of name constraints; see namecost.pxd."""

from libc.stdint cimport uint64_t

from fastroute.ext.tls.openssl cimport (
    ASN1_STRING_length, NID_name_constraints, X509_EXTENSION_get_data, X509_OBJECT_STACK, X509_OBJECT_get0_X509,
    X509_STACK, X509_STORE_CTX_get0_store, X509_STORE_CTX_get0_untrusted, X509_STORE_get0_objects, X509_get_ext,
    X509_get_ext_by_NID, i2d_X509, sk_X509_OBJECT_num, sk_X509_OBJECT_value, sk_X509_num, sk_X509_value,
)


cdef unsigned int constraints_of(const X509 *certificate) noexcept nogil:
    cdef int at = X509_get_ext_by_NID(certificate, NID_name_constraints, -1)
    return 0 if at < 0 else <unsigned int> ASN1_STRING_length(X509_EXTENSION_get_data(X509_get_ext(certificate, at)))


cdef bint are_names_costly(const X509_STORE_CTX *chain) noexcept nogil:
    cdef X509_OBJECT_STACK *anchors = X509_STORE_get0_objects(X509_STORE_CTX_get0_store(chain))
    cdef X509_STACK *shown = X509_STORE_CTX_get0_untrusted(chain)
    cdef X509 *one
    cdef uint64_t constraints = 0
    cdef uint64_t names = 0
    cdef int i
    for i in range(sk_X509_num(shown)):
        one = sk_X509_value(shown, i)
        constraints += constraints_of(one)
        names += <uint64_t> i2d_X509(one, NULL)
    for i in range(sk_X509_OBJECT_num(anchors)):
        one = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(anchors, i))
        if one is not NULL:
            constraints += constraints_of(one)
    return constraints * names > COMPARED_MOST
