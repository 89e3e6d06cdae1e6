"""Responses on their way to clients; see response.pxd.

An answer comes as events of the backend's side (sides/backend), and leaves by operations of the client's side
(sides/client). All interim answers of one read are sent together: one read may contain a hundred, and a TLS record
and a system call for each would make a long turn.
"""

from libc.stdint cimport uint16_t, uint32_t

from fastroute.ext.exchange.affinity cimport affinity_respond
from fastroute.ext.exchange.answer cimport answer_plainly, break_off, can_be_discarded, cut_short, date_now, is_leaving
from fastroute.ext.exchange.attempt cimport (
    attempt_afresh, attempt_again, attempt_end, attempt_status, attempt_unprocessed,
)
from fastroute.ext.exchange.tracing cimport tracing_answered
from fastroute.ext.exchange.tunnel cimport tunnel_begin
from fastroute.ext.exchange.upstream cimport upstream_note
from fastroute.ext.exchange.webcall cimport webcall_answer, webcall_follow, webcall_send
from fastroute.ext.memory.buffer cimport buffer_free, buffer_size
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.content cimport content_add, content_begin
from fastroute.ext.message.fieldlist cimport append_field
from fastroute.ext.message.grpc cimport grpc_outcome, is_grpc_answer
from fastroute.ext.message.message cimport FIELD_DATE, VERSION_HTTP2, Field, Message
from fastroute.ext.message.reason cimport (
    REASON_CLIENT_CLOSED, REASON_OVERLOADED, REASON_UPSTREAM_CLOSED, REASON_UPSTREAM_MALFORMED,
    REASON_UPSTREAM_TRUNCATED,
)
from fastroute.ext.message.refusal cimport (
    REFUSAL_ANSWER_MALFORMED, REFUSAL_ARENA_FULL, REFUSAL_INTERIM_TOO_LARGE, REFUSAL_INTERIM_TOO_MANY, REFUSAL_NONE,
    refusal_option, refusal_reason,
)
from fastroute.ext.reactor.connection cimport LAYER_STREAM, slab_find
from fastroute.ext.reactor.counters cimport HISTOGRAM_UPSTREAM_OTHER, observe
from fastroute.ext.reactor.exchange cimport (
    STAGE_FLUSHING, STAGE_RELAYING, STAGE_WAITING, VERDICT_ON, exchange_origin,
)
from fastroute.ext.reactor.reactor cimport flush, put
from fastroute.ext.reactor.stream cimport is_unprocessed, room_for, was_reset
from fastroute.ext.routing.filters cimport filter_response
from fastroute.ext.routing.retry cimport FAILURE_CLOSED, FAILURE_STATUS
from fastroute.ext.sides.arrival cimport (
    EVENT_CLOSED, EVENT_END, EVENT_HEAD, EVENT_INTERIM, EVENT_MALFORMED, EVENT_NONE, EVENT_NO_ROOM, EVENT_PIECE,
    Arrival,
)
from fastroute.ext.sides.backend cimport backend_accept, backend_event, backend_forget, backend_has_all, backend_receive
from fastroute.ext.sides.client cimport client_body, client_end, client_head, client_interim


cdef enum:
    INTERIM_MOST = 100      # 1xx heads of an exchange; their bytes are limited like those of a head


cdef int response_relay(Reactor r, Connection *c, Exchange *x, Connection *u) noexcept nogil:
    cdef Arrival arrival
    cdef uint32_t written = 0
    cdef int event
    if backend_receive(r, u, room_for(r, c), &arrival) < 0:
        return answer_plainly(r, c, x, 502, REASON_OVERLOADED)
    if arrival.size:
        x.heard = True
    arrival.waiting = x.stage == STAGE_WAITING
    arrival.method = x.method
    arrival.upgrades = x.upgrades
    event = backend_event(r, u, x, &arrival)
    while event == EVENT_INTERIM:
        arrival.refusal = add_interim(r, c, x, &arrival, &written)
        event = EVENT_MALFORMED if arrival.refusal else backend_event(r, u, x, &arrival)
    x.sent += written
    if written and put(r, c, r.outgoing, written) < 0:
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    if event == EVENT_HEAD:
        return take_head(r, c, x, u, &arrival)
    if event == EVENT_PIECE:
        return take_piece(r, c, x, u, &arrival, 0)
    if event == EVENT_END:
        return take_end(r, c, x)
    if event != EVENT_NONE:
        return failed(r, c, x, &arrival, event)
    if written and c.writable and flush(r, c) < 0:
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    return VERDICT_ON


# --- failures


cdef int failed(Reactor r, Connection *c, Exchange *x, const Arrival *arrival, int event) noexcept nogil:
    if event == EVENT_CLOSED:
        return ended(r, c, x)
    if event == EVENT_NO_ROOM:
        return answer_plainly(r, c, x, 502, REASON_OVERLOADED)
    return malformed(r, c, x, arrival.refusal)


cdef bint may_ask_afresh(Reactor r, const Exchange *x) noexcept nogil:
    """Whether a reused connection failed in a way that the previous request may have caused. The first bytes on a held
    connection may be a body that its previous answer must not have (upstream_note)."""
    if not x.reused or not x.repeatable or x.retried:
        return False
    return not x.heard or slab_find(&r.slab, x.upstream).held != 0


cdef int tried(Reactor r, Connection *c, Exchange *x, uint16_t reason) noexcept nogil:
    """Another try has begun, unless there is a reason."""
    return VERDICT_ON if reason == 0 else answer_plainly(r, c, x, attempt_status(reason), reason)


cdef int ended(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """The upstream has closed before the end of its answer."""
    cdef const Connection *u = slab_find(&r.slab, x.upstream)
    if x.stage == STAGE_RELAYING:
        return cut_short(r, c, x, REASON_UPSTREAM_TRUNCATED)
    if x.keeps and not x.heard and is_unprocessed(u):
        return tried(r, c, x, attempt_unprocessed(r, c, x, u))
    if not was_reset(r, u) and may_ask_afresh(r, x):
        return tried(r, c, x, attempt_afresh(r, c, x))
    if attempt_again(r, x, FAILURE_CLOSED, 0, False):
        return VERDICT_ON
    return answer_plainly(r, c, x, 502, REASON_UPSTREAM_CLOSED)


cdef int malformed(Reactor r, Connection *c, Exchange *x, int refusal) noexcept nogil:
    cdef const Connection *u = slab_find(&r.slab, x.upstream)
    if x.stage == STAGE_WAITING and u.layer != LAYER_STREAM and may_ask_afresh(r, x):
        return tried(r, c, x, attempt_afresh(r, c, x))
    x.cause = refusal_reason(refusal)
    x.option = refusal_option(refusal)
    return answer_plainly(r, c, x, 502, REASON_UPSTREAM_MALFORMED)


# --- heads


cdef int add_interim(Reactor r, Connection *c, Exchange *x, const Arrival *arrival, uint32_t *written) noexcept nogil:
    """Adds the 1xx answer that has arrived to those that are sent next. Returns a Refusal."""
    x.heard = True
    x.interim_heads += 1
    x.interim_bytes += arrival.taken
    if x.interim_heads > INTERIM_MOST:
        return REFUSAL_INTERIM_TOO_MANY
    if x.interim_bytes > r.head_limits.head:
        return REFUSAL_INTERIM_TOO_LARGE
    return REFUSAL_NONE if client_interim(r, c, x, arrival.message, written) else REFUSAL_ARENA_FULL


cdef int add_date(Reactor r, Message *message) noexcept nogil:
    """Adds a Date to an answer without one (RFC 9110 section 6.6.1). Returns 0, or -1 if the arena is full."""
    cdef Field *field = message.fields
    cdef Field *end = message.fields + message.fields_count
    while field < end:
        if field.known == FIELD_DATE and not field.dropped:
            return 0
        field += 1
    if message.status < 200:
        return 0
    return 0 if append_field(message, &r.arena, Slice(b"Date", 4), date_now(r)) is not NULL else -1


cdef bint leaves_request_unread(Reactor r, const Exchange *x, const Connection *u,
                                const Arrival *arrival) noexcept nogil:
    """Whether it is certain that the rest of the request body will not be read: the connection closes after the answer.

    A successful answer whose body is incomplete may answer each piece of the request as it arrives. Its client must not
    get `Connection: close`, because it may then stop sending (RFC 9112 section 9.6).
    """
    cdef bint exact
    if x.request_body.complete or can_be_discarded(x):
        return False
    return (arrival.message.status >= 300 or x.upload_over or (x.expects and x.request_body.size == 0)
            or backend_has_all(r, u, arrival, &exact))


cdef int take_head(Reactor r, Connection *c, Exchange *x, Connection *u, Arrival *arrival) noexcept nogil:
    """Takes the final head, and frees what was received before it."""
    cdef int verdict
    upstream_note(r, u, arrival.message)
    verdict = take_final(r, c, x, u, arrival)
    u = slab_find(&r.slab, x.upstream)
    if u is not NULL:
        backend_forget(u, arrival)
    return verdict


cdef int take_final(Reactor r, Connection *c, Exchange *x, Connection *u, Arrival *arrival) noexcept nogil:
    """Filters the final head, and sends it with the first bytes of the body."""
    cdef Message *message = arrival.message
    cdef bint close
    cdef uint32_t head
    cdef int event
    if x.trace is not NULL:
        tracing_answered(x, message)
    if x.keeps:
        if is_refused(r, x, u, arrival):
            return VERDICT_ON
        x.keeps = False
        buffer_free(&x.held)
    observe(r.counters, x.target.upstream_series or HISTOGRAM_UPSTREAM_OTHER, r.now - x.upstream_started)
    if (add_date(r, message) < 0 or filter_response(x.rule.filters, exchange_origin(x), message, &r.arena) < 0
            or filter_response(x.target.filters, exchange_origin(x), message, &r.arena) < 0
            or (x.rule.session is not NULL and affinity_respond(r, x, message) < 0)):
        return answer_plainly(r, c, x, 502, REASON_OVERLOADED)
    if message.status == 101:
        return tunnel_begin(r, c, x, u, arrival)
    if x.upgrades and x.version == VERSION_HTTP2 and message.status < 300:
        return answer_plainly(r, c, x, 502, REASON_UPSTREAM_MALFORMED)      # it would mean that there is a tunnel
    close = is_leaving(r, c) or leaves_request_unread(r, x, u, arrival)
    backend_accept(r, u)
    content_begin(&x.response_body, message)
    x.upstream_keeps = message.keep_alive
    if x.grpc:
        x.grpc_outcome = grpc_outcome(message)
        x.grpc_begun = is_grpc_answer(message)
        if x.translated and not webcall_answer(r, x, message):
            return answer_plainly(r, c, x, 502, REASON_OVERLOADED)
    head = client_head(r, c, x, message, close)
    if head == 0:
        return answer_plainly(r, c, x, 502, REASON_OVERLOADED)
    x.status = message.status
    x.stage = STAGE_RELAYING
    event = backend_event(r, u, x, arrival)
    return take_piece(r, c, x, u, arrival, head) if event == EVENT_PIECE else failed(r, c, x, arrival, event)


cdef bint is_refused(Reactor r, Exchange *x, Connection *u, const Arrival *arrival) noexcept nogil:
    """Whether the rule retries the request for this status: then nothing of the answer is sent to the client.

    The connection is kept if the whole body of the answer came with its head; fastroute does not wait for the rest.
    """
    cdef bint exact
    cdef bint whole = backend_has_all(r, u, arrival, &exact)
    return attempt_again(r, x, FAILURE_STATUS, arrival.message.status,
                         is_reusable(x, u, whole and arrival.message.keep_alive, exact))


# --- the body


cdef inline bint is_reusable(const Exchange *x, const Connection *u, bint keeps, bint exact) noexcept nogil:
    """Whether the connection can have another request after the answer. `exact`: nothing came after the answer."""
    return exact and keeps and x.request_body.complete and not x.upload_over and buffer_size(&u.output) == 0


cdef int take_piece(Reactor r, Connection *c, Exchange *x, Connection *u, const Arrival *arrival,
                    uint32_t head) noexcept nogil:
    """Sends the `head` bytes of the head, if any, and the piece."""
    cdef int sent
    if x.translated and not webcall_follow(x, &arrival.piece):
        return malformed(r, c, x, REFUSAL_ANSWER_MALFORMED)
    x.answered = True
    if x.grpc and arrival.piece.trailers is not NULL:
        x.grpc_outcome = grpc_outcome(arrival.piece.trailers)
    content_add(&x.response_body, arrival.piece.size, arrival.piece.end)
    sent = webcall_send(r, c, x, head, &arrival.piece) if x.translated else client_body(r, c, x, head, &arrival.piece)
    if sent < 0:
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    if arrival.piece.end:
        # The connection is kept if nothing is left in either direction.
        finish(r, x, is_reusable(x, u, x.upstream_keeps, arrival.size == 0))
    return VERDICT_ON


cdef void finish(Reactor r, Exchange *x, bint reusable) noexcept nogil:
    """The answer is complete."""
    x.upstream_ended = r.now
    x.deadline = 0
    x.stage = STAGE_FLUSHING
    attempt_end(r, x, reusable)


cdef int take_end(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """The answer has ended after its last piece, with the connection."""
    content_add(&x.response_body, 0, True)
    finish(r, x, False)
    return VERDICT_ON if client_end(r, c, x) == 0 else break_off(r, c, x, REASON_CLIENT_CLOSED)
