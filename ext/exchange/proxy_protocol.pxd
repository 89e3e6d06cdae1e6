# The PROXY protocol, versions 1 and 2: the address of the client of the proxy in front. Takes bytes, returns an
# address.

from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef struct Preface:
    bint told                   # False: the header has no address (LOCAL, UNKNOWN), the address of the peer remains
    uint16_t family             # AF_INET or AF_INET6
    uint16_t port
    uint8_t address[16]         # network order; 4 bytes used for IPv4

cdef enum:
    PREFACE_MOST = 16 + 2048    # maximum size of a version 2 header with all usual extensions

# Returns the size of the header (> 0), 0 if more bytes are needed, or -1 if the bytes are not a header.
cdef int parse_preface(Preface *preface, const char *data, uint32_t size) noexcept nogil
