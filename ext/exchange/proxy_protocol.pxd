# The PROXY protocol, versions 1 and 2: the address of the client of the proxy in front. Takes bytes, returns an
# address. Towards backends that want to know the client, version 2 is written.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastroute.ext.message.forwarded cimport Peer


cdef struct Preface:
    bint told                   # False: the header has no address (LOCAL, UNKNOWN), the address of the peer remains
    uint16_t family             # AF_INET or AF_INET6
    uint16_t port
    uint8_t address[16]         # network order; 4 bytes used for IPv4

cdef enum:
    PREFACE_MOST = 16 + 2048    # maximum size of a version 2 header with all usual extensions
    PREFACE_WRITTEN = 16 + 36   # maximum size of one that is written

# Writes a header of version 2 for a connection from `client` to `address` and `port` of this gateway, at most PREFACE_WRITTEN
# bytes. If the addresses are of different families, that of the gateway is all zeros; if the family of the client is neither
# AF_INET nor AF_INET6, the header has no address. Returns its size.
cdef uint32_t write_preface(char *into, const Peer *client, uint16_t family, const uint8_t *address,
                            uint16_t port) noexcept nogil
# Returns the size of the header (> 0), 0 if more bytes are needed, or -1 if the bytes are not a header.
cdef int parse_preface(Preface *preface, const char *data, uint32_t size) noexcept nogil
