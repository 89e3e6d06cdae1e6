"""The PROXY protocol (haproxy.org, proxy-protocol.txt, 2020); see proxy_protocol.pxd.

Strict: a connection that must begin with a header and does not is not trusted.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memchr, memcmp, memcpy, memset, strcspn

from fastroute.ext.memory.address cimport AF_INET, AF_INET6, inet_pton

cdef enum:
    LINE_MOST = 107         # bytes of a version 1 header, including CRLF
    SIGNATURE = 12
    FIXED = 16              # bytes of version 2 before the addresses

cdef const char *SIGNATURE_BYTES = b"\r\n\r\n\x00\r\nQUIT\n"


cdef void put_number(uint8_t *into, uint32_t number) noexcept nogil:
    into[0] = <uint8_t> (number >> 8)
    into[1] = <uint8_t> number


cdef uint32_t write_preface(char *into, const Peer *client, uint16_t family, const uint8_t *address,
                            uint16_t port) noexcept nogil:
    cdef uint8_t *at = <uint8_t *> into
    cdef uint32_t width = 4 if client.family == AF_INET else 16
    memset(into, 0, PREFACE_WRITTEN)
    memcpy(into, SIGNATURE_BYTES, SIGNATURE)
    at[12] = 0x20                               # LOCAL: without an address
    if client.family != AF_INET and client.family != AF_INET6:
        return FIXED
    at[12] = 0x21                               # PROXY
    at[13] = 0x11 if width == 4 else 0x21       # TCP over IPv4 or IPv6
    put_number(&at[14], 2 * width + 4)
    memcpy(&at[FIXED], client.address, width)
    if client.family == family:
        memcpy(&at[FIXED + width], address, width)
    put_number(&at[FIXED + 2 * width], client.port)
    put_number(&at[FIXED + 2 * width + 2], port)
    return FIXED + 2 * width + 4


cdef int parse_preface(Preface *preface, const char *data, uint32_t size) noexcept nogil:
    memset(preface, 0, sizeof(Preface))
    if size == 0:
        return 0
    if data[0] == b"P":
        return parse_line(preface, data, size)
    if memcmp(data, SIGNATURE_BYTES, size if size < SIGNATURE else SIGNATURE) != 0:
        return -1
    return 0 if size < FIXED else parse_binary(preface, <const uint8_t *> data, size)


cdef int parse_binary(Preface *preface, const uint8_t *data, uint32_t size) noexcept nogil:
    """Version 2: version and command, family and protocol, length, then the addresses, source first."""
    cdef uint32_t length = <uint32_t> data[14] << 8 | data[15]
    cdef uint32_t width
    if data[12] >> 4 != 2 or (data[12] & 15) > 1 or FIXED + length > PREFACE_MOST:
        return -1
    if size < FIXED + length:
        return 0
    if (data[12] & 15) == 0 or data[13] == 0:
        return FIXED + length
    if data[13] != 0x11 and data[13] != 0x21:
        return -1
    width = 4 if data[13] == 0x11 else 16
    if length < 2 * width + 4:
        return -1
    preface.told = True
    preface.family = AF_INET if width == 4 else AF_INET6
    memcpy(preface.address, data + FIXED, width)
    preface.port = <uint16_t> data[FIXED + 2 * width] << 8 | data[FIXED + 2 * width + 1]
    return FIXED + length


cdef int parse_line(Preface *preface, const char *data, uint32_t size) noexcept nogil:
    """Version 1: `PROXY TCP4 source destination source-port destination-port`, or `PROXY UNKNOWN` and anything."""
    cdef char line[LINE_MOST + 1]
    cdef uint32_t most = size if size < LINE_MOST else LINE_MOST
    cdef const char *end = <const char *> memchr(data, b"\n", most)
    cdef uint32_t taken
    if memcmp(data, b"PROXY ", size if size < 6 else 6) != 0:
        return -1
    if end is NULL:
        return 0 if size < LINE_MOST else -1
    taken = <uint32_t> (end - data) + 1
    if data[taken - 2] != b"\r" or memchr(data, 0, taken) is not NULL:
        return -1
    memcpy(line, data, taken - 2)
    line[taken - 2] = 0
    if memcmp(line, b"PROXY UNKNOWN", 13) == 0 and (line[13] == 0 or line[13] == b" "):
        return taken
    return taken if parse_addresses(preface, line + 6) else -1


cdef bint parse_addresses(Preface *preface, char *text) noexcept nogil:
    """`TCP4 source destination source-port destination-port`, zero-terminated."""
    cdef uint8_t destination[16]
    cdef uint16_t port
    cdef char *source
    if memcmp(text, b"TCP4 ", 5) == 0:
        preface.family = AF_INET
    elif memcmp(text, b"TCP6 ", 5) == 0:
        preface.family = AF_INET6
    else:
        return False
    source = text + 5
    text = cut(source)
    if text is NULL or inet_pton(preface.family, source, preface.address) != 1:
        return False
    source = text
    text = cut(source)
    if text is NULL or inet_pton(preface.family, source, destination) != 1:
        return False
    source = text
    text = cut(source)
    preface.told = text is not NULL and parse_port(source, &preface.port) and parse_port(text, &port)
    return preface.told


cdef char *cut(char *text) noexcept nogil:
    """Terminates `text` at its first space; returns the rest, or NULL if there is no space."""
    cdef size_t size = strcspn(text, b" ")
    if text[size] == 0:
        return NULL
    text[size] = 0
    return text + size + 1


cdef bint parse_port(const char *text, uint16_t *port) noexcept nogil:
    """A decimal number from 0 to 65535, without leading zeros."""
    cdef uint32_t value = 0
    cdef uint32_t size = 0
    while b"0" <= text[size] <= b"9" and size < 6:
        value = value * 10 + <uint32_t> (text[size] - c'0')
        size += 1
    port[0] = <uint16_t> value
    return size > 0 and text[size] == 0 and value <= 65535 and (text[0] != b"0" or size == 1)
