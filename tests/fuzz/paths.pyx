"""A normal path is not longer than the path, has no dot segments, and is its own normal form."""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from fastroute.ext.message.path cimport normalise


cdef bint has_dots(const char *path, uint32_t size) noexcept nogil:
    """Whether a segment is `.` or `..`."""
    cdef uint32_t at = 0
    cdef uint32_t start
    while at < size:
        start = at + 1          # after the slash
        at = start
        while at < size and path[at] != c"/":
            at += 1
        if at - start in (1, 2) and path[start] == c"." and path[at - 1] == c".":
            return True
    return False


cdef const char *check(const char *path, uint32_t size, bint merge) noexcept nogil:
    cdef char *first = <char *> malloc(size)
    cdef char *second
    cdef int result = normalise(path, size, merge, first)
    cdef uint32_t i
    cdef const char *broken = NULL
    if result > 0:
        second = <char *> malloc(result)
        if result > <int> size or first[0] != c"/":
            broken = b"a normal path is too long or has no slash"
        elif has_dots(first, <uint32_t> result):
            broken = b"a normal path has dot segments"
        elif normalise(first, <uint32_t> result, merge, second) != result or memcmp(first, second, result) != 0:
            broken = b"a normal path is not its own normal form"
        for i in range(1, <uint32_t> result if merge else 0):
            if first[i] == c"/" and first[i - 1] == c"/":
                broken = b"slashes are left"
        free(second)
    elif result == 0:
        broken = b"a normal path is empty"
    free(first)
    return broken


cdef const char *fuzz_path(const uint8_t *data, size_t size) noexcept nogil:
    cdef char *path
    cdef const char *broken
    if size == 0:
        return NULL
    path = <char *> malloc(size)
    path[0] = c"/"
    memcpy(path + 1, data + 1, size - 1)
    broken = check(path, <uint32_t> size, data[0] & 1)
    free(path)
    return broken
