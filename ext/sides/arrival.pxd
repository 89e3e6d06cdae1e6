# What one side of an exchange reports: one read is an Arrival, whose events are taken one after another.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport Message


cdef enum Event:
    EVENT_NONE = 0              # all that was received has been taken
    EVENT_PART                  # the head of a request has arrived in part
    EVENT_HTTP2                 # instead of the first request: the client speaks HTTP/2
    EVENT_INTERIM               # the head of an interim answer: `message`
    EVENT_HEAD                  # the head of a request or of the final answer: `message`
    EVENT_PIECE                 # of the body: `piece`, which may be empty, or the last one
    EVENT_END                   # the body is complete, without another piece
    EVENT_CLOSED                # failure: the connection has ended
    EVENT_MALFORMED             # failure: `refusal`
    EVENT_NO_ROOM               # failure: out of memory

cdef struct Piece:              # of a body, on its way from one side to the other
    Slice data                  # content; with `chunked` in chunks as received, with the trailers that go on
    uint32_t size               # bytes of content in it
    uint8_t chunked             # only for a side that takes chunks
    uint8_t end                 # the body is complete
    const Message *trailers     # with `end` and not `chunked`: the trailers that go on; NULL: none

cdef struct Arrival:
    char *data                  # received, not taken yet; after a 101: not HTTP
    uint32_t size
    uint32_t fresh              # bytes that the read returned
    uint32_t taken              # bytes that the last event took
    uint8_t kept                # the bytes are in the input of the connection
    uint8_t headed              # EVENT_HEAD was the last event
    uint8_t closed
    uint8_t clean               # closed by the peer, not broken
    uint8_t waiting             # set by the caller: the head of the final answer is awaited, to a request of
    uint8_t method              # this MethodName,
    uint8_t upgrades            # which asks for another protocol
    int refusal
    Message *message            # valid until the next event
    Piece piece

cdef inline Piece last_piece() noexcept nogil:
    """An empty piece that ends a body."""
    return Piece(Slice(NULL, 0), 0, False, True, NULL)
