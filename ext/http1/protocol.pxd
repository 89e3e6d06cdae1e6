# Protocol names in an Upgrade field (RFC 9110 section 7.8): Upgrade = #( name [ "/" version ] ), both tokens.
#
# Some protocols carry HTTP requests. The requests inside such a connection would bypass the matching of rules, so an
# Upgrade that names one of them is not used: HTTP/2 in cleartext (h2c) and its drafts (h2c-14), HTTP itself, and TLS,
# which has HTTP inside (RFC 2817).

from libc.stdint cimport uint32_t

from fastroute.ext.message.octet cimport OCTET_TOKEN, is_space, is_text, run_over
from fastroute.ext.memory.slice cimport Slice


cdef inline bint carries_requests(const char *name, uint32_t size) noexcept nogil:
    if is_text(name, size, b"http", 4) or is_text(name, size, b"tls", 3):
        return True
    if is_text(name, size, b"h2", 2) or is_text(name, size, b"h2c", 3):
        return True
    return size > 3 and (is_text(name, 3, b"h2-", 3) or size > 4 and is_text(name, 4, b"h2c-", 4))


cdef inline const char *past_protocol(const char *at, const char *end) noexcept nogil:
    """The end of the protocol at `at`, with white space after it. NULL: none, or one that must not be used."""
    cdef const char *name = at
    at = run_over(at, end, OCTET_TOKEN)
    if at == name or carries_requests(name, <uint32_t> (at - name)):
        return NULL
    if at < end and at[0] == c'/':
        name = at + 1
        at = run_over(name, end, OCTET_TOKEN)
        if at == name:
            return NULL
    while at < end and is_space(at[0]):
        at += 1
    return at if at == end or at[0] == c',' else NULL


cdef inline bint may_switch(Slice protocols) noexcept nogil:
    """Whether the value of Upgrade names at least one protocol, and only protocols that can be used."""
    cdef const char *at = protocols.data
    cdef const char *end = at + protocols.size
    cdef bint named = False
    while True:
        while at < end and (is_space(at[0]) or at[0] == c','):
            at += 1
        if at == end:
            return named
        at = past_protocol(at, end)
        if at == NULL:
            return False
        named = True
