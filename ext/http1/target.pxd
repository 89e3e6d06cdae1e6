# The request target and the authority: their forms, the bytes they may contain, and the normalisation of paths.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.http1.head cimport Head, HeadLimits
from fastroute.ext.memory.slice cimport Arena, Slice


# Called by head.pyx; each returns 0 or -Refusal.
cdef int take_target(Head *head, const HeadLimits *limits, Arena *arena) noexcept nogil
cdef int take_host(Head *head, Arena *arena) noexcept nogil
cdef int check_authority(Slice authority) noexcept nogil

# Normalises `path` (which starts with '/') into `out` (at least `size` bytes) as specified in RFC 3986 section 6.2.2.
# Returns the number of bytes written, or -Refusal.
cdef int normalise(const char *path, uint32_t size, bint merge_slashes, char *out) noexcept nogil
