# Whether the side that has to move a body is fast enough (--min-body-rate).
#
# A side is judged only while it alone holds up the exchange. It then has PACE_WINDOW for each window's worth of bytes.
# What counts as moved is in pace_moved. A reader may read in advance: on Linux, its kernel acknowledges in steps of
# a sixteenth of its receive buffer, which can be 400 KB. A reader of 15 KB/s needs 26 s for such a step.

from libc.stdint cimport uint8_t, uint64_t

from fastroute.ext.connection cimport Connection
from fastroute.ext.exchange cimport Exchange
from fastroute.ext.reactor cimport Reactor


cdef enum Mover:
    MOVER_NONE = 0              # no body has to move now, or it may take its time
    MOVER_SENDER                # the client has to send more of the request body
    MOVER_READER                # the client has to take bytes of the response
    MOVER_BACKEND               # the backend has to send more of the response body

cdef enum:
    PACE_GRACE = 1000           # milliseconds until the first window begins
    PACE_WINDOW = 10000         # milliseconds
    PACE_SPARE_FIRST = 2        # windows whose minimum a reader is taken to have read in advance when it is first watched
    PACE_SPARE_MOST = 5         # windows whose minimum a reader may have read in advance later

# Which side holds up the exchange.
cdef uint8_t pace_mover(Reactor r, const Connection *c, const Exchange *x) noexcept nogil
# Notes that `mover` holds up the exchange now. Returns when to call pace_failed, in milliseconds; 0: never.
cdef uint64_t pace_watch(Reactor r, Exchange *x, uint8_t mover) noexcept nogil
# Whether the time that pace_watch returned has passed, and too few bytes were moved in this window.
cdef bint pace_failed(Reactor r, const Connection *c, Exchange *x) noexcept nogil
