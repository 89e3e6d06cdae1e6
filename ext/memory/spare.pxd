# Freed blocks, kept by size for the next allocation. Streams begin and end in bursts, of which malloc keeps only seven
# blocks of a size at hand: beyond that, an allocation costs five times as much.
#
# Every block is one of malloc, with at least the size of its list. Under AddressSanitizer none is kept, so that it sees a
# use after the end.

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc


cdef extern from * nogil:
    """
    #include <malloc.h>
    #if defined(__has_feature)
    #if __has_feature(address_sanitizer)
    #define FASTROUTE_SPARES 0
    #endif
    #endif
    #if defined(__SANITIZE_ADDRESS__)
    #define FASTROUTE_SPARES 0
    #elif !defined(FASTROUTE_SPARES)
    #define FASTROUTE_SPARES (2 * 1024 * 1024)
    #endif
    """
    const size_t SPARES_MOST "FASTROUTE_SPARES"     # bytes of all lists
    size_t malloc_usable_size(void *block)

cdef enum:
    SPARE_LISTS = 65            # larger blocks are not kept
    SPARE_STEP = 16             # bytes; the smallest block has 8 more, as those of glibc

cdef struct Spares:
    void *first[SPARE_LISTS]    # for each list; a block begins with the address of the next one
    size_t kept                 # bytes

cdef Spares spares


cdef inline size_t list_for(size_t size) noexcept nogil:
    """The number of the list whose blocks have at least `size` bytes: number * SPARE_STEP + 8."""
    return (size + SPARE_STEP - 9) // SPARE_STEP if size > SPARE_STEP + 8 else 1


cdef inline void *spare_take(size_t size) noexcept nogil:
    """A block of `size` bytes, not zeroed; NULL if out of memory."""
    cdef size_t number = list_for(size)
    cdef void *block
    if number >= SPARE_LISTS:
        return malloc(size)
    block = spares.first[number]
    if block is NULL:
        return malloc(number * SPARE_STEP + 8)
    spares.first[number] = (<void **> block)[0]
    spares.kept -= number * SPARE_STEP + 8
    return block


cdef inline void give_to(void *block, size_t number) noexcept nogil:
    if number >= SPARE_LISTS or spares.kept >= SPARES_MOST:
        free(block)
        return
    (<void **> block)[0] = spares.first[number]
    spares.first[number] = block
    spares.kept += number * SPARE_STEP + 8


cdef inline void spare_give(void *block, size_t size) noexcept nogil:
    """Frees a block of spare_take(size); it may be NULL."""
    if block is not NULL:
        give_to(block, list_for(size))


cdef inline void spare_return(void *block) noexcept nogil:
    """Frees a block of spare_take or malloc whose size is not known; it may be NULL."""
    cdef size_t size
    if block is NULL:
        return
    size = malloc_usable_size(block)
    if size < SPARE_STEP + 8:
        free(block)
    else:
        give_to(block, (size - 8) // SPARE_STEP)
