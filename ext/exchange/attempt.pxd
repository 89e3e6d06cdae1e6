# One try of a request: an endpoint is chosen, and a connection to it is reused or opened.

from libc.stdint cimport uint8_t, uint16_t

from fastroute.ext.message.reason cimport REASON_UPSTREAM_CERTIFICATE_INVALID, REASON_UPSTREAM_TLS_FAILED
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.sides.arrival cimport Piece


# Chooses an endpoint that was not tried yet and attaches a connection to it: a pooled one (x.reused), or a new one,
# which may still be connecting (STAGE_CONNECTING). Nothing is sent yet. If no endpoint can be connected, the rule may
# require a retry: STAGE_PAUSING. Returns 0, or the LocalReason for which there is no connection;
# attempt_status has the status of its response.
cdef uint16_t attempt_begin(Reactor r, Connection *c, Exchange *x) noexcept nogil
# The new connection was refused, its TLS failed, or it timed out (`late`): records a failure of the endpoint, continues with another one,
# and sends what is held. Returns like attempt_begin.
cdef uint16_t attempt_refused(Reactor r, Connection *c, Exchange *x, bint late) noexcept nogil
# The backend says that it has not processed the request, which is kept. If it takes no more requests on this connection,
# continues with a new one to the same endpoint, otherwise with another endpoint if there is one. Returns like attempt_begin.
cdef uint16_t attempt_unprocessed(Reactor r, Connection *c, Exchange *x, const Connection *u) noexcept nogil
# A reused connection was closed before the first byte of a response: opens a new one to the same endpoint. Returns like
# attempt_begin.
cdef uint16_t attempt_afresh(Reactor r, Connection *c, Exchange *x) noexcept nogil
# The new connection is established: records the success, and sends what is held. If the pool key of the backend has
# changed meanwhile, nothing is sent on it, and another one is opened. Returns like attempt_begin.
cdef uint16_t attempt_connected(Reactor r, Connection *c, Exchange *x, Connection *u) noexcept nogil
# The try failed (a Failure; `status` with FAILURE_STATUS). If the rule requires a retry and everything that was sent is
# kept, releases the upstream connection (into its pool if `reusable`), sets STAGE_PAUSING and returns True.
cdef bint attempt_again(Reactor r, Exchange *x, uint8_t failure, uint16_t status, bint reusable) noexcept nogil
# The pause is over: begins the next try. Returns like attempt_begin.
cdef uint16_t attempt_resume(Reactor r, Connection *c, Exchange *x) noexcept nogil
# Sends the request and the first piece of its body. If that fails, the upstream may already have sent a response: it is
# read.
cdef void attempt_send(Reactor r, Connection *c, Exchange *x, const Piece *piece) noexcept nogil
# Releases the upstream connection, if there is one: into its pool if `reusable`, otherwise closes it.
cdef void attempt_end(Reactor r, Exchange *x, bint reusable) noexcept nogil

cdef inline uint16_t attempt_status(uint16_t reason) noexcept nogil:
    if reason == REASON_UPSTREAM_TLS_FAILED or reason == REASON_UPSTREAM_CERTIFICATE_INVALID:
        return 502
    return 503
