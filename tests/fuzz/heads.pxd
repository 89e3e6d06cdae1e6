# Heads of requests and responses. The first byte of an input selects limits and options (OPTION_ in heads.pyx), the
# second the size of the pieces in which the head arrives; the others are the head.

from libc.stdint cimport uint8_t

cdef const char *fuzz_request(const uint8_t *data, size_t size) noexcept nogil
cdef const char *fuzz_response(const uint8_t *data, size_t size) noexcept nogil
