# The engine: everything that handles traffic, turned by one trio task.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastroute.ext.reactor cimport Reactor


cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        uint64_t u64
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data

cdef enum:
    EVENTS = 256                # events fetched at once

cdef class Engine:
    cdef Reactor r
    cdef dict indexes           # (address, port) -> index in Reactor.sockets; never forgotten
    cdef bint closed
    cdef uint64_t turns
    cdef uint64_t worst         # microseconds of the longest turn
    cdef epoll_event events[EVENTS]     # fetched; those from `event` to `events_count` are still to be handled
    cdef int event
    cdef int events_count
    cdef int leave(self, int64_t index, int fd) except -1
    cdef int find_sockets(self) except -1
