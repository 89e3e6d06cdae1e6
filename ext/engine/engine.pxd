# The engine: everything that handles traffic, run by one trio task.

from libc.stdint cimport int64_t, uint32_t

from fastroute.ext.engine.turn cimport Turns
from fastroute.ext.reactor.reactor cimport Reactor


cdef class Engine:
    cdef Reactor r
    cdef Turns turns
    cdef dict indexes           # place -> index in Reactor.sockets; entries are never removed
    cdef bint closed
    cdef int leave(self, int64_t index, int fd) except -1
    cdef int find_sockets(self) except -1
    cdef int find_socket(self, place, uint32_t index) except -1
