# The list is a stack: parts that are added while a part is freed come first, so the list stays short.

from libc.stdint cimport uint64_t

from fastroute.ext.memory.clock cimport microseconds_now

cdef extern from * nogil:
    """
    #include <limits.h>
    #include <malloc.h>
    static void fastroute_spread_frees(void) {
    #ifdef M_MXFAST
        mallopt(M_MXFAST, 0);
        mallopt(M_TRIM_THRESHOLD, INT_MAX);
        mallopt(M_MMAP_THRESHOLD, 32 << 20);
    #endif
    }
    """
    void fastroute_spread_frees()

cdef Grave *_top = NULL
cdef unsigned long _buried = 0


cdef void bury(Grave *grave) noexcept nogil:
    global _top, _buried
    grave.next = _top
    grave.cursor = 0
    _top = grave
    _buried += 1


cdef bint collect_for(uint32_t microseconds) noexcept nogil:
    global _top, _buried
    cdef uint64_t end
    cdef Grave *grave
    if _top == NULL:
        return False
    end = microseconds_now() + microseconds
    while _top != NULL and microseconds_now() < end:
        grave = _top
        _top = grave.next           # removed from the list, because it may add others
        if grave.dismantle(grave):
            _buried -= 1
        else:
            grave.next = _top
            _top = grave
    return _top != NULL


def collect(microseconds: int) -> bool:
    """Frees old parts for about that long; True if some are left. Call it after an install until it returns False."""
    return collect_for(microseconds)


def buried() -> int:
    """The number of parts that wait to be freed."""
    return _buried


def spread_frees() -> None:
    """Limits the duration of each `free` of glibc. By default, glibc collects small pieces and later merges all of them
    in one call (which took 100 ms after the removal of 8,192 regular expressions), and returns memory to the kernel,
    which takes 0.4 ms per megabyte. Now it merges each piece at once, and keeps memory for the next installation."""
    fastroute_spread_frees()
