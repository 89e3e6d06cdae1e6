# Chunked bodies. The first byte of an input selects which trailers are dropped, the second the size of the pieces in
# which the body arrives; the others are the body.

from libc.stdint cimport uint8_t

cdef const char *fuzz_chunked(const uint8_t *data, size_t size) noexcept nogil
