"""The functions with which libnghttp2 allocates and frees; see memory.pxd."""

from libc.stdlib cimport realloc
from libc.string cimport memset

from fastroute.ext.memory.spare cimport spare_return, spare_take


cdef void *take(size_t size, void *data) noexcept nogil:
    return spare_take(size)


cdef void *take_zeroed(size_t count, size_t size, void *data) noexcept nogil:
    cdef void *block = NULL
    if size == 0 or count <= <size_t> -1 // size:
        block = spare_take(count * size)
    if block is not NULL:
        memset(block, 0, count * size)
    return block


cdef void give(void *block, void *data) noexcept nogil:
    spare_return(block)


cdef void *resize(void *block, size_t size, void *data) noexcept nogil:
    return realloc(block, size)


cdef nghttp2_mem _memory
_memory.malloc = take
_memory.free = give
_memory.calloc = take_zeroed
_memory.realloc = resize


cdef nghttp2_mem *session_memory() noexcept nogil:
    return &_memory
