# The request target and the authority: their forms, their bytes, and the one normalisation of paths.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.head cimport Head, HeadLimits
from fastroute.ext.slice cimport Arena, Slice


# The functions of head.pyx: each returns 0 or -Refusal.
cdef int take_target(Head *head, const HeadLimits *limits, Arena *arena) noexcept nogil
cdef int take_host(Head *head, Arena *arena) noexcept nogil
cdef int check_authority(Slice authority) noexcept nogil

# Normalises `path` (which starts with '/') into `out` (at least `size` bytes) as RFC 3986 section 6.2.2 says.
# Returns the bytes written, or -Refusal.
cdef int normalise(const char *path, uint32_t size, bint merge_slashes, char *out) noexcept nogil
