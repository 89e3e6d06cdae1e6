"""Costs of names and name constraints; see namecost.pxd."""

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.tls.openssl cimport (
    ASN1_STRING, ASN1_STRING_get0_data, ASN1_STRING_length, NID_name_constraints, X509_EXTENSION_get_data, X509_OBJECT_STACK, X509_OBJECT_get0_X509,
    X509_STACK, X509_STORE_CTX_get0_store, X509_STORE_CTX_get0_untrusted, X509_STORE_get0_objects, X509_get_ext,
    X509_get_ext_by_NID, X509_get_ext_count, i2d_X509, sk_X509_OBJECT_num, sk_X509_OBJECT_value, sk_X509_num, sk_X509_value,
)

cdef enum:
    LONG_TAG = 0x1f             # of the first octet of an element in DER: its tag has more octets
    CONSTRUCTED = 0x20


cdef unsigned int constraints_of(const X509 *certificate) noexcept nogil:
    cdef int at = X509_get_ext_by_NID(certificate, NID_name_constraints, -1)
    return 0 if at < 0 else <unsigned int> ASN1_STRING_length(X509_EXTENSION_get_data(X509_get_ext(certificate, at)))


cdef uint32_t elements(const unsigned char *data, uint32_t size) noexcept nogil:
    """The elements of DER, or more: bytes that are no DER count as elements."""
    cdef uint32_t at = 0
    cdef uint32_t count = 0
    cdef uint32_t length
    cdef unsigned char tag, digits
    while size - at >= 2:
        tag = data[at]
        length = data[at + 1]
        at += 2
        if length & 0x80:
            digits = <unsigned char> (length & 0x7f)
            if digits == 0 or digits > 3 or digits > size - at:
                return count + size
            length = 0
            for _ in range(digits):
                length = length << 8 | data[at]
                at += 1
        if length > size - at or tag & LONG_TAG == LONG_TAG:
            return count + size
        count += 1
        if not tag & CONSTRUCTED:
            at += length
    return count


cdef uint32_t extension_elements(const X509 *certificate) noexcept nogil:
    cdef ASN1_STRING *value
    cdef uint32_t count = 0
    cdef int i
    for i in range(X509_get_ext_count(certificate)):
        value = X509_EXTENSION_get_data(X509_get_ext(certificate, i))
        count += elements(ASN1_STRING_get0_data(value), <uint32_t> ASN1_STRING_length(value))
    return count


cdef bint are_names_costly(const X509_STORE_CTX *chain) noexcept nogil:
    cdef X509_OBJECT_STACK *anchors = X509_STORE_get0_objects(X509_STORE_CTX_get0_store(chain))
    cdef X509_STACK *shown = X509_STORE_CTX_get0_untrusted(chain)
    cdef X509 *one
    cdef uint64_t constraints = 0
    cdef uint64_t names = 0
    cdef uint64_t parsed = 0
    cdef int i
    for i in range(sk_X509_num(shown)):
        one = sk_X509_value(shown, i)
        constraints += constraints_of(one)
        names += <uint64_t> i2d_X509(one, NULL)
        parsed += extension_elements(one)
    for i in range(sk_X509_OBJECT_num(anchors)):
        one = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(anchors, i))
        if one is not NULL:
            constraints += constraints_of(one)
    return parsed > PARSED_MOST or constraints * names > COMPARED_MOST
