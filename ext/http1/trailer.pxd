# Which fields are not allowed in a trailer section.

from libc.stdint cimport uint32_t


cdef enum:
    TRAILER_NAME_MOST = 64      # no forbidden trailer has a longer name

# Whether a trailer with this name, in any case, is dropped. '_' counts as '-'. If a name is longer than
# TRAILER_NAME_MOST, only its first TRAILER_NAME_MOST bytes are considered.
cdef bint is_forbidden_trailer(const char *name, uint32_t size) noexcept nogil
