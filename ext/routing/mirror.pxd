# Mirrors: a mirror sends a copy of a request to a backend and discards the answer.
#
# A mirror is an upstream connection with a Mirror and without an owner: nothing it does affects the original request.
# The exchange of the original request holds handles of its mirrors, to pass the body on to them, but only until the
# last byte of the body. Only after that byte may the connection of a mirror return to a pool, where other requests can
# use it. So a connection found by such a handle is still this mirror.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.list cimport Link, Member
from fastroute.ext.routing.backends cimport Backend


cdef struct Mirror:             # owned by its connection
    Backend *backend            # holds a reference
    uint8_t method              # MethodName
    uint8_t fed                 # the whole request is in the connection's output, or sent
    uint8_t sent                # the whole request was sent and counted as mirrored: no failure is counted any more
    uint8_t answering           # the final head of the answer has been read
    uint8_t keeps               # the backend will keep the connection open
    uint8_t displaced           # it has lost its place to another mirror, and was counted: its next visit closes it
    uint64_t heard              # bytes of the answer received
    uint32_t behind             # bytes queued for it, as its namespace counts them
    uint8_t weight              # class of these bytes (shares.pxd); 0: none are queued
    Link link                   # list of that class
    uint16_t owner              # the namespace of the route,
    Member member               # and among its mirrors (shares.pxd)

cdef enum:
    MIRRORS_MOST = 512          # mirrors in progress at once, per worker
    BEHIND_MOST = 1048576       # bytes queued for one mirror; a mirror that exceeds it is closed
    BEHIND_ALL = 67108864       # bytes queued for all mirrors of a worker
    ANSWER_MOST = 1048576       # bytes of an answer that are read and discarded to keep the connection

cdef enum MirrorFailure:        # why a backend did not get the whole copy; counters start at FIXED_MIRROR_FAILURES
    MIRROR_OVERLOADED = 0       # too many mirrors, too much in buffers, or out of memory
    MIRROR_NO_ENDPOINT          # the backend has no eligible endpoint
    MIRROR_NOT_CONNECTED        # the connection was refused or timed out
    MIRROR_SLOW                 # too many bytes are queued
    MIRROR_CLOSED               # the backend closed the connection or answered before the whole request was sent
    MIRROR_TIMEOUT              # no progress within the body timeout
    MIRROR_INCOMPLETE           # the original request ended before it was complete
    MIRROR_DISPLACED            # its namespace had the most mirrors or bytes, and another one needed room
    MIRROR_FAILURES             # number of failures
