# Bytes, and the scratch memory of one pass.
#
# A Slice points at bytes that it does not own. It is valid for one pass of the engine over one head: no Slice is kept
# across events, except in immutable tables (router, filters), whose Slices point into memory that the table owns. An
# Arena is the scratch memory of one pass: reset before each pass, bounded; a failed allocation returns NULL.

from libc.stdint cimport uint32_t
from libc.string cimport memcmp


cdef struct Slice:
    const char *data        # not zero-terminated
    uint32_t size           # bytes


cdef inline bint slices_equal(const Slice *a, const Slice *b) noexcept nogil:
    return a.size == b.size and (a.size == 0 or memcmp(a.data, b.data, a.size) == 0)


cdef struct Arena:
    char *base
    uint32_t size           # bytes in total
    uint32_t used           # bytes allocated since the last reset


cdef inline void *arena_take(Arena *arena, uint32_t size) noexcept nogil:
    """`size` bytes, 8-aligned, valid until the arena is reset; NULL if the arena is full."""
    cdef uint32_t start = (arena.used + 7) & ~<uint32_t> 7
    if size > arena.size or start > arena.size - size:
        return NULL
    arena.used = start + size
    return arena.base + start
