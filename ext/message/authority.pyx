"""Authorities; see authority.pxd.

A host is a name of letters, digits, `-`, `_` and `.`, an IPv4 address, or an IPv6 address in brackets. RFC 3986 allows
more in a name, but such names are not used for hosts, and parsers interpret them differently.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memchr, memcpy

from fastroute.ext.memory.address cimport AF_INET6, inet_pton
from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.limits cimport HOST_MOST
from fastroute.ext.message.octet cimport OCTET_HOST, OCTET_UPPER, lower, octets, run_over
from fastroute.ext.message.refusal cimport REFUSAL_ARENA_FULL, REFUSAL_HOST_INVALID


cdef int take_port(const char *at, const char *end) noexcept nogil:
    """The number in `:port`, 0 if there is none, or -Refusal. The port may be empty (RFC 3986 section 3.2.3)."""
    cdef int port = 0
    if at == end:
        return 0
    if at[0] != c':' or end - at > 6:
        return -REFUSAL_HOST_INVALID
    at += 1
    while at < end:
        if at[0] < c'0' or at[0] > c'9':
            return -REFUSAL_HOST_INVALID
        port = port * 10 + (at[0] - c'0')
        at += 1
    return port if port < 65536 else -REFUSAL_HOST_INVALID


cdef const char *run_over_address(const char *at, const char *end) noexcept nogil:
    """The byte after the `]` of an IPv6 address in brackets; NULL if the address is invalid."""
    cdef char text[48]
    cdef uint8_t address[16]
    cdef const char *close = <const char *> memchr(at, c']', end - at)
    cdef Py_ssize_t size
    if close == NULL:
        return NULL
    size = close - at - 1
    if size < 2 or size >= <Py_ssize_t> sizeof(text):
        return NULL
    memcpy(text, at + 1, size)
    text[size] = 0
    return close + 1 if inet_pton(AF_INET6, text, address) == 1 else NULL


cdef const char *run_over_name(const char *at, const char *end) noexcept nogil:
    """The byte after a host name; NULL if it is empty, too long, or has an empty label before its last dot."""
    cdef const char *start = at
    cdef const char *dot = at - 1
    at = run_over(at, end, OCTET_HOST)
    end = at
    if at == start or at - start > HOST_MOST or start[0] == c'.':
        return NULL
    while True:
        at = <const char *> memchr(dot + 1, c'.', end - dot - 1)
        if at == NULL:
            return end
        if at == dot + 1:
            return NULL
        dot = at


cdef int split_authority(Slice authority, Slice *host) noexcept nogil:
    """`host` without port and final dot, in its original case. Returns the port (0: none) or -Refusal."""
    cdef const char *at = authority.data
    cdef const char *end = at + authority.size
    cdef const char *after
    cdef int port
    if authority.size == 0:
        return -REFUSAL_HOST_INVALID
    after = run_over_address(at, end) if at[0] == c'[' else run_over_name(at, end)
    if after == NULL:
        return -REFUSAL_HOST_INVALID
    port = take_port(after, end)
    if (after - 1)[0] == c'.':
        after -= 1
    host[0] = Slice(at, <uint32_t> (after - at))
    return port


cdef int take_host(Message *message, Arena *arena) noexcept nogil:
    cdef Slice host
    cdef char *out
    cdef uint32_t i
    cdef uint8_t seen = 0
    cdef int port = split_authority(message.authority, &host)
    if port < 0:
        return port
    message.host = host
    for i in range(host.size):
        seen |= octets[<uint8_t> host.data[i]]
    if not seen & OCTET_UPPER:
        return 0
    out = <char *> arena_take(arena, host.size)
    if out == NULL:
        return -REFUSAL_ARENA_FULL
    for i in range(host.size):
        out[i] = lower(host.data[i])
    message.host.data = out
    return 0


cdef int check_authority(Slice authority) noexcept nogil:
    cdef Slice host
    cdef int port = split_authority(authority, &host)
    return port if port < 0 else 0


cdef uint32_t write_port(char *out, uint16_t port) noexcept nogil:
    cdef char digits[5]
    cdef uint32_t count = 0
    cdef uint32_t i
    if port == 0:
        return 0
    while port:
        digits[count] = c'0' + port % 10
        port //= 10
        count += 1
    out[0] = c':'
    for i in range(count):
        out[1 + i] = digits[count - 1 - i]
    return count + 1
