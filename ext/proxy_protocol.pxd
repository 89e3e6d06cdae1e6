# The PROXY protocol, versions 1 and 2: who the client of the proxy before us is. Bytes in, an address out.

from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef struct Preface:
    bint told                   # False: the sender speaks for itself (LOCAL, UNKNOWN), the peer stays who it is
    uint16_t family             # AF_INET or AF_INET6
    uint16_t port
    uint8_t address[16]         # network order; 4 bytes used for IPv4

cdef enum:
    PREFACE_MOST = 16 + 2048    # bytes of a header of version 2 with everything that senders add to it

# Returns the bytes that the header takes (> 0), 0 when more are needed, or -1 when this is none.
cdef int parse_preface(Preface *preface, const char *data, uint32_t size) noexcept nogil
