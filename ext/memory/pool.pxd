# Memory that is freed all at once: pieces cut from a list of chunks.

from libc.stdint cimport uint32_t

from fastroute.ext.memory.slice cimport Slice


cdef struct Chunk:
    Chunk *next
    uint32_t size               # bytes after this header
    uint32_t used

cdef struct Pool:
    Chunk *chunks               # newest first
    uint32_t step               # bytes of the next chunk; doubles up to a bound

cdef void pool_start(Pool *pool, uint32_t size) noexcept nogil      # `size`: bytes of the first chunk
# `size` bytes, zeroed and 8-aligned. MemoryError.
cdef void *pool_take(Pool *pool, uint32_t size) except NULL nogil
cdef bint pool_free_one(Pool *pool) noexcept nogil                  # frees one chunk; true if none is left
cdef void pool_free(Pool *pool) noexcept nogil
# A copy of the text as UTF-8. MemoryError, UnicodeEncodeError.
cdef int pool_text(Pool *pool, str text, Slice *slice) except -1
