# Normalisation of paths. The first byte of an input says whether slashes are merged; the others follow the first slash.

from libc.stdint cimport uint8_t

cdef const char *fuzz_path(const uint8_t *data, size_t size) noexcept nogil
