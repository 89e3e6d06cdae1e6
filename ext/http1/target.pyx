"""The request target (RFC 9112 section 3.2); see target.pxd.

Origin-form is supported, and absolute-form, which is reduced to origin-form. With OPTIONS, asterisk-form and an
absolute-form without a path refer to the gateway itself (RFC 9112 section 3.2.4). Authority-form is only for CONNECT,
and is refused.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memchr

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport METHOD_CONNECT, METHOD_OPTIONS
from fastroute.ext.message.octet cimport is_text
from fastroute.ext.message.path cimport take_path
from fastroute.ext.message.refusal cimport (
    REFUSAL_METHOD_CONNECT, REFUSAL_TARGET_ASTERISK, REFUSAL_TARGET_FRAGMENT, REFUSAL_TARGET_INVALID,
    REFUSAL_TARGET_SCHEME, REFUSAL_TARGET_USERINFO,
)


cdef int take_absolute(Head *head, const char *at, const char *end, const HeadLimits *limits,
                       Arena *arena) noexcept nogil:
    """absolute-form: scheme "://" authority path-abempty [ "?" query ]. Returns 0 or -Refusal."""
    cdef const char *colon = <const char *> memchr(at, c':', end - at)
    cdef const char *authority
    cdef uint32_t size
    if colon == NULL or end - colon < 3 or colon[1] != c'/' or colon[2] != c'/':
        return -REFUSAL_TARGET_INVALID
    size = <uint32_t> (colon - at)
    if not (is_text(at, size, b"http", 4) or is_text(at, size, b"https", 5)):
        return -REFUSAL_TARGET_SCHEME
    authority = colon + 3
    at = authority
    while at < end and at[0] != c'/' and at[0] != c'?' and at[0] != c'#':
        if at[0] == c'@':
            return -REFUSAL_TARGET_USERINFO
        at += 1
    head.message.authority = Slice(authority, <uint32_t> (at - authority))
    if at < end and at[0] == c'/':
        return take_path(&head.message, at, end, limits, arena)
    if at < end and at[0] == c'#':
        return -REFUSAL_TARGET_FRAGMENT
    head.message.path = Slice(b"/", 1)          # RFC 9112 section 3.2.1: an empty path is sent as "/"
    head.message.asterisk = at == end and head.message.method_name == METHOD_OPTIONS
    if at < end:
        head.message.has_query = 1
        head.message.query = Slice(at + 1, <uint32_t> (end - at - 1))
        if memchr(at, c'#', end - at) != NULL:
            return -REFUSAL_TARGET_FRAGMENT
    return 0


cdef int take_target(Head *head, const HeadLimits *limits, Arena *arena) noexcept nogil:
    cdef const char *at = head.target.data
    cdef const char *end = at + head.target.size
    if head.message.method_name == METHOD_CONNECT:
        return -REFUSAL_METHOD_CONNECT
    if at[0] == c'/':
        return take_path(&head.message, at, end, limits, arena)
    if head.target.size == 1 and at[0] == c'*':
        head.message.path = head.target
        head.message.asterisk = 1
        return 0 if head.message.method_name == METHOD_OPTIONS else -REFUSAL_TARGET_ASTERISK
    return take_absolute(head, at, end, limits, arena)
