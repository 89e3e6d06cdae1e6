"""The host names of a certificate; see names.pxd."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr

from fastroute.ext.memory.bytemap cimport (
    ByteMap, bytemap_expect, bytemap_find, bytemap_free, bytemap_put, bytemap_start,
)
from fastroute.ext.tls.openssl cimport (
    ASN1_STRING, ASN1_STRING_get0_data, ASN1_STRING_length, ERR_clear_error, GEN_DNS, GENERAL_NAME_get0_value,
    GENERAL_NAMES, GENERAL_NAMES_free, NID_subject_alt_name, X509, X509_get_ext_d2i, sk_GENERAL_NAME_num,
    sk_GENERAL_NAME_value,
)

cdef enum:
    EXACT = 0                   # owners of the keys in the map
    WILDCARD = 1                # the key is the part after `*.`


cdef int names_load(Names *names, X509 *leaf) except? -1:
    cdef GENERAL_NAMES *found = <GENERAL_NAMES *> X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL)
    bytemap_start(&names.map)
    names.bytes = NULL
    if found is NULL:
        ERR_clear_error()       # also for an extension that cannot be read
        return 0
    try:
        if sk_GENERAL_NAME_num(found) > NAMES_MOST:
            return -1
        fill(names, found)
    except BaseException:
        names_free(names)
        raise
    finally:
        GENERAL_NAMES_free(found)
    return 0


cdef ASN1_STRING *host_name(GENERAL_NAMES *found, int index) noexcept:
    """NULL: a name of another kind."""
    cdef int kind
    cdef void *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(found, index), &kind)
    return <ASN1_STRING *> value if kind == GEN_DNS else NULL


cdef int fill(Names *names, GENERAL_NAMES *found) except -1:
    cdef int count = sk_GENERAL_NAME_num(found)
    cdef size_t total = 0
    cdef ASN1_STRING *name
    cdef char *at
    cdef int i
    for i in range(count):
        name = host_name(found, i)
        if name is not NULL:
            total += <size_t> ASN1_STRING_length(name)
    if total == 0:
        return 0
    at = names.bytes = <char *> malloc(total)
    if at is NULL:
        raise MemoryError
    bytemap_expect(&names.map, <uint32_t> count)
    for i in range(count):
        name = host_name(found, i)
        if name is not NULL:
            put(&names.map, at, ASN1_STRING_get0_data(name), <uint32_t> ASN1_STRING_length(name))
            at += ASN1_STRING_length(name)
    return 0


cdef int put(ByteMap *map, char *into, const unsigned char *name, uint32_t size) except -1:
    cdef uint32_t owner = EXACT
    cdef uint32_t i
    for i in range(size):
        into[i] = name[i] | 32 if c"A" <= name[i] <= c"Z" else name[i]
    if size > 2 and into[0] == c"*" and into[1] == c".":
        owner = WILDCARD
        into += 2
        size -= 2
        if memchr(into, c".", size) is NULL:
            return 0
    if size and bytemap_find(map, owner, into, size) is NULL:
        bytemap_put(map, owner, into, size, into)
    return 0


cdef bint names_have(const Names *names, const char *name, uint32_t size) noexcept nogil:
    cdef const char *dot
    cdef uint32_t label
    if names.bytes is NULL or size == 0:
        return False
    if bytemap_find(&names.map, EXACT, name, size) is not NULL:
        return True
    dot = <const char *> memchr(name, c".", size)
    if dot is NULL or dot == name:
        return False
    label = <uint32_t> (dot - name) + 1
    return bytemap_find(&names.map, WILDCARD, name + label, size - label) is not NULL


cdef void names_free(Names *names) noexcept nogil:
    bytemap_free(&names.map)
    free(names.bytes)
    names.bytes = NULL
