# One try to have a request answered: an endpoint is chosen, and a connection to it reused or made.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastroute.ext.connection cimport Connection
from fastroute.ext.exchange cimport Exchange
from fastroute.ext.reactor cimport Reactor


# Chooses an endpoint that was not tried yet and attaches a connection to it: a pooled one (x.reused), or a new one,
# which may still be connecting (STAGE_CONNECTING); nothing is sent yet. When none can be connected the rule may ask for
# a retry: STAGE_PAUSING. Returns 0, or the LocalReason why there is none: always a 503.
cdef uint16_t attempt_begin(Reactor r, Connection *c, Exchange *x) noexcept nogil
# The connection that was being made is refused, or took too long (`late`): notes that against the endpoint, goes on
# with another one, and sends what is held. Returns as attempt_begin.
cdef uint16_t attempt_refused(Reactor r, Connection *c, Exchange *x, bint late) noexcept nogil
# A reused connection died before it said a byte: makes a fresh one to the same endpoint. Returns as attempt_begin.
cdef uint16_t attempt_afresh(Reactor r, Connection *c, Exchange *x) noexcept nogil
# The connection that was being made stands: notes that, and sends what was held.
cdef void attempt_connected(Reactor r, Connection *c, Exchange *x, Connection *u) noexcept nogil
# The try has failed (a Failure; `status` with FAILURE_STATUS). If the rule wants another one and all that was sent is
# kept, lets go of the upstream connection (into its pool with `reusable`), goes to STAGE_PAUSING and returns True.
cdef bint attempt_again(Reactor r, Exchange *x, uint8_t failure, uint16_t status, bint reusable) noexcept nogil
# The pause is over: the next try. Returns as attempt_begin.
cdef uint16_t attempt_resume(Reactor r, Connection *c, Exchange *x) noexcept nogil
# Sends the request and the body bytes held. If that fails, the upstream may have said why before: it is read then.
cdef void attempt_send(Reactor r, Connection *c, Exchange *x, const char *body, uint32_t size) noexcept nogil
# Lets go of the upstream connection, if there is one: into its pool with `reusable`, else closed.
cdef void attempt_end(Reactor r, Exchange *x, bint reusable) noexcept nogil
