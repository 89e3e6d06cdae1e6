# What is spoken on connections. Each protocol that carries Messages has a row in the tables of ext/sides; those with streams
# have one in reactor/parent instead.

from libc.stdint cimport uint8_t


cdef enum Protocol:             # what is spoken on a connection
    PROTOCOL_HTTP1 = 0
    PROTOCOL_HTTP2_STREAM       # on one stream of HTTP/2
    PROTOCOL_RAW                # bytes without Messages: of TCP, also in TLS
    PROTOCOL_HTTP2              # of a client. From here on: with streams, which carry the Messages of another one
    PROTOCOL_HTTP2_BACKEND      # towards a backend
    PROTOCOLS                   # number of protocols

cdef inline bint has_streams(uint8_t protocol) noexcept nogil:
    """Whether one connection carries many requests at once."""
    return protocol >= PROTOCOL_HTTP2
