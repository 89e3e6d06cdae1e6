"""Exchanges, both directions; see relay.pxd.

Backpressure: a side is read only while the output of the other side is empty. So one exchange holds at most one read
(SCRATCH bytes and a head) in each direction, and the TCP windows in the kernel do the rest. Of what a client sends after
the request, at most one head is read (Reactor.ahead).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from fastroute.ext.exchange.answer cimport answer_plainly, break_off, can_be_discarded, cut_short
from fastroute.ext.exchange.attempt cimport (
    attempt_again, attempt_connected, attempt_refused, attempt_resume, attempt_status,
)
from fastroute.ext.exchange.fault cimport waits_for_gateway
from fastroute.ext.exchange.pace cimport (
    MOVER_BACKEND, MOVER_READERS, MOVER_SENDER, MOVER_TAKER, is_reader, pace_failed, pace_mover, pace_watch,
)
from fastroute.ext.exchange.passage cimport passage_advance, passage_expired
from fastroute.ext.exchange.receiver cimport receiver_acknowledged, receiver_step
from fastroute.ext.exchange.record cimport record_end, record_failure
from fastroute.ext.exchange.request cimport request_relay
from fastroute.ext.exchange.response cimport response_relay
from fastroute.ext.exchange.tracing cimport tracing_failed
from fastroute.ext.exchange.tunnel cimport tunnel_advance, tunnel_expired
from fastroute.ext.exchange.upstream cimport OPENING_FAILED, OPENING_GOES_ON, Opening, upstream_connected
from fastroute.ext.memory.buffer cimport buffer_size
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.content cimport content_add
from fastroute.ext.message.message cimport Message
from fastroute.ext.message.reason cimport (
    REASON_BACKEND_TIMEOUT, REASON_BODY_TIMEOUT, REASON_BODY_TOO_SLOW, REASON_CLIENT_CLOSED, REASON_REQUEST_TIMEOUT,
    REASON_REFUSED, REASON_UPLOAD_TIMEOUT, REASON_UPSTREAM_TOO_SLOW,
)
from fastroute.ext.message.refusal cimport REFUSAL_REQUEST_MALFORMED
from fastroute.ext.reactor.connection cimport LAYER_STREAM, slab_find
from fastroute.ext.reactor.counters cimport FIXED_ENDED_BODY_TOO_SLOW, FIXED_ENDED_UPSTREAM_TOO_SLOW, count
from fastroute.ext.reactor.exchange cimport (
    Exchange, STAGE_CONNECTING, STAGE_DISCARDING, STAGE_FLUSHING, STAGE_PAUSING, STAGE_RELAYING, STAGE_TUNNEL,
    STAGE_WAITING, VERDICT_ANSWERED, VERDICT_CLOSE, VERDICT_DONE, VERDICT_LINGER, VERDICT_ON, VERDICT_RESET,
    continues, is_raw,
)
from fastroute.ext.reactor.failures cimport KIND_BACKEND_TIMEOUT, KIND_REQUEST_TIMEOUT
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport (
    DISCARD_BYTES, SCRATCH, flush, queue, say_end, set_deadline, transmit, turn_is_over, untaken,
)
from fastroute.ext.reactor.stream cimport stream_can_answer, stream_is_held
from fastroute.ext.routing.retry cimport FAILURE_NOT_CONNECTED, FAILURE_TIMEOUT
from fastroute.ext.sides.arrival cimport Arrival
from fastroute.ext.sides.client cimport (
    client_interim, client_keep_rest, client_knows_interim, client_receive, client_skip,
)

cdef enum:
    PROBE_AFTER = 500       # milliseconds: an answer that comes sooner makes the probe unnecessary
    PATIENT_WINDOWS = 6     # windows (pace.pxd) in the default of --body-idle-timeout
    PATIENT_BYTES = 10240   # the default minimum of a window, if --min-body-rate is off


cdef inline bint wants_body(const Connection *c, const Exchange *x, const Connection *u) noexcept nogil:
    """Whether a piece of the request body can be relayed now."""
    return (not x.request_body.complete and not x.upload_over and buffer_size(&u.output) == 0
            and (c.readable or buffer_size(&c.input) != 0))


cdef inline bint wants_answer(Reactor r, Connection *c, const Connection *u) noexcept nogil:
    """Whether more of the answer can be relayed now."""
    return (u.readable and buffer_size(&c.output) == 0
            and (c.layer != LAYER_STREAM or stream_can_answer(r, c)))


cdef inline uint16_t end_of(const Connection *c) noexcept nogil:
    """The LocalReason for which a client that has failed gets no more."""
    if c.layer == LAYER_STREAM and c.stream.refusal == REFUSAL_REQUEST_MALFORMED:
        return REASON_REFUSED + REFUSAL_REQUEST_MALFORMED
    return REASON_CLIENT_CLOSED


cdef int exchange_advance(Reactor r, Connection *c) noexcept nogil:
    cdef Exchange *x = c.exchange
    cdef int verdict = VERDICT_ON
    if x.stage == STAGE_TUNNEL:
        return tunnel_advance(r, c, x)
    if is_raw(x):
        return passage_advance(r, c, x)
    if c.failed:
        return break_off(r, c, x, end_of(c))
    if c.writable and buffer_size(&c.output):
        x.progress = r.milliseconds
        if flush(r, c) < 0:
            return break_off(r, c, x, REASON_CLIENT_CLOSED)
    if x.stage == STAGE_CONNECTING:
        verdict = advance_connect(r, c, x)
    if verdict == VERDICT_ON and (x.stage == STAGE_WAITING or x.stage == STAGE_RELAYING):
        verdict = advance_both(r, c, x)
    if verdict == VERDICT_ANSWERED:
        verdict = VERDICT_ON
    if verdict == VERDICT_ON and x.stage == STAGE_TUNNEL:
        return tunnel_advance(r, c, x)
    if verdict == VERDICT_ON and x.stage == STAGE_FLUSHING and buffer_size(&c.output) == 0:
        verdict = settle(r, c, x)
    if verdict == VERDICT_ON and x.stage == STAGE_DISCARDING:
        verdict = discard(r, c, x)
    if verdict == VERDICT_ON:
        watch_progress(r, c, x)
    return verdict


cdef int advance_connect(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    cdef Connection *u = slab_find(&r.slab, x.upstream)
    cdef uint16_t reason
    cdef Opening outcome = upstream_connected(r, u)
    if outcome == OPENING_GOES_ON:
        return VERDICT_ON
    if outcome == OPENING_FAILED:
        return refused(r, c, x, False)
    reason = attempt_connected(r, c, x, u)
    return VERDICT_ON if reason == 0 else answer_plainly(r, c, x, attempt_status(reason), reason)


cdef int refused(Reactor r, Connection *c, Exchange *x, bint late) noexcept nogil:
    """The endpoint refused the connection: tries another one, or answers 503."""
    cdef uint16_t reason = attempt_refused(r, c, x, late)
    return VERDICT_ON if reason == 0 else answer_plainly(r, c, x, attempt_status(reason), reason)


cdef int advance_both(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """One read in each direction, if the other side has taken what was read before. After the end of a turn there is only
    one, and the other direction is next."""
    cdef Connection *u = slab_find(&r.slab, x.upstream)
    cdef bint sends = False
    cdef int verdict
    if u.failed:
        u.readable = True
    if u.writable and buffer_size(&u.output):
        x.progress = r.milliseconds
        if flush(r, u) < 0:
            x.upload_over = u.readable = True
    if wants_body(c, x, u):
        sends = not x.answer_next or not wants_answer(r, c, u)
        x.answer_next = False
    if sends:
        verdict = request_relay(r, c, x, u)
        if verdict != VERDICT_ON:
            return verdict
    if wants_answer(r, c, u):
        if sends and turn_is_over(r):
            x.answer_next = True
            queue(r, c)
            return VERDICT_ON
        verdict = response_relay(r, c, x, u)
        if verdict != VERDICT_ON or (x.stage != STAGE_WAITING and x.stage != STAGE_RELAYING):
            return verdict
        u = slab_find(&r.slab, x.upstream)
    if wants_body(c, x, u) or wants_answer(r, c, u):
        queue(r, c)
    return VERDICT_ON


cdef int settle(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """The client has the whole answer: decides what happens to its connection."""
    if x.close and not say_end(r, c):
        return VERDICT_ON
    record_end(r, c, x)
    if x.close:
        # A client that announced its last request sends nothing more, so a close cannot turn into a reset.
        if not x.keep_alive and x.request_body.complete and not c.readable and buffer_size(&c.input) == 0:
            return VERDICT_CLOSE
        return VERDICT_LINGER
    if x.request_body.complete or c.layer == LAYER_STREAM:
        return VERDICT_DONE
    x.stage = STAGE_DISCARDING
    return VERDICT_ON if can_be_discarded(x) else VERDICT_LINGER


cdef int discard(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """Reads and discards the rest of a request body that is not needed, so that the connection can be kept."""
    cdef Arrival arrival
    client_receive(r, c, SCRATCH, &arrival)
    if arrival.closed:
        return VERDICT_CLOSE
    if not arrival.kept and not c.readable and arrival.size == 0:
        return VERDICT_ON
    if client_skip(r, c, &arrival) != 0:
        return VERDICT_LINGER
    content_add(&x.request_body, arrival.piece.size, arrival.piece.end)
    x.discarded += arrival.taken
    if x.discarded > DISCARD_BYTES:
        return VERDICT_LINGER
    x.progress = r.milliseconds
    if client_keep_rest(c, &arrival) < 0:
        return VERDICT_LINGER
    if x.request_body.complete:
        return VERDICT_DONE
    if c.readable or buffer_size(&c.input):
        queue(r, c)
    return VERDICT_ON


cdef inline bint takes(uint8_t mover) noexcept nogil:
    """Whether progress is what a peer acknowledges."""
    return is_reader(mover) or mover == MOVER_TAKER


cdef inline uint64_t patience(Reactor r, const Exchange *x, uint8_t mover) noexcept nogil:
    """The deadline for progress, in milliseconds; 0: none, for example while the exchange waits for a response."""
    if takes(mover):
        return x.progress + (x.patience or r.times.body)
    return x.progress + r.times.body if mover == MOVER_SENDER else 0


cdef inline uint64_t earlier(uint64_t one, uint64_t other) noexcept nogil:
    """The earlier of two deadlines, either of which may be 0: none."""
    return one if other == 0 or (one != 0 and one < other) else other


cdef uint64_t next_look(Reactor r, const Exchange *x) noexcept nogil:
    """When to check next which bytes the client has acknowledged, while some are not acknowledged."""
    return (x.looked if x.looked > x.progress else x.progress) + r.times.look


cdef bint has_taken(Reactor r, const Connection *peer, Exchange *x) noexcept nogil:
    """Whether the peer has taken anything since the last look. A stream that waits for others goes on when they do."""
    cdef uint32_t before = x.untaken
    if peer.layer == LAYER_STREAM and stream_is_held(r, peer):
        before = x.acknowledged
        x.acknowledged = <uint32_t> receiver_acknowledged(r, peer)
        return x.acknowledged != before
    x.untaken = untaken(r, peer)
    return x.untaken < before


cdef void look(Reactor r, const Connection *peer, Exchange *x) noexcept nogil:
    """Notes whether the peer has taken anything since the last look, and how long it may take nothing.

    The kernel holds hundreds of kilobytes and reports a slow peer as writable only after a third of them are sent. The
    peer makes progress with each byte that it acknowledges. This is checked here, so that writes need no system call.

    --body-idle-timeout counts once for each PATIENT_WINDOWS windows at the minimum rate that the peer may need to read
    before its kernel acknowledges more. So by default, a peer that reads at the minimum rate makes progress in time.
    """
    cdef bint taken = has_taken(r, peer, x)
    cdef uint64_t usual = PATIENT_WINDOWS * (r.window_bytes or PATIENT_BYTES)
    if x.looked >= x.progress and taken:
        x.progress = r.milliseconds
    x.looked = r.milliseconds
    x.patience = r.times.body * max(usual, <uint64_t> receiver_step(r, peer)) // usual


cdef void watch_progress(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """Sets the deadline of the client's connection to the earliest of those that apply."""
    cdef uint8_t mover = pace_mover(r, c, x)
    cdef uint64_t deadline = earlier(earlier(x.deadline, patience(r, x, mover)), pace_watch(r, x, mover))
    if takes(mover):
        deadline = earlier(deadline, next_look(r, x))
    if x.stage == STAGE_PAUSING:
        deadline = earlier(deadline, x.resume)
    if c.ended and c.layer != LAYER_STREAM:
        schedule_probe(r, x)
        deadline = earlier(deadline, x.probe)
    set_deadline(r, c, deadline)


cdef void schedule_probe(Reactor r, Exchange *x) noexcept nogil:
    """Schedules a probe: only sending shows whether a client that closed its writing side still reads, or is gone.

    An interim response is harmless to a client that reads (RFC 9110 section 15.2); one that is gone answers with a
    reset.
    """
    if client_knows_interim(x) and not x.probed and not x.answered and x.request_body.complete:
        x.probed = True
        x.probe = r.milliseconds + PROBE_AFTER


cdef int probe(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """Sends an interim answer, only to find out whether the client is there."""
    cdef Message message
    cdef uint32_t written = 0
    cdef iovec part
    x.probe = 0
    if x.answered:
        return VERDICT_ON
    memset(&message, 0, sizeof(Message))
    message.status = 100
    message.reason = Slice(b"Continue", 8)
    if not client_interim(r, c, x, &message, &written):
        return VERDICT_ON
    part.iov_base = r.outgoing
    part.iov_len = written
    x.sent += written
    if transmit(r, c, &part, 1) < 0:
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    return VERDICT_ON


cdef int exchange_expired(Reactor r, Connection *c, Connection *u) noexcept nogil:
    cdef Exchange *x = c.exchange
    cdef int verdict
    if x.stage == STAGE_TUNNEL:
        return tunnel_expired(r, c, x)
    if is_raw(x):
        return passage_expired(r, c, x, u)
    if x.deadline and r.milliseconds >= x.deadline and not x.recorded:
        x.deadline = 0
        if x.upstream and x.request_body.complete and is_up_to_endpoint(r, x):
            record_failure(r, x, KIND_REQUEST_TIMEOUT)
        verdict = answer_plainly(r, c, x, 504, REASON_REQUEST_TIMEOUT)
    elif u is NULL:
        verdict = client_expired(r, c, x)
    elif x.try_deadline and r.milliseconds >= x.try_deadline:
        verdict = try_expired(r, c, x)
    elif x.stage == STAGE_CONNECTING:
        verdict = refused(r, c, x, True)
    else:
        verdict = VERDICT_ON
    return exchange_advance(r, c) if continues(verdict) else verdict


cdef bint is_up_to_endpoint(Reactor r, const Exchange *x) noexcept nogil:
    """Whether the exchange waits for the endpoint, and not for a handshake that waits for its turn in the gateway."""
    cdef const Connection *u = slab_find(&r.slab, x.upstream)
    if x.stage == STAGE_CONNECTING:
        return u is NULL or not waits_for_gateway(r, u)
    return x.stage == STAGE_WAITING


cdef int try_expired(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """The rule's backendRequest timeout has passed: tries again, or answers 504."""
    cdef bint connecting = x.stage == STAGE_CONNECTING
    if not connecting or is_up_to_endpoint(r, x):
        record_failure(r, x, KIND_BACKEND_TIMEOUT)
    if x.trace is not NULL:
        tracing_failed(x, REASON_BACKEND_TIMEOUT)
    if attempt_again(r, x, FAILURE_NOT_CONNECTED if connecting else FAILURE_TIMEOUT, 0, False):
        return VERDICT_ON
    return answer_plainly(r, c, x, 504, REASON_BACKEND_TIMEOUT)


cdef int resume(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """The pause is over: starts the next try, or answers 503."""
    cdef uint16_t reason = attempt_resume(r, c, x)
    return VERDICT_ON if reason == 0 else answer_plainly(r, c, x, attempt_status(reason), reason)


cdef int client_expired(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """Called when a side made no progress in time, a probe is due, or a pause is over."""
    cdef uint8_t mover = pace_mover(r, c, x)
    cdef uint64_t until
    if takes(mover) and r.milliseconds >= next_look(r, x):
        look(r, slab_find(&r.slab, x.upstream) if mover == MOVER_TAKER else c, x)
    until = patience(r, x, mover)
    if x.stage == STAGE_PAUSING and r.milliseconds >= x.resume:
        return resume(r, c, x)
    if x.probe and r.milliseconds >= x.probe:
        return probe(r, c, x)
    if pace_failed(r, c, x):
        return too_slow(r, c, x)
    if until == 0 or r.milliseconds < until:
        return VERDICT_ON
    if x.stage == STAGE_DISCARDING:
        return VERDICT_CLOSE
    if mover == MOVER_TAKER:
        return answer_plainly(r, c, x, 504, REASON_UPLOAD_TIMEOUT)
    if mover == MOVER_READERS:
        return break_off(r, c, x, REASON_BODY_TIMEOUT)      # it would not read an answer, even if it has none yet
    return reset_reader(c, answer_plainly(r, c, x, 408, REASON_BODY_TIMEOUT))


cdef inline int reset_reader(const Connection *c, int verdict) noexcept nogil:
    """Ends the connection of a client that is too slow. Only a reset frees the bytes that the kernel holds for it."""
    return VERDICT_RESET if verdict == VERDICT_CLOSE and buffer_size(&c.output) else verdict


cdef int too_slow(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """Called when the side for which the exchange waits is slower than --min-body-rate."""
    if x.mover == MOVER_BACKEND:
        count(r.counters, FIXED_ENDED_UPSTREAM_TOO_SLOW, 1)
        return cut_short(r, c, x, REASON_UPSTREAM_TOO_SLOW)
    count(r.counters, FIXED_ENDED_BODY_TOO_SLOW, 1)
    if x.stage == STAGE_DISCARDING:
        return VERDICT_CLOSE
    if x.mover == MOVER_READERS:
        return break_off(r, c, x, REASON_BODY_TOO_SLOW)
    return reset_reader(c, answer_plainly(r, c, x, 408, REASON_BODY_TOO_SLOW))
