# Paths of requests: the bytes that they may contain, and their normal form.

from libc.stdint cimport uint32_t

from fastroute.ext.memory.slice cimport Arena
from fastroute.ext.message.limits cimport HeadLimits
from fastroute.ext.message.message cimport Message


# Sets path and query of the message from the bytes from `at` to `end`, which begin with '/'. Normalises the path if that
# changes it. Returns 0 or -Refusal.
cdef int take_path(Message *message, const char *at, const char *end, const HeadLimits *limits,
                   Arena *arena) noexcept nogil
# Normalises `path` (which starts with '/') into `out` (at least `size` bytes) as specified in RFC 3986 section 6.2.2.
# Returns the number of bytes written, or -Refusal.
cdef int normalise(const char *path, uint32_t size, bint merge_slashes, char *out) noexcept nogil
