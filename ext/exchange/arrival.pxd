# What one side of an exchange reports: one read is an Arrival, whose events are taken one after another.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.memory.slice cimport Slice


cdef enum Event:
    EVENT_NONE = 0              # all that was received has been taken
    EVENT_INTERIM               # the head of an interim answer, in `r.head.message`
    EVENT_HEAD                  # the head of the final answer, in `r.head.message`; a piece follows, which may be empty
    EVENT_PIECE                 # of the body
    EVENT_CLOSED                # the connection has ended
    EVENT_MALFORMED             # `refusal`
    EVENT_NO_ROOM               # out of memory

cdef struct Piece:              # of a body, on its way from one side to the other
    Slice data                  # content; with `chunked` in chunks as received, with the trailers that go on
    uint8_t chunked             # only for a side that takes chunks
    uint8_t end                 # the body is complete

cdef struct Arrival:
    char *data                  # received, not taken yet; after a 101: not HTTP
    uint32_t size
    uint32_t taken              # bytes that the last event took
    uint8_t kept                # the bytes are in the input of the connection
    uint8_t headed              # EVENT_HEAD was the last event
    uint8_t closed
    uint8_t clean               # closed by the peer, not broken
    int refusal
    Piece piece
