# X-Forwarded-For, -Proto, -Host, X-Request-ID and Max-Forwards sent to the backend, and which received values are kept.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastroute.ext.memory.entropy cimport Entropy
from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.message cimport Field, Message


cdef struct TrustedProxies      # a set of CIDR blocks, immutable

cdef struct Peer:               # the peer of a client connection
    uint16_t family             # AF_INET, AF_INET6; IPv4-mapped IPv6 is stored as AF_INET
    uint16_t port
    uint8_t address[16]         # network order; 4 bytes used for IPv4
    bint trusted                # in --trusted-proxies; determined by peer_set
    uint8_t text_size
    char text[46]               # the address as written in X-Forwarded-For and the log: "10.0.0.1", "2001:db8::1"

cdef struct Forwarded:          # what the forwarding fields of one head say; valid as long as its fields
    Slice client                # in the head or in Peer
    Slice request_id            # in the head or in the arena
    Field *last_for             # the last line of X-Forwarded-For that is kept; NULL: none
    Field *proto
    Field *host
    Field *id

# From "10.0.0.0/8", "::1", ... Raises ValueError with the text that is not an address or CIDR block, MemoryError.
cdef TrustedProxies *trusted_proxies_new(object blocks) except NULL
cdef void trusted_proxies_free(TrustedProxies *trusted) noexcept nogil
cdef bint is_trusted(const TrustedProxies *trusted, uint16_t family, const uint8_t *address) noexcept nogil
# Fills in `peer` from the result of accept4 or from a PROXY header (family AF_INET or AF_INET6, address in network
# order, port in host order). Maps IPv4-mapped IPv6 to IPv4. With any other family (AF_UNIX) the peer is "unknown" and
# not trusted.
cdef void peer_set(Peer *peer, const TrustedProxies *trusted, uint16_t family, const uint8_t *address,
                   uint16_t port) noexcept nogil
# Before the request is matched: finds the address of the client (the first untrusted one), and drops the fields that
# this peer must not send, so that no match sees them.
cdef void forward_begin(Forwarded *said, const TrustedProxies *trusted, const Peer *peer,
                        Message *message) noexcept nogil
# After matching and before the filters: adds or extends the forwarding fields, and sets `said.request_id`. The scheme of
# the message is that of the peer's connection; it becomes that of the client, according to a trusted X-Forwarded-Proto.
# Returns 0, or -1 if the arena is full or the kernel gives no random bytes.
cdef int forward(Forwarded *said, const Peer *peer, Entropy *entropy, Message *message, Arena *arena) noexcept nogil
# Decrements Max-Forwards, which `message` must have and which must not be 0. Returns 0, or -1 if the arena is full.
cdef int count_forward(Message *message, Arena *arena) noexcept nogil
