# Which fields have no place in a trailer section.

from libc.stdint cimport uint32_t


# Whether a trailer of this name, in any case, is dropped. A '_' counts as '-'. Of a name longer than TRAILER_NAME_MOST
# its first TRAILER_NAME_MOST bytes decide.
cdef bint is_forbidden_trailer(const char *name, uint32_t size) noexcept nogil
