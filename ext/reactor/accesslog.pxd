# The access log: one line per request, formatted and written without Python, in appends of whole lines.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.reactor.logline cimport LogFormat, Stamp
from fastroute.ext.reactor.logrecord cimport Record


cdef class AccessLog:           # AccessLog(fd): never blocks traffic if its reader is slow or gone
    cdef int fd
    cdef bint shared            # a pipe, socket or terminal: other workers write to it too, and its reader may be slow
    cdef char *buffer
    cdef uint32_t used          # bytes in the buffer: whole lines (after a partial write, the rest of a line first)
    cdef LogFormat format
    cdef bint sampled           # not all lines are written
    cdef uint64_t sample        # the part of them, of 2 ** 64
    cdef uint64_t random
    cdef Stamp stamp
    cdef readonly uint64_t dropped      # lines lost because the reader was too slow, or the disk was full
    cdef void write(self, const Record *record) noexcept nogil
    cdef void flush(self) noexcept nogil        # the engine calls it at least once a second
    cdef void drop(self) noexcept nogil
