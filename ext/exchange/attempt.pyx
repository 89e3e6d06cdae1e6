"""Tries of an exchange; see attempt.pxd. The rules are in docs/reference/backends.md, "Endpoints".

If an endpoint does not accept a connection, others are tried at once, up to TRIES_MOST in all, for any method, because
the request was not sent. The same holds if a backend says that it has not processed the request. In this case, an
endpoint that was already tried is used again if there is no other one. If a reused connection closes without a byte,
one new connection is tried, for requests that may be repeated. Nothing else is retried unless the rule has a `retry`
stanza (retry.pxd): each of its retries follows a pause, consists of such a round of tries, and begins with an endpoint
that was not tried before, if there is one.

The first round does not use the retry budget of the backend (budget.pxd), nor does one new connection after a reused one
was closed. Each retry uses one unit of the budget, and so does each further connection in the round of a retry. If the
budget is empty, the exchange ends with the answer or the failure of the last try.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memmove

from fastroute.ext.exchange.fault cimport note_failure, upstream_fault
from fastroute.ext.exchange.mirroring cimport mirrors_leave
from fastroute.ext.exchange.record cimport record_failure
from fastroute.ext.exchange.tracing cimport tracing_ended, tracing_failed, tracing_try
from fastroute.ext.exchange.upstream cimport (
    OBSTACLE_DESCRIPTOR, OBSTACLE_ENDPOINT, Obstacle, upstream_close, upstream_connect, upstream_release, upstream_reuse,
)
from fastroute.ext.memory.buffer cimport buffer_bytes, buffer_free, buffer_size
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.protocol cimport PROTOCOL_RAW
from fastroute.ext.message.reason cimport (
    REASON_BACKEND_INVALID, REASON_BACKEND_TIMEOUT, REASON_CONNECT_FAILED, REASON_CONNECT_TIMEOUT, REASON_NONE,
    REASON_NO_ENDPOINT, REASON_OVERLOADED, REASON_UPSTREAM_CLOSED, REASON_UPSTREAM_REFUSED,
)
from fastroute.ext.reactor.connection cimport STATE_ACTIVE, handle_of, slab_find
from fastroute.ext.reactor.counters cimport (
    FIXED_RETRIES_CLOSED, FIXED_RETRIES_CONNECT, FIXED_RETRIES_REFUSED, FIXED_RETRIES_REUSED, FIXED_RETRIES_STATUS,
    FIXED_RETRIES_TIMEOUT, FIXED_RETRIES_UNFUNDED, HISTOGRAM_CONNECT, count, observe,
)
from fastroute.ext.reactor.exchange cimport (
    STAGE_CONNECTING, STAGE_PAUSING, STAGE_WAITING, TRIED_MOST, TRIES_MOST, is_raw,
)
from fastroute.ext.reactor.failures cimport (
    KIND_CLOSED, KIND_CONNECT_FAILED, KIND_NONE, KIND_REFUSED, KIND_STATUS, failure_kind,
)
from fastroute.ext.reactor.reactor cimport queue, set_deadline
from fastroute.ext.reactor.stream cimport is_left
from fastroute.ext.routing.balancer cimport choose_endpoint, endpoint_spared, endpoint_succeeded, endpoint_used
from fastroute.ext.routing.budget cimport budget_note, budget_take
from fastroute.ext.routing.retry cimport FAILURE_NOT_CONNECTED, FAILURE_STATUS, retry_follows, retry_pause
from fastroute.ext.routing.tables cimport Backend, Endpoint, backend_find, endpoint_ref, endpoint_unref
from fastroute.ext.sides.arrival cimport Piece
from fastroute.ext.sides.backend cimport backend_send, backend_takes_chunks
from fastroute.ext.sides.client cimport client_unwrap

cdef uint32_t[5] COUNTED        # by Failure of the previous try
COUNTED[:] = [0, FIXED_RETRIES_CONNECT, FIXED_RETRIES_STATUS, FIXED_RETRIES_TIMEOUT, FIXED_RETRIES_CLOSED]
cdef uint16_t[5] FAILED         # LocalReason by Failure; 0: the status says it, or it is known already
FAILED[:] = [REASON_NONE, REASON_NONE, REASON_NONE, REASON_BACKEND_TIMEOUT, REASON_UPSTREAM_CLOSED]
cdef uint8_t[5] KINDS_OF        # FailureKind by Failure; 0: it is counted already
KINDS_OF[:] = [KIND_NONE, KIND_NONE, KIND_STATUS, KIND_NONE, KIND_CLOSED]


cdef void attach(Reactor r, Connection *c, Exchange *x, Connection *u) noexcept nogil:
    """Makes `u` the upstream connection of the exchange, and sets its deadline."""
    cdef uint64_t deadline = 0
    x.upstream = handle_of(u)
    u.owner = handle_of(c)
    x.spoken = u.protocol + 1
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


cdef bint connect_to(Reactor r, Connection *c, Exchange *x, Endpoint *endpoint, bint tests) noexcept nogil:
    """Opens a new connection for the exchange. `tests`: what endpoint_used has returned. False: it could not even be
    started."""
    cdef Obstacle obstacle
    cdef Connection *u = upstream_connect(r, endpoint, x.target.backend.key, x.rule.owner, &obstacle)
    x.reused = False
    if u is NULL:
        not_started(r, x, endpoint, obstacle, tests)
        return False
    attach(r, c, x, u)
    if x.stage == STAGE_WAITING:
        endpoint_succeeded(endpoint)
    return True


cdef void not_started(Reactor r, Exchange *x, Endpoint *endpoint, Obstacle obstacle, bint tests) noexcept nogil:
    x.unconnected = REASON_OVERLOADED if obstacle == OBSTACLE_DESCRIPTOR else REASON_CONNECT_FAILED
    if obstacle == OBSTACLE_ENDPOINT:
        record_failure(r, x, KIND_CONNECT_FAILED)
    elif tests:
        endpoint_spared(endpoint, r.milliseconds)
    if x.trace is not NULL:
        tracing_failed(x, x.unconnected)


cdef Endpoint *next_endpoint(Reactor r, Exchange *x) noexcept nogil:
    """An endpoint that was not tried yet; in a retry, if all were tried, one that is new to this round, if possible not
    the last one."""
    cdef uint32_t recent = x.asked if x.asked else 1
    cdef Endpoint *endpoint = x.held_endpoint
    x.held_endpoint = NULL
    if endpoint is not NULL and endpoint.avoided_until <= r.milliseconds:     # of the session
        return endpoint
    endpoint = choose_endpoint(x.target.backend, x.tried, x.tries, r.milliseconds, &r.random)
    if endpoint is NULL and x.tries > recent:
        endpoint = choose_endpoint(x.target.backend, &x.tried[x.tries - recent], recent, r.milliseconds, &r.random)
    if endpoint is NULL and (x.unprocessed or x.asked == 0) and x.tries:
        endpoint = choose_endpoint(x.target.backend, x.tried, 0, r.milliseconds, &r.random)
    return endpoint


cdef void remember(Reactor r, Exchange *x, Endpoint *endpoint) noexcept nogil:
    """Makes `endpoint` the one in use; forgets the oldest one if there are too many."""
    if x.tries == TRIED_MOST:
        endpoint_unref(x.tried[0])
        x.tries -= 1
        memmove(&x.tried[0], &x.tried[1], x.tries * sizeof(Endpoint *))
    endpoint_ref(endpoint)
    x.tried[x.tries] = endpoint
    x.tries += 1
    x.asked += 1
    count_try(r, x, endpoint)


cdef inline void count_try(Reactor r, Exchange *x, const Endpoint *endpoint) noexcept nogil:
    x.asked_in_all += 1
    if x.trace is not NULL:
        tracing_try(r, x, endpoint)


cdef bint is_funded(Reactor r, Exchange *x) noexcept nogil:
    """Takes one from the budget of the backend. False, and counted, if it is empty."""
    if budget_take(&x.target.backend.budget, r.milliseconds):
        return True
    count(r.counters, FIXED_RETRIES_UNFUNDED, 1)
    return False


cdef inline bint is_fit(const Exchange *x) noexcept nogil:
    """Whether the backend takes what the exchange has for it: requests, or bytes. (Its protocol may have changed.)"""
    return is_raw(x) == (x.target.backend.key.protocol == PROTOCOL_RAW)


cdef uint16_t ask(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """Continues with the next endpoint of this round. Returns like attempt_begin."""
    cdef Endpoint *endpoint
    cdef Connection *u
    cdef bint tests
    if not is_fit(x):
        return REASON_BACKEND_INVALID
    if x.unconnected == REASON_NONE:
        x.unconnected = REASON_CONNECT_FAILED
    while x.asked < TRIES_MOST:
        endpoint = next_endpoint(r, x)
        if endpoint is NULL:
            break
        if x.asked and x.retries and not is_funded(r, x):
            return x.unconnected
        tests = endpoint_used(endpoint, r.milliseconds)
        remember(r, x, endpoint)
        if x.asked > 1:
            count(r.counters, FIXED_RETRIES_REFUSED if x.unprocessed else FIXED_RETRIES_CONNECT, 1)
            x.unprocessed = False
        u = upstream_reuse(r, endpoint, x.target.backend.key, x.method, not x.repeatable, x.rule.owner)
        if u is not NULL:
            x.reused = True
            attach(r, c, x, u)
            return 0
        if connect_to(r, c, x, endpoint, tests):
            return 0
        if x.unconnected == REASON_OVERLOADED:      # no other endpoint can be reached either
            return REASON_OVERLOADED
    x.unprocessed = False
    x.held_endpoint = NULL
    if x.asked == 0:
        return REASON_NO_ENDPOINT
    return 0 if attempt_again(r, x, FAILURE_NOT_CONNECTED, 0, False) else x.unconnected


cdef uint16_t attempt_begin(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    x.upstream_started = r.now
    budget_note(&x.target.backend.budget, r.milliseconds)
    return ask(r, c, x)


cdef bint attempt_again(Reactor r, Exchange *x, uint8_t failure, uint16_t status, bint reusable) noexcept nogil:
    if not x.keeps or x.answered or not retry_follows(x.rule.retry, x.retries, failure, status, x.method):
        return False
    if not is_funded(r, x):
        return False
    if x.trace is not NULL:
        tracing_failed(x, FAILED[failure])
    if failure != FAILURE_STATUS or status >= 500:
        record_failure(r, x, KINDS_OF[failure])
    attempt_end(r, x, reusable)
    x.failure = failure
    x.resume = r.milliseconds + retry_pause(x.rule.retry, x.retries, &r.random)
    x.stage = STAGE_PAUSING
    return True


cdef uint16_t attempt_resume(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    x.retries += 1
    count(r.counters, COUNTED[x.failure], 1)
    x.asked = 0
    x.heard = x.upload_over = False
    x.progress = r.milliseconds     # the client cannot make progress during the pause
    return go_on(r, c, x, ask(r, c, x))


cdef uint16_t go_on(Reactor r, Connection *c, Exchange *x, uint16_t reason) noexcept nogil:
    """Sends what is held if the next try already has its connection."""
    cdef Piece held
    if reason != 0 or x.stage != STAGE_WAITING:
        return reason
    # The protocol of the backend may have changed since the request began.
    if x.held_chunked and not backend_takes_chunks(slab_find(&r.slab, x.upstream).protocol):
        mirrors_leave(r, x)     # they may have got a part of a chunk
        if client_unwrap(r, c, x) < 0:
            return REASON_OVERLOADED
    held = Piece(Slice(buffer_bytes(&x.held), buffer_size(&x.held)), 0, x.held_chunked, x.request_body.complete,
                 x.trailers)
    attempt_send(r, c, x, &held)
    if not x.keeps:
        buffer_free(&x.held)
    return 0


cdef uint16_t attempt_refused(Reactor r, Connection *c, Exchange *x, bint late) noexcept nogil:
    cdef const Connection *u = slab_find(&r.slab, x.upstream)
    x.unconnected = REASON_CONNECT_TIMEOUT if late else upstream_fault(u)
    if note_failure(r, u, x.tried[x.tries - 1]):
        record_failure(r, x, failure_kind(x.unconnected))
    if x.trace is not NULL:
        tracing_failed(x, x.unconnected)
    attempt_end(r, x, False)
    return go_on(r, c, x, ask(r, c, x))


cdef uint16_t attempt_unprocessed(Reactor r, Connection *c, Exchange *x, const Connection *u) noexcept nogil:
    if is_left(r, u) and backend_find(x.target.backend, u.endpoint.identity) == u.endpoint:
        x.held_endpoint = u.endpoint
    if not is_left(r, u):
        record_failure(r, x, KIND_REFUSED)
    if x.trace is not NULL:
        tracing_failed(x, REASON_UPSTREAM_REFUSED)
    attempt_end(r, x, False)
    x.upload_over = False
    x.unprocessed = True
    x.unconnected = REASON_UPSTREAM_REFUSED
    return go_on(r, c, x, ask(r, c, x))


cdef uint16_t attempt_afresh(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    count(r.counters, FIXED_RETRIES_REUSED, 1)
    if x.trace is not NULL:
        tracing_failed(x, REASON_UPSTREAM_CLOSED)
    x.retried = True
    x.upload_over = False
    return replace(r, c, x)


cdef uint16_t replace(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """Closes the upstream connection and opens a new one to the same endpoint. If the pool key of the backend has
    changed and its endpoints have changed with it, the endpoint may not speak the new protocol: then to another one."""
    cdef const Connection *u = slab_find(&r.slab, x.upstream)
    cdef const Backend *backend = x.target.backend
    cdef Endpoint *endpoint = x.tried[x.tries - 1]
    cdef bint same = (u is not NULL and u.key == backend.key) or backend_find(backend, endpoint.identity) == endpoint
    attempt_end(r, x, False)
    if same and is_fit(x):
        count_try(r, x, endpoint)
        if connect_to(r, c, x, endpoint, False):
            return go_on(r, c, x, 0)
        if x.unconnected == REASON_OVERLOADED:
            return REASON_OVERLOADED
    return go_on(r, c, x, ask(r, c, x))


cdef uint16_t attempt_connected(Reactor r, Connection *c, Exchange *x, Connection *u) noexcept nogil:
    endpoint_succeeded(u.endpoint)
    observe(r.counters, HISTOGRAM_CONNECT, r.now - u.started)
    if u.key != x.target.backend.key:
        return replace(r, c, x)
    set_deadline(r, u, x.try_deadline)
    x.stage = STAGE_WAITING
    return go_on(r, c, x, 0)


cdef void attempt_send(Reactor r, Connection *c, Exchange *x, const Piece *piece) noexcept nogil:
    cdef Connection *u = slab_find(&r.slab, x.upstream)
    if backend_send(r, u, &x.request, piece) < 0:
        x.upload_over = u.readable = True
        queue(r, c)


cdef void attempt_end(Reactor r, Exchange *x, bint reusable) noexcept nogil:
    cdef Connection *u = slab_find(&r.slab, x.upstream)
    if x.trace is not NULL:
        tracing_ended(r, x)
    detach(x)
    if u is NULL:
        return
    u.owner = 0
    if reusable:
        upstream_release(r, u)
    else:
        upstream_close(r, u)
