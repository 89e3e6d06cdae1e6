# The minimum rate of request and response bodies (--min-body-rate).
#
# A side is measured only while the exchange waits for it alone. It must then move enough bytes in each PACE_WINDOW.
# pace_moved defines which bytes count. The kernel of a reader acknowledges in steps (receiver.pxd). So a reader may be
# behind by one step plus the minimum of PACE_SPARE windows, and one that takes the minimum on average is never too
# slow.
#
# The streams of a client take turns on its connection. So for a stream that waits for its turn, the bytes of all of them
# count.

from libc.stdint cimport uint8_t, uint64_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor


cdef enum Mover:
    MOVER_NONE = 0              # no body has to move now, or it has no minimum rate
    MOVER_SENDER                # the client has to send more of the request body
    MOVER_READER                # the client has to take bytes of the response
    MOVER_READERS               # the client has to take bytes of any stream of its connection, for which this one waits
    MOVER_BACKEND               # the backend has to send more of the response body
    MOVER_TAKER                 # the backend has to take bytes of the request, and has not responded

cdef enum:
    PACE_GRACE = 1000           # milliseconds until the first window begins
    PACE_WINDOW = 10000         # milliseconds
    PACE_SPARE = 2              # windows

# Whether the exchange waits for the client to take bytes.
cdef inline bint is_reader(uint8_t mover) noexcept nogil:
    return mover == MOVER_READER or mover == MOVER_READERS

# The side for which the exchange waits.
cdef uint8_t pace_mover(Reactor r, const Connection *c, const Exchange *x) noexcept nogil
# Notes that the exchange waits for `mover` now. Returns when to call pace_failed, in milliseconds; 0: never.
cdef uint64_t pace_watch(Reactor r, Exchange *x, uint8_t mover) noexcept nogil
# Whether the time that pace_watch returned has passed, and too few bytes were moved in this window.
cdef bint pace_failed(Reactor r, const Connection *c, Exchange *x) noexcept nogil
