# The request target and the authority: their forms, their bytes, and the one normalisation of paths.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.head cimport Head, HeadLimits
from fastroute.ext.slice cimport Arena, Slice


# Normalises `path` (which starts with '/') into `out` (at least `size` bytes) as RFC 3986 section 6.2.2 says.
# Returns the bytes written, or -Refusal.
cdef int normalise(const char *path, uint32_t size, bint merge_slashes, char *out) noexcept nogil
