"""Comma-separated lists in field values; see items.pxd."""

from libc.stdint cimport uint32_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.octet cimport is_space, is_text


cdef bint next_item(Slice *rest, Slice *item) noexcept nogil:
    cdef const char *at = rest.data
    cdef const char *end = at + rest.size
    cdef const char *start
    while at < end and (is_space(at[0]) or at[0] == c','):
        at += 1
    start = at
    while at < end and at[0] != c',':
        at += 1
    rest[0] = Slice(at, <uint32_t> (end - at))
    while at > start and is_space((at - 1)[0]):
        at -= 1
    item[0] = Slice(start, <uint32_t> (at - start))
    return at > start


cdef bint lists(Slice value, const char *text, uint32_t size) noexcept nogil:
    """Whether `text` (lower case) is an item of the comma-separated `value`, without regard to case."""
    cdef Slice item
    while next_item(&value, &item):
        if is_text(item.data, item.size, text, size):
            return True
    return False
