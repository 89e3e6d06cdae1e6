# Connections of HTTP/2 clients: the bytes of an input are frames.

from libc.stdint cimport uint8_t

cdef const char *fuzz_http2(const uint8_t *data, size_t size) noexcept nogil
