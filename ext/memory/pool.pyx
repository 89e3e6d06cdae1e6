# Each chunk is twice as large as the one before, so that a small owner uses little memory and a large one has few
# chunks.

from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

cdef enum:
    LARGEST_STEP = 32 * 1024    # bytes; freed in one piece, so not too large


cdef void pool_start(Pool *pool, uint32_t size) noexcept nogil:
    pool.chunks = NULL
    pool.step = size


cdef void *pool_take(Pool *pool, uint32_t size) except NULL nogil:
    cdef uint32_t room = (size + 7) & ~<uint32_t> 7
    cdef uint32_t step
    cdef Chunk *chunk = pool.chunks
    if chunk == NULL or room > chunk.size - chunk.used:
        step = room if room > pool.step else (pool.step + 7) & ~<uint32_t> 7
        chunk = <Chunk *> calloc(1, sizeof(Chunk) + step)
        if chunk == NULL:
            with gil:
                raise MemoryError
        chunk.size = step
        chunk.next = pool.chunks
        pool.chunks = chunk
        pool.step = min(2 * pool.step, <uint32_t> LARGEST_STEP)
    chunk.used += room
    return <char *> (chunk + 1) + chunk.used - room


cdef bint pool_free_one(Pool *pool) noexcept nogil:
    cdef Chunk *chunk = pool.chunks
    if chunk != NULL:
        pool.chunks = chunk.next
        free(chunk)
    return pool.chunks == NULL


cdef void pool_free(Pool *pool) noexcept nogil:
    while not pool_free_one(pool):
        pass


cdef int pool_text(Pool *pool, str text, Slice *slice) except -1:
    cdef Py_ssize_t size
    cdef const char *data = PyUnicode_AsUTF8AndSize(text, &size)
    cdef char *copy = <char *> pool_take(pool, <uint32_t> size + 1)    # never of zero bytes: NULL means an exception
    memcpy(copy, data, size)
    slice.data = copy
    slice.size = <uint32_t> size
    return 0
