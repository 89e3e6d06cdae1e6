"""Exchanges, both directions; see relay.pxd.

Back-pressure: a side is read only while the other side's output is empty, so one exchange holds at most one read
(SCRATCH bytes and a head) in each direction, and the kernel's windows do the rest.
"""

from libc.stdint cimport uint16_t, uint64_t

from fastroute.ext.answer cimport answer_plainly, break_off
from fastroute.ext.attempt cimport attempt_connected, attempt_refused
from fastroute.ext.body cimport body_take
from fastroute.ext.buffer cimport buffer_append, buffer_bytes, buffer_consume, buffer_size
from fastroute.ext.connection cimport slab_find
from fastroute.ext.exchange cimport (
    Exchange, STAGE_CONNECTING, STAGE_DISCARDING, STAGE_FLUSHING, STAGE_RELAYING, STAGE_WAITING, VERDICT_CLOSE,
    VERDICT_DONE, VERDICT_LINGER, VERDICT_ON,
)
from fastroute.ext.reactor cimport DISCARD_BYTES, SCRATCH, flush, queue, receive, set_deadline
from fastroute.ext.reason cimport (
    REASON_BACKEND_TIMEOUT, REASON_BODY_TIMEOUT, REASON_CLIENT_CLOSED, REASON_OVERLOADED, REASON_REQUEST_TIMEOUT,
)
from fastroute.ext.record cimport record_end
from fastroute.ext.request cimport request_relay
from fastroute.ext.response cimport response_relay
from fastroute.ext.upstream cimport upstream_connected

cdef inline bint wants_body(const Connection *c, const Exchange *x, const Connection *u) noexcept nogil:
    """Whether a piece of the request's body could go on now."""
    return (not x.request_body.complete and not x.upload_over and buffer_size(&u.output) == 0
            and (c.readable or buffer_size(&c.input) != 0))


cdef int exchange_advance(Reactor r, Connection *c) noexcept nogil:
    cdef Exchange *x = c.exchange
    cdef int verdict = VERDICT_ON
    if c.failed:
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    if c.writable and buffer_size(&c.output):
        x.progress = r.milliseconds
        if flush(r, c) < 0:
            return break_off(r, c, x, REASON_CLIENT_CLOSED)
    if x.stage == STAGE_CONNECTING:
        verdict = advance_connect(r, c, x)
    if verdict == VERDICT_ON and (x.stage == STAGE_WAITING or x.stage == STAGE_RELAYING):
        verdict = advance_both(r, c, x)
    if verdict == VERDICT_ON and x.stage == STAGE_FLUSHING and buffer_size(&c.output) == 0:
        verdict = settle(r, c, x)
    if verdict == VERDICT_ON and x.stage == STAGE_DISCARDING:
        verdict = discard(r, c, x)
    if verdict == VERDICT_ON:
        watch_progress(r, c, x)
    return verdict


cdef int advance_connect(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    cdef Connection *u = slab_find(&r.slab, x.upstream)
    cdef int outcome
    outcome = upstream_connected(r, u)
    if outcome == 0:
        return VERDICT_ON
    if outcome < 0:
        return refused(r, c, x, False)
    attempt_connected(r, c, x, u)
    return VERDICT_ON


cdef int refused(Reactor r, Connection *c, Exchange *x, bint late) noexcept nogil:
    """The endpoint did not take the connection: on to another one, or 503."""
    cdef uint16_t reason = attempt_refused(r, c, x, late)
    return VERDICT_ON if reason == 0 else answer_plainly(r, c, x, 503, reason)


cdef int advance_both(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """One read each way, if the other side has taken what came before."""
    cdef Connection *u = slab_find(&r.slab, x.upstream)
    cdef int verdict
    if u.failed:
        u.readable = True
    if u.writable and buffer_size(&u.output):
        x.progress = r.milliseconds
        if flush(r, u) < 0:
            x.upload_over = u.readable = True
    if wants_body(c, x, u):
        verdict = request_relay(r, c, x, u)
        if verdict != VERDICT_ON or x.stage == STAGE_FLUSHING:
            return verdict
    if u.readable and buffer_size(&c.output) == 0:
        verdict = response_relay(r, c, x, u)
        if verdict != VERDICT_ON or (x.stage != STAGE_WAITING and x.stage != STAGE_RELAYING):
            return verdict
        u = slab_find(&r.slab, x.upstream)
    if wants_body(c, x, u) or (u.readable and buffer_size(&c.output) == 0):
        queue(r, c)
    return VERDICT_ON


cdef int settle(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """The client has the whole answer: what becomes of its connection?"""
    record_end(r, c, x)
    if x.close:
        # Whoever said that this is the last request has nothing on its way that a close could turn into a reset.
        if not x.keep_alive and x.request_body.complete and not c.readable and buffer_size(&c.input) == 0:
            return VERDICT_CLOSE
        return VERDICT_LINGER
    if x.request_body.complete:
        return VERDICT_DONE
    x.stage = STAGE_DISCARDING
    return VERDICT_ON


cdef int discard(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """Reads away the rest of a request's body that nobody wants, so that the connection can stay."""
    cdef long size, taken
    cdef char *data
    if buffer_size(&c.input):
        data = buffer_bytes(&c.input)
        size = buffer_size(&c.input)
    elif c.readable:
        data = r.scratch
        size = receive(r, c, data, SCRATCH)
        if size < 0:
            return VERDICT_CLOSE
    else:
        return VERDICT_ON
    taken = body_take(&x.request_body, data, size, &r.head_limits)
    x.discarded += size
    if taken < 0 or (x.discarded > DISCARD_BYTES and not x.request_body.complete):
        return VERDICT_LINGER
    x.progress = r.milliseconds
    if data != r.scratch:
        buffer_consume(&c.input, taken)
    elif buffer_append(&c.input, data + taken, size - taken) < 0:
        return VERDICT_LINGER
    if x.request_body.complete:
        return VERDICT_DONE
    if c.readable or buffer_size(&c.input):
        queue(r, c)
    return VERDICT_ON


cdef void watch_progress(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """Sets the deadline of the client's connection: the rule's, or for the client's next move if it is its turn."""
    cdef uint64_t deadline = x.deadline
    cdef Connection *u
    cdef bint awaited = buffer_size(&c.output) != 0 or x.stage == STAGE_DISCARDING
    if not awaited and not x.request_body.complete and not x.upload_over and x.stage != STAGE_CONNECTING:
        u = slab_find(&r.slab, x.upstream)
        awaited = u is not NULL and buffer_size(&u.output) == 0
    if awaited and (deadline == 0 or x.progress + r.times.body < deadline):
        deadline = x.progress + r.times.body
    set_deadline(r, c, deadline)


cdef int exchange_expired(Reactor r, Connection *c, Connection *u) noexcept nogil:
    cdef Exchange *x = c.exchange
    if x.deadline and r.milliseconds >= x.deadline and not x.recorded:
        return answer_in_time(r, c, x, 504, REASON_REQUEST_TIMEOUT)
    if u is NULL:
        if r.milliseconds < x.progress + r.times.body:
            watch_progress(r, c, x)
            return VERDICT_ON
        if x.stage == STAGE_DISCARDING:
            return VERDICT_CLOSE
        return answer_in_time(r, c, x, 408, REASON_BODY_TIMEOUT)
    if x.try_deadline and r.milliseconds >= x.try_deadline:
        return answer_in_time(r, c, x, 504, REASON_BACKEND_TIMEOUT)
    if x.stage == STAGE_CONNECTING:
        return refused(r, c, x, True)
    return VERDICT_ON


cdef int answer_in_time(Reactor r, Connection *c, Exchange *x, uint16_t status, uint16_t reason) noexcept nogil:
    """Answers after a timeout, if there is still something to answer; and goes on from there."""
    cdef int verdict = answer_plainly(r, c, x, status, reason)
    x.deadline = 0
    return exchange_advance(r, c) if verdict == VERDICT_ON else verdict
