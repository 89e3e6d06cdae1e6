# Endpoints; see endpoint.pxd.

from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastroute.ext.memory.address cimport AF_INET, AF_INET6, inet_ntop, inet_pton
from fastroute.ext.memory.bytemap cimport bytes_hash
from fastroute.ext.routing.poolkey cimport key_unref


cdef extern from "<stdio.h>" nogil:
    int snprintf(char *out, size_t size, const char *format, ...)


cdef enum:
    MARK = 1                    # the last byte of a packed endpoint of UDP
    IDENTITY_SEED = 0x66617374  # the same in all processes: a token made by one process is read by others


cdef void endpoint_ref(Endpoint *endpoint) noexcept nogil:
    endpoint.refs += 1


cdef void endpoint_unref(Endpoint *endpoint) noexcept nogil:
    endpoint.refs -= 1
    if endpoint.refs == 0:
        if endpoint.pool.key != NULL:
            key_unref(endpoint.pool.key)
        free(endpoint)


cdef bytes endpoint_packed(str address, int port, bint datagrams):
    cdef bytes encoded = address.encode()
    cdef uint8_t raw[19]
    cdef int size = 16 if ":" in address else 4
    if not 0 < port < 65536 or inet_pton(AF_INET6 if size == 16 else AF_INET, encoded, raw) != 1:
        raise ValueError(f"{address!r} port {port} is no endpoint")
    raw[size] = port >> 8
    raw[size + 1] = port & 0xFF
    raw[size + 2] = MARK
    return (<const char *> raw)[:size + 2 + datagrams]


cdef bytes endpoint_packed_of(const Endpoint *endpoint):
    cdef uint8_t raw[19]
    cdef int size = 16 if endpoint.family == AF_INET6 else 4
    memcpy(raw, endpoint.address, size)
    raw[size] = endpoint.port >> 8
    raw[size + 1] = endpoint.port & 0xFF
    raw[size + 2] = MARK
    return (<const char *> raw)[:size + 2 + endpoint.datagrams]


cdef Endpoint *endpoint_new(bytes packed) except NULL:
    cdef const uint8_t *raw = <const uint8_t *> <const char *> packed
    cdef int size = 16 if len(packed) > 16 else 4
    cdef char text[46]
    cdef Endpoint *endpoint = <Endpoint *> calloc(1, sizeof(Endpoint))
    if endpoint == NULL:
        raise MemoryError
    endpoint.refs = 1
    endpoint.streams = UINT32_MAX
    endpoint.datagrams = <int> len(packed) > size + 2
    endpoint.family = AF_INET6 if size == 16 else AF_INET
    endpoint.port = (raw[size] << 8) | raw[size + 1]
    endpoint.identity = bytes_hash(<const char *> raw, <uint32_t> len(packed), IDENTITY_SEED)
    memcpy(endpoint.address, raw, size)
    inet_ntop(endpoint.family, raw, text, sizeof(text))
    snprintf(endpoint.label, sizeof(endpoint.label), b"[%s]:%d" if size == 16 else b"%s:%d", text, endpoint.port)
    return endpoint
