# X-Forwarded-For, -Proto, -Host and X-Request-ID towards the backend, and whose word we take for them.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.http1 cimport Head
from fastroute.ext.slice cimport Arena, Slice


cdef struct TrustedProxies      # a set of CIDR blocks, immutable

cdef struct Peer:               # who is at the other end of a client connection
    uint16_t family             # AF_INET, AF_INET6; IPv4-mapped IPv6 is stored as AF_INET
    uint16_t port
    uint8_t address[16]
    bint trusted                # inside --trusted-proxies; decided once, at accept

cdef bint is_trusted(const TrustedProxies *trusted, uint16_t family, const uint8_t *address) noexcept nogil
# Replaces or appends the forwarded fields of `head`; gives the client's address (first untrusted) and the request id,
# both in the arena or in the head's bytes. Returns 0, or -1 when the arena is full.
cdef int forward(const TrustedProxies *trusted, const Peer *peer, bint tls, uint64_t *random, Head *head, Arena *arena,
                 Slice *client, Slice *request_id) noexcept nogil
