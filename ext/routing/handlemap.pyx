# Copying, changing and emptying the map.

from libc.stdint cimport uint64_t
from libc.string cimport memset


cdef Py_ssize_t _part_of(str id) except -1:
    """A dictionary uses the other end of the hash."""
    return (<uint64_t> hash(id)) >> 56


cdef class HandleMap:
    def __cinit__(self):
        self.parts = [None] * PARTS

    def __len__(self):
        return self.count

    cdef HandleMap share(self):
        cdef HandleMap copy = HandleMap.__new__(HandleMap)
        copy.parts = self.parts[:]
        copy.count = self.count
        memset(self.own, 0, PARTS)
        return copy

    cdef object find(self, str id):
        cdef dict part = self.parts[_part_of(id)]
        return None if part is None else part.get(id)

    cdef dict _own_part(self, Py_ssize_t number):
        cdef dict part = self.parts[number]
        if not self.own[number]:
            part = self.parts[number] = {} if part is None else part.copy()
            self.own[number] = True
        return part

    cdef int put(self, str id, object handle) except -1:
        cdef dict part = self._own_part(_part_of(id))
        self.count += id not in part
        part[id] = handle
        return 0

    cdef object take(self, str id):
        handle = self.find(id)
        if handle is not None:
            del self._own_part(_part_of(id))[id]
            self.count -= 1
        return handle

    def emptying(self):
        """Drops all handles in steps."""
        while self.parts:
            self.parts.pop()
            if len(self.parts) % 4 == 0:
                yield
