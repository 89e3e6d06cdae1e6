# The list is a stack: parts that are added while a part is freed come first, so the list stays short.

from libc.stdint cimport uint64_t

from fastroute.ext.clock cimport microseconds_now

cdef extern from * nogil:
    """
    #include <malloc.h>
    #ifdef M_MXFAST
    #define fastroute_spread_frees() mallopt(M_MXFAST, 0)
    #else
    #define fastroute_spread_frees() 0
    #endif
    """
    int mallopt_spread "fastroute_spread_frees"()

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
    """Makes glibc merge each small piece of memory when it is freed. By default it collects small pieces and merges all
    of them at a time of its choice, which takes 100 ms after the removal of 8,192 regular expressions."""
    mallopt_spread()
