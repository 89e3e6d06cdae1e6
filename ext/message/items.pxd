# Comma-separated lists in field values (RFC 9110 section 5.6.1).

from libc.stdint cimport uint32_t

from fastroute.ext.memory.slice cimport Slice


# The next item of a comma-separated list, without surrounding white space; empty items are skipped. False: none left.
cdef bint next_item(Slice *rest, Slice *item) noexcept nogil
# Whether `text` (lower case) is an item of the comma-separated `value`, without regard to case.
cdef bint lists(Slice value, const char *text, uint32_t size) noexcept nogil
