# Methods by name.

from libc.stdint cimport uint8_t

from fastroute.ext.memory.slice cimport Slice


# The MethodName of a method.
cdef uint8_t method_of(Slice method) noexcept nogil
