# Answers that we give ourselves.

from libc.stdint cimport uint16_t

from fastroute.ext.connection cimport Connection
from fastroute.ext.exchange cimport Exchange
from fastroute.ext.filters cimport Answer
from fastroute.ext.reactor cimport Reactor
from fastroute.ext.slice cimport Slice


# Answers the exchange with `status` for `reason` (a LocalReason), and lets go of its upstream connection. When a
# head went to the client already there is nothing to answer: cut_short. `own`: its status, reason, location and fields.
# Returns a Verdict: VERDICT_ON, or what becomes of the broken connection.
cdef int answer(Reactor r, Connection *c, Exchange *x, const Answer *own) noexcept nogil
# The same without location and fields.
cdef int answer_plainly(Reactor r, Connection *c, Exchange *x, uint16_t status, uint16_t reason) noexcept nogil
# The value of Date for now. It is written once a second, into the reactor's memory.
cdef Slice date_now(Reactor r) noexcept nogil
# Whether the rest of the request's body may be read away, so that the connection stays: not when it is known to be too
# much, nor when the client waits for a 100 (Continue), for then it may never send the body.
cdef bint can_be_discarded(const Exchange *x) noexcept nogil
# An answer that went out in part cannot be completed: the client gets what there is, then the end where none should be;
# a plain close could take complete answers before it along. Returns a Verdict.
cdef int cut_short(Reactor r, Connection *c, Exchange *x, uint16_t reason) noexcept nogil
# The client is gone, or must not be spoken to any more: ends the exchange, upstream included. Returns VERDICT_CLOSE, or
# VERDICT_RESET when a plain close would make a cut answer look whole.
cdef int break_off(Reactor r, Connection *c, Exchange *x, uint16_t reason) noexcept nogil
