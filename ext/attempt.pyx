"""Tries of an exchange; see attempt.pxd. The rules are those of the interface, section 4, "Endpoints".

Not connected: other endpoints at once, up to TRIES_MOST, whatever the method, for the request was not sent. A reused
connection that dies silently: one fresh one, for requests that may be repeated. Nothing more.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from fastroute.ext.balancer cimport choose_endpoint, endpoint_failed, endpoint_succeeded
from fastroute.ext.buffer cimport buffer_bytes, buffer_free, buffer_size
from fastroute.ext.connection cimport STATE_ACTIVE, handle_of, slab_find
from fastroute.ext.counters cimport (
    FIXED_RETRIES_CONNECT, FIXED_RETRIES_REUSED, HISTOGRAM_CONNECT, count, observe,
)
from fastroute.ext.exchange cimport STAGE_CONNECTING, STAGE_WAITING, TRIES_MOST
from fastroute.ext.inet cimport iovec
from fastroute.ext.reactor cimport queue, set_deadline, transmit
from fastroute.ext.reason cimport REASON_CONNECT_FAILED, REASON_CONNECT_TIMEOUT, REASON_NO_ENDPOINT
from fastroute.ext.tables cimport Endpoint, endpoint_ref
from fastroute.ext.upstream cimport upstream_close, upstream_connect, upstream_release, upstream_reuse


cdef void attach(Reactor r, Connection *c, Exchange *x, Connection *u) noexcept nogil:
    """Makes `u` the connection of the exchange, and starts its clock."""
    cdef uint64_t deadline = 0
    x.upstream = handle_of(u)
    u.owner = handle_of(c)
    x.in_flight = True
    u.endpoint.in_flight += 1
    x.stage = STAGE_WAITING
    x.try_deadline = 0
    if x.rule.backend_timeout:
        deadline = x.try_deadline = r.milliseconds + x.rule.backend_timeout
    if u.state != STATE_ACTIVE:
        x.stage = STAGE_CONNECTING
        if deadline == 0 or deadline > r.milliseconds + r.times.connect:
            deadline = r.milliseconds + r.times.connect
    set_deadline(r, u, deadline)


cdef void detach(Exchange *x) noexcept nogil:
    x.upstream = 0
    if x.in_flight:
        x.in_flight = False
        x.tried[x.tries - 1].in_flight -= 1


cdef bint connect_to(Reactor r, Connection *c, Exchange *x, Endpoint *endpoint) noexcept nogil:
    """Starts a fresh connection for the exchange. False: it cannot even be tried."""
    cdef Connection *u = upstream_connect(r, endpoint)
    x.reused = False
    if u is NULL:
        return False
    attach(r, c, x, u)
    if x.stage == STAGE_WAITING:
        endpoint_succeeded(endpoint)
    return True


cdef uint16_t attempt_begin(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    cdef Endpoint *endpoint
    cdef Connection *u
    if x.upstream_started == 0:
        x.upstream_started = r.now
    while x.tries < TRIES_MOST:
        endpoint = choose_endpoint(x.target.backend, x.tried, x.tries, r.milliseconds, &r.random)
        if endpoint is NULL:
            break
        endpoint_ref(endpoint)
        x.tried[x.tries] = endpoint
        x.tries += 1
        if x.tries > 1:
            count(r.counters, FIXED_RETRIES_CONNECT, 1)
        u = upstream_reuse(r, endpoint, not x.repeatable)
        if u is not NULL:
            x.reused = True
            attach(r, c, x, u)
            return 0
        if connect_to(r, c, x, endpoint):
            return 0
    return REASON_CONNECT_FAILED if x.tries else REASON_NO_ENDPOINT


cdef uint16_t go_on(Reactor r, Connection *c, Exchange *x, uint16_t reason) noexcept nogil:
    """Sends what is held if the next try has its connection already."""
    if reason == 0 and x.stage == STAGE_WAITING:
        attempt_send(r, c, x, buffer_bytes(&x.held), buffer_size(&x.held))
        buffer_free(&x.held)
    return reason


cdef uint16_t attempt_refused(Reactor r, Connection *c, Exchange *x, bint late) noexcept nogil:
    cdef uint16_t reason
    endpoint_failed(x.tried[x.tries - 1], r.milliseconds, &r.random)
    attempt_end(r, x, False)
    reason = go_on(r, c, x, attempt_begin(r, c, x))
    return REASON_CONNECT_TIMEOUT if late and reason == REASON_CONNECT_FAILED else reason


cdef uint16_t attempt_afresh(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    count(r.counters, FIXED_RETRIES_REUSED, 1)
    x.retried = True
    x.upload_over = False
    attempt_end(r, x, False)
    if connect_to(r, c, x, x.tried[x.tries - 1]):
        return go_on(r, c, x, 0)
    return go_on(r, c, x, attempt_begin(r, c, x))


cdef void attempt_connected(Reactor r, Connection *c, Exchange *x, Connection *u) noexcept nogil:
    endpoint_succeeded(u.endpoint)
    observe(r.counters, HISTOGRAM_CONNECT, r.now - u.started)
    set_deadline(r, u, x.try_deadline)
    x.stage = STAGE_WAITING
    go_on(r, c, x, 0)


cdef void attempt_send(Reactor r, Connection *c, Exchange *x, const char *body, uint32_t size) noexcept nogil:
    cdef Connection *u = slab_find(&r.slab, x.upstream)
    cdef iovec parts[2]
    parts[0].iov_base = x.request
    parts[0].iov_len = x.request_size
    parts[1].iov_base = <char *> body
    parts[1].iov_len = size
    if transmit(r, u, parts, 2 if size else 1) < 0:
        x.upload_over = u.readable = True
        queue(r, c)


cdef void attempt_end(Reactor r, Exchange *x, bint reusable) noexcept nogil:
    cdef Connection *u = slab_find(&r.slab, x.upstream)
    detach(x)
    if u is NULL:
        return
    u.owner = 0
    if reusable:
        upstream_release(r, u)
    else:
        upstream_close(r, u)
