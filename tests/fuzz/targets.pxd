# The targets by name.

from libc.stdint cimport uint8_t

ctypedef const char *(*Target)(const uint8_t *data, size_t size) noexcept nogil   # NULL, or what is wrong

cdef Target target_of(name) except NULL     # KeyError
