# Local responses: responses that the gateway generates itself.

from libc.stdint cimport uint16_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.routing.filters cimport Answer


# Answers the exchange with `status` for `reason` (a LocalReason), and releases its upstream connection. If a response
# head was already sent to the client, calls cut_short instead. `own`: status, reason, location and fields. Returns a
# Verdict: VERDICT_ANSWERED, or how to end the broken connection.
cdef int answer(Reactor r, Connection *c, Exchange *x, const Answer *own) noexcept nogil
# The same without location and fields.
cdef int answer_plainly(Reactor r, Connection *c, Exchange *x, uint16_t status, uint16_t reason) noexcept nogil
# Whether the connection closes after its current response, independently of the client's wish.
cdef inline bint is_leaving(Reactor r, const Connection *c) noexcept nogil:
    return (r.announcing or c.requests >= r.max_requests
            or (c.leave_at != 0 and r.milliseconds >= c.leave_at))
# The current value of the Date field. It is formatted once per second, in memory of the reactor.
cdef Slice date_now(Reactor r) noexcept nogil
# Whether the rest of the request body may be read and discarded, so that the connection can be reused: not if it is
# known to be too long, nor if the client waits for 100 (Continue), because it may then never send the body.
cdef bint can_be_discarded(const Exchange *x) noexcept nogil
# Ends a response that was sent in part and cannot be completed: the client gets what was received, then an end of
# stream before the end of the body. A plain close could destroy earlier, complete responses. Returns a Verdict.
cdef int cut_short(Reactor r, Connection *c, Exchange *x, uint16_t reason) noexcept nogil
# Ends the exchange and its upstream connection because the client is gone or its connection must not be used any more.
# Returns VERDICT_CLOSE, or VERDICT_RESET if a plain close would make a truncated response look complete.
cdef int break_off(Reactor r, Connection *c, Exchange *x, uint16_t reason) noexcept nogil
