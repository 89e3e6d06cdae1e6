# Mirrors: a copy of a request on its way to a backend, whose answer nobody waits for.
#
# A mirror is an upstream connection with a Mirror and without an owner: nothing it does comes back to the request it is
# a copy of. That request's exchange holds handles of its mirrors, only until the last byte of its body, to give them
# what comes; and only after that byte may a mirror's connection go back into a pool, where others find it. So a handle
# that still finds a connection finds this very mirror.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastroute.ext.body cimport Body


cdef struct Mirror:             # owned by its connection
    uint8_t method              # MethodName
    uint8_t fed                 # the whole request is here: in the connection's output, or sent
    uint8_t sent                # and sent; or counted as failed: nothing is counted any more
    uint8_t answering           # the answer's final head has passed
    uint8_t keeps               # the backend will keep the connection
    uint64_t heard              # bytes of the answer
    Body body                   # of the answer

cdef enum:
    MIRRORS_MOST = 512          # on their way at once, in one worker
    BEHIND_MOST = 1048576       # bytes that wait for one mirror: more, and it is cut off
    BEHIND_ALL = 67108864       # bytes that wait for all mirrors of a worker
    ANSWER_MOST = 1048576       # bytes of an answer that are read away to keep the connection

cdef enum MirrorFailure:        # why a backend did not get the whole copy; counted from FIXED_MIRROR_FAILURES on
    MIRROR_OVERLOADED = 0       # too many mirrors, or no memory
    MIRROR_NO_ENDPOINT          # the backend has none that is ready
    MIRROR_NOT_CONNECTED        # refused, or not there in time
    MIRROR_SLOW                 # too far behind
    MIRROR_CLOSED               # it closed, or answered, before it had the request
    MIRROR_TIMEOUT              # it stood still
    MIRROR_INCOMPLETE           # the request itself was never whole
    MIRROR_FAILURES             # how many there are
