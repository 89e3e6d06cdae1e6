"""The value of X-Forwarded-Client-Cert; see identity.pxd. Names in a certificate are hostile: a CA may sign any."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcpy, strlen

from fastroute.ext.tls.pem cimport Text, no_password
from fastroute.ext.tls.openssl cimport (
    ASN1_STRING, ASN1_STRING_get0_data, ASN1_STRING_length, BIO, BIO_free, BIO_get_mem_data, BIO_new, BIO_s_mem,
    ERR_clear_error, EVP_sha256, GENERAL_NAMES, GENERAL_NAMES_free, GENERAL_NAME_get0_value, GEN_DNS, GEN_URI,
    NID_subject_alt_name, PEM_read_bio_X509, X509, X509_NAME_print_ex, X509_digest, X509_free, X509_get_ext_d2i,
    X509_get_subject_name, XN_FLAG_RFC2253, sk_GENERAL_NAME_num, sk_GENERAL_NAME_value,
)

cdef enum:
    HASH = 32                   # bytes of SHA-256
    SUBJECT_MOST = 2048         # bytes of a subject as it is written

cdef const char *HEX = b"0123456789abcdef"
cdef const char *UPPER = b"0123456789ABCDEF"       # as libcrypto writes escapes
cdef const char *HOST_MARKS = b"-._*"
cdef const char *URI_MARKS = b"-._~:/?#[]@!$&'()*+,;=%"     # RFC 3986 section 2
cdef const char *SEPARATORS = b",;="


cdef struct Value:
    char *text
    uint32_t size
    uint32_t room


cdef void put(Value *value, const char *text, size_t size) noexcept nogil:
    """Room must have been checked."""
    memcpy(value.text + value.size, text, size)
    value.size += <uint32_t> size


cdef char *identity_of(X509 *leaf, uint32_t *size) noexcept nogil:
    cdef Value value
    value.text = <char *> malloc(IDENTITY_MOST)
    value.size = 0
    value.room = IDENTITY_MOST
    if value.text is NULL:
        return NULL
    put_hash(&value, leaf)
    put_subject(&value, leaf)
    put_names(&value, leaf, GEN_URI, b";URI=", URI_MARKS)
    put_names(&value, leaf, GEN_DNS, b";DNS=", HOST_MARKS)
    ERR_clear_error()
    size[0] = value.size
    return value.text


cdef void put_hash(Value *value, X509 *leaf) noexcept nogil:
    cdef unsigned char digest[HASH]
    cdef unsigned int size = 0
    cdef unsigned int i
    put(value, b"Hash=", 5)
    if X509_digest(leaf, EVP_sha256(), digest, &size) != 1:
        return
    for i in range(size):
        put(value, &HEX[digest[i] >> 4], 1)
        put(value, &HEX[digest[i] & 15], 1)


cdef void put_subject(Value *value, X509 *leaf) noexcept nogil:
    """Leaves the subject out if it is too long."""
    cdef BIO *bio = BIO_new(BIO_s_mem())
    cdef char *text = NULL
    cdef long size
    cdef uint32_t start = value.size
    if bio is NULL:
        return
    if X509_NAME_print_ex(bio, X509_get_subject_name(leaf), 0, XN_FLAG_RFC2253) >= 0:
        size = BIO_get_mem_data(bio, &text)
        put(value, b';Subject="', 10)
        if size <= SUBJECT_MOST and put_escaped(value, text, size, start + SUBJECT_MOST):
            put(value, b'"', 1)
        else:
            value.size = start
    BIO_free(bio)


cdef bint put_escaped(Value *value, const char *text, long size, uint32_t most) noexcept nogil:
    """Writes `\\,` as `\\2C` (RFC 4514 section 2.4). libcrypto has written controls and bytes from 0x80 in this way.
    False: there is no room."""
    cdef unsigned char octet
    cdef long i = 0
    while i < size:
        if value.size + 3 > most:
            return False
        octet = <unsigned char> text[i]
        i += 1
        if octet == c'\\' and i < size and not is_hex(text[i]):
            octet = <unsigned char> text[i]
            i += 1
        elif octet == c'\\' or (32 <= octet < 127 and octet != c'"'):
            put(value, &text[i - 1], 1)
            continue
        put(value, b"\\", 1)
        put(value, &UPPER[octet >> 4], 1)
        put(value, &UPPER[octet & 15], 1)
    return True


cdef inline bint is_hex(char octet) noexcept nogil:
    return c'0' <= octet <= c'9' or c'A' <= octet <= c'F' or c'a' <= octet <= c'f'


cdef void put_names(Value *value, X509 *leaf, int kind, const char *label, const char *marks) noexcept nogil:
    """One element for each name of this kind. If they do not fit, leaves all of them out."""
    cdef GENERAL_NAMES *names = <GENERAL_NAMES *> X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL)
    cdef uint32_t start = value.size
    cdef void *name
    cdef int found = 0
    cdef int i
    if names is NULL:
        return
    for i in range(sk_GENERAL_NAME_num(names)):
        name = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &found)
        if found == kind and not put_name(value, <const ASN1_STRING *> name, label, marks):
            value.size = start
            break
    GENERAL_NAMES_free(names)


cdef bint put_name(Value *value, const ASN1_STRING *name, const char *label, const char *marks) noexcept nogil:
    """False: there is no room."""
    cdef const char *text = <const char *> ASN1_STRING_get0_data(name)
    cdef size_t size = <size_t> ASN1_STRING_length(name)
    cdef bint quoted = False
    cdef size_t i
    if size == 0:
        return True
    if value.size + strlen(label) + size + 2 > value.room:
        return False
    for i in range(size):
        if not is_alphanumeric(text[i]) and (text[i] == 0 or memchr(marks, text[i], strlen(marks)) is NULL):
            return True
        quoted = quoted or memchr(SEPARATORS, text[i], 3) is not NULL
    put(value, label, strlen(label))
    if quoted:
        put(value, b'"', 1)
    put(value, text, size)
    if quoted:
        put(value, b'"', 1)
    return True


cdef inline bint is_alphanumeric(char octet) noexcept nogil:
    return c'0' <= octet <= c'9' or c'a' <= octet <= c'z' or c'A' <= octet <= c'Z'


# --- for Python


def identity(bytes pem not None) -> bytes:
    """The value for the first certificate of the PEM. ValueError: there is none."""
    cdef Text text = Text(pem)
    cdef X509 *leaf = PEM_read_bio_X509(text.bio, NULL, no_password, NULL)
    cdef uint32_t size = 0
    cdef char *value
    ERR_clear_error()
    if leaf is NULL:
        raise ValueError("there is no certificate")
    value = identity_of(leaf, &size)
    X509_free(leaf)
    if value is NULL:
        raise MemoryError
    try:
        return value[:size]
    finally:
        free(value)
