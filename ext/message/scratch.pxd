# A Head and an Arena made from Python values, to call from Python what the engine calls from C.

from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.message cimport Message


cdef bytes slice_bytes(const Slice *slice)

cdef class Scratch:             # Scratch(size): an arena of `size` bytes
    cdef Message message
    cdef Arena arena
    cdef list held              # the bytes that the head's slices point into
    cdef Slice keep(self, text)                         # str or bytes
    # Fields as (name, value). The authority is `host`; the host is made of it as by the parser: no port, lower case.
    cdef int request(self, method, path, query, host, fields) except -1
    cdef int fill(self, fields) except -1
    cdef list fields(self)                              # those that are not dropped
