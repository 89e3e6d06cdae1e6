# Session tokens: which endpoint an answer came from, written so that only we can read it (GEP-1619).
#
# A token is one block of AES-128 under the rule's key: the endpoint, the backend, and when it was made. Nobody keeps
# anything. What was not made under this key (another rule's, a forged one) reads as an endpoint that the rule does not
# have, and so as none: a token can choose among the rule's eligible endpoints, and nothing else.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastroute.ext.head cimport Head
from fastroute.ext.pool cimport Pool
from fastroute.ext.slice cimport Arena, Slice


cdef extern from "<openssl/evp.h>" nogil:
    ctypedef struct EVP_CIPHER_CTX:
        pass

cdef struct Session:            # of a rule; in its pool
    EVP_CIPHER_CTX *encrypting  # owned
    EVP_CIPHER_CTX *decrypting  # owned
    bint header                 # the token is a header field's value, not a cookie's
    bint permanent              # the cookie says its lifetime
    bint holds_backend          # a token is stronger than the weights
    uint32_t lifetime           # seconds; 0: no limit
    Slice name                  # of the cookie or field
    Slice lower                 # the same in lower case
    Slice attributes            # of the cookie: what follows its value

cdef struct Token:
    uint64_t endpoint           # Endpoint.identity
    uint32_t backend            # session_mark of its name
    uint32_t made               # seconds since 1970

# From a snapshot.Session. Raises MemoryError, ValueError for a key that is none.
cdef Session *session_new(Pool *pool, source) except NULL
cdef void session_free(Session *session) noexcept nogil         # what it owns; may be NULL
# How tokens name a backend.
cdef uint32_t session_mark(Slice backend) noexcept nogil
# The next token of the request that was not made too long ago; `position` begins at 0, and is moved. False: none is left.
# A request may bring several of one name (RFC 6265 section 5.4), of which at most one is ours.
cdef bint session_read(const Session *session, const Head *head, int64_t now, uint64_t *position,
                       Token *token) noexcept nogil
# Puts the token into the response. Returns 0, or -1 when the arena is full.
cdef int session_write(const Session *session, const Token *token, Head *head, Arena *arena) noexcept nogil
