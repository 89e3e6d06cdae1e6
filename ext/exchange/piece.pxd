# A piece of a body on its way from one side of an exchange to the other.

from libc.stdint cimport uint8_t

from fastroute.ext.memory.slice cimport Slice


cdef struct Piece:
    Slice data                  # content; with `chunked` in chunks as received, with the trailers that go on
    uint8_t chunked             # only for a side that takes chunks
    uint8_t end                 # the body is complete
