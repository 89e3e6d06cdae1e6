"""Both parsers are called with more and more bytes of the same connection, each time in memory of exactly this size.
They must wait until they can decide, and must not change their decision when more bytes arrive.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from fastroute.ext.exchange.proxy_protocol cimport PREFACE_MOST, Preface, parse_preface
from fastroute.ext.tls.hello cimport HELLO_MOST, Hello, hello_read

cdef enum:
    STEPS = 64                  # prefixes that are tried, at most


cdef int read_preface(Preface *preface, const uint8_t *data, uint32_t size) noexcept nogil:
    cdef char *copy = <char *> malloc(size)
    cdef int result
    memcpy(copy, data, size)
    result = parse_preface(preface, copy, size)
    free(copy)
    return result


cdef const char *fuzz_preface(const uint8_t *data, size_t size) noexcept nogil:
    cdef Preface whole, part
    cdef uint32_t most = <uint32_t> min(size, <size_t> PREFACE_MOST)
    cdef uint32_t known = 0
    cdef int result, early
    if size == 0:
        return NULL
    result = read_preface(&whole, data, most)
    if result > <int> most:
        return b"the header has more bytes than were given"
    while known < most:
        known = min(most, known + max(<uint32_t> 1, most // STEPS))
        early = read_preface(&part, data, known)
        if early > 0 and (early != result or memcmp(&part, &whole, sizeof(Preface)) != 0):
            return b"the header depends on the bytes after it"
        if early < 0 and result >= 0:
            return b"a header was refused before it was complete"
        if early == 0 and result > 0 and known >= <uint32_t> result:
            return b"a complete header is not seen"
    if result > 0 and read_preface(&part, data, <uint32_t> result) != result:
        return b"a complete header is not seen"
    return NULL


cdef int read_hello(Hello *hello, const uint8_t *data, uint32_t size) noexcept nogil:
    cdef char *copy = <char *> malloc(size)
    cdef char *room = <char *> malloc(HELLO_MOST)
    cdef int result
    memset(hello, 0, sizeof(Hello))
    memcpy(copy, data, size)
    result = hello_read(hello, copy, size, room)
    free(room)
    free(copy)
    return result


cdef const char *check_name(const Hello *hello) noexcept nogil:
    cdef uint32_t i
    for i in range(hello.size):
        if <uint8_t> hello.name[i] <= 32 or <uint8_t> hello.name[i] >= 127 or c"A" <= hello.name[i] <= c"Z":
            return b"a server name has other bytes than visible ones in lower case"
    return NULL


cdef const char *fuzz_hello(const uint8_t *data, size_t size) noexcept nogil:
    cdef Hello whole, part
    cdef uint32_t most = <uint32_t> min(size, <size_t> HELLO_MOST)
    cdef uint32_t known = 0
    cdef int result, early
    if size == 0:
        return NULL
    result = read_hello(&whole, data, most)
    while known < most:
        known = min(most, known + max(<uint32_t> 1, most // STEPS))
        early = read_hello(&part, data, known)
        if early != 0 and early != result:
            return b"the decision changes when more bytes arrive"
        if early > 0 and (part.size != whole.size or memcmp(part.name, whole.name, whole.size) != 0):
            return b"the server name changes when more bytes arrive"
    return check_name(&whole) if result > 0 else NULL
