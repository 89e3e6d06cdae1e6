# Session tokens name the endpoint that an answer came from, encrypted so that only fastroute can read it (GEP-1619).
#
# A token is one block of AES-128 under the key of the rule: the endpoint, the backend, and the time it was made. No
# state is kept. A token that was not made with this key (but by another rule, or forged) decrypts to an endpoint that
# the rule does not have, and is ignored: a token can only choose among the eligible endpoints of the rule.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastroute.ext.memory.pool cimport Pool
from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.message cimport Message


cdef extern from "<openssl/evp.h>" nogil:
    ctypedef struct EVP_CIPHER_CTX:
        pass

cdef struct Session:            # of a rule; in its pool
    EVP_CIPHER_CTX *encrypting  # owned
    EVP_CIPHER_CTX *decrypting  # owned
    bint header                 # the token is the value of a header field, not of a cookie
    bint permanent              # the cookie states its lifetime
    bint holds_backend          # a token takes precedence over the weights
    uint32_t lifetime           # seconds; 0: no limit
    Slice name                  # of the cookie or field
    Slice lower                 # the same in lower case
    Slice attributes            # of the cookie: the text after its value

cdef struct Token:
    uint64_t endpoint           # Endpoint.identity
    uint32_t backend            # session_mark of its name
    uint32_t made               # seconds since 1970

# From a snapshot.Session. Raises MemoryError, or ValueError if the key does not have 16 bytes.
cdef Session *session_new(Pool *pool, source) except NULL
cdef void session_free(Session *session) noexcept nogil         # frees what it owns; may be NULL
# The number by which tokens identify a backend.
cdef uint32_t session_mark(Slice backend) noexcept nogil
# The next token of the request that is not too old; `position` starts at 0 and is advanced. False if none is left. A
# request may have several with the same name (RFC 6265 section 5.4), of which at most one was made here.
cdef bint session_read(const Session *session, const Message *message, int64_t now, uint64_t *position,
                       Token *token) noexcept nogil
# Adds the token to the response. Returns 0, or -1 if the arena is full.
cdef int session_write(const Session *session, const Token *token, Message *message, Arena *arena) noexcept nogil
