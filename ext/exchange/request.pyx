"""Requests on their way to endpoints; see request.pxd.

One pass over the head, while its Slices are valid: forward_begin, find_rule, forward, the filters of the rule,
choose_target, the filters of the target, keep_request. Matching uses the fields as received, without those that are
not forwarded. The fields of the gateway are added before the filters, so that fields set by users are kept.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from fastroute.ext.exchange.affinity cimport affinity_choose
from fastroute.ext.exchange.answer cimport answer, answer_plainly, break_off
from fastroute.ext.exchange.attempt cimport attempt_begin, attempt_send, attempt_status
from fastroute.ext.exchange.mirroring cimport mirrors_begin, mirrors_feed, mirrors_ready
from fastroute.ext.exchange.record cimport record_request
from fastroute.ext.exchange.upstream cimport upstream_speaks
from fastroute.ext.exchange.tracing cimport tracing_begin
from fastroute.ext.exchange.webcall cimport webcall_begin, webcall_take
from fastroute.ext.memory.buffer cimport buffer_append, buffer_free, buffer_size
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.block cimport BLOCK_MORE, block_size
from fastroute.ext.message.content cimport content_add, content_begin, content_total
from fastroute.ext.message.fieldlist cimport append_field
from fastroute.ext.message.forwarded cimport Forwarded, count_forward, forward, forward_begin
from fastroute.ext.message.grpc cimport CALL_NONE, call_of, grpc_timeout, is_web
from fastroute.ext.message.grpcweb cimport web_answers
from fastroute.ext.message.items cimport lists
from fastroute.ext.message.message cimport METHOD_TRACE, SCHEME_HTTP, SCHEME_HTTPS, Field, Message, is_idempotent
from fastroute.ext.message.protocol cimport has_streams
from fastroute.ext.message.reason cimport (
    REASON_BODY_TOO_LARGE, REASON_CLIENT_CERTIFICATE, REASON_CLIENT_CLOSED, REASON_LOOP, REASON_MAX_FORWARDS,
    REASON_MISDIRECTED, REASON_NO_LISTENER, REASON_OPTIONS_ASTERISK, REASON_OVERLOADED, REASON_REFUSED,
    REASON_UPGRADE_UNSUPPORTED,
)
from fastroute.ext.message.refusal cimport REFUSAL_TEXT_INVALID, refusal_status
from fastroute.ext.reactor.connection cimport LAYER_STREAM
from fastroute.ext.reactor.exchange cimport (
    STAGE_WAITING, VERDICT_ON, continues, exchange_keep_origin, exchange_keep_request, exchange_keep_trailers,
)
from fastroute.ext.reactor.reactor cimport note_payer, queue
from fastroute.ext.reactor.stream cimport parent_of, room_for, tls_of
from fastroute.ext.routing.balancer cimport choose_target
from fastroute.ext.routing.chain cimport FilterChain
from fastroute.ext.routing.copies cimport Copy, copies_reset
from fastroute.ext.routing.filters cimport FILTERED_NO_ROOM, FILTERED_ON, Answer, Filtered, filter_request
from fastroute.ext.routing.loop cimport is_marked
from fastroute.ext.routing.retry cimport KEPT_MOST
from fastroute.ext.routing.router cimport Decision, Listener, find_rule, listener_ref
from fastroute.ext.routing.tables cimport Rule, rule_ref
from fastroute.ext.sides.arrival cimport EVENT_CLOSED, EVENT_NONE, EVENT_NO_ROOM, EVENT_PIECE, Piece
from fastroute.ext.sides.backend cimport backend_body, backend_takes_chunks, backend_upgrades
from fastroute.ext.sides.client cimport client_event, client_keep_rest, client_receive
from fastroute.ext.tls.tls cimport Tls, tls_admit


cdef void note(Reactor r, Exchange *x, const Message *message) noexcept nogil:
    """Copies what is needed of the request after its head is gone."""
    x.method = message.method_name
    x.keep_alive = message.keep_alive
    x.expects = message.expect_continue
    x.upgrades = message.upgrade
    x.asks = call_of(message)
    x.grpc = x.asks != CALL_NONE
    if is_web(x.asks):
        x.web = web_answers(message, x.asks)
    x.repeatable = not message.has_body and is_idempotent(message.method_name)
    x.progress = r.milliseconds


cdef void find(Reactor r, Connection *c, const Tls *tls, Exchange *x, Message *message,
               Decision *decision) noexcept nogil:
    """Finds the rule of the request and sets `x.rule`, or else `x.listener` if there is one."""
    cdef Slice asked
    if tls is not NULL:
        asked.data = tls.name
        asked.size = tls.name_size
    memset(decision, 0, sizeof(Decision))
    decision.reason = REASON_NO_LISTENER
    if r.tables is not None:
        find_rule(r.tables.routes, r.sockets[c.listener], &asked if tls is not NULL else NULL, message, &r.arena,
                  decision)
    if decision.rule is not NULL and not message.asterisk:
        rule_ref(decision.rule)
        x.rule = decision.rule
        note_payer(r, c, decision.rule.owner)
    elif decision.listener is not NULL:
        listener_ref(decision.listener)
        x.listener = decision.listener


cdef int decide(Reactor r, Connection *c, Exchange *x, Message *message) noexcept nogil:
    """Decides where the request goes, and changes it accordingly. Sets `x.target`, or answers."""
    cdef Decision decision
    cdef Answer own
    cdef Forwarded said
    cdef Filtered outcome
    cdef int chosen
    cdef Rule *rule
    cdef Slice trace_id
    cdef Tls *tls = tls_of(r, c)
    cdef uint8_t scheme = SCHEME_HTTPS if tls is not NULL else SCHEME_HTTP
    cdef bint admitted
    message.scheme = scheme
    forward_begin(&said, r.trusted, &c.peer, message)
    find(r, c, tls, x, message, &decision)
    rule = x.rule
    admitted = tls is NULL or admit(r, c, tls, decision.listener)
    if (forward(&said, &c.peer, r.entropy, message, &r.arena) < 0 or not introduce(r, tls, message)
            or not tracing_begin(r, x, message, decision.listener, &trace_id)):
        return answer_plainly(r, c, x, 503, REASON_OVERLOADED)
    record_request(r, x, message, said.client, said.request_id, trace_id)
    if not admitted:
        return answer_plainly(r, c, x, 421, REASON_CLIENT_CERTIFICATE)
    message.mark = r.mark.id
    if message.has_loop and is_marked(&r.mark, message):
        return answer_plainly(r, c, x, 508, REASON_LOOP)
    if rule is NULL and message.asterisk and decision.listener_port:
        return answer_plainly(r, c, x, 200, REASON_OPTIONS_ASTERISK)
    if rule is NULL:
        return answer_plainly(r, c, x, unrouted_status(decision.reason), decision.reason)
    if message.has_max_forwards:
        if message.max_forwards == 0:
            return answer_last(r, c, x)
        if count_forward(message, &r.arena) < 0:
            return answer_plainly(r, c, x, 503, REASON_OVERLOADED)
    if message.scheme != scheme:
        decision.listener_port = 0      # the client used a port of the proxy in front of fastroute
    limit_time(r, x, message)
    if rule.filters is not NULL:
        outcome = filtered(r, x, rule.filters, message, &decision, &own)
        if outcome != FILTERED_ON:
            return answer_filtered(r, c, x, outcome, &own)
    chosen = choose_target(rule.choice) if rule.session is NULL else affinity_choose(r, x, message)
    if chosen < 0:
        return answer_plainly(r, c, x, 500, rule.reason)
    x.target = &rule.targets[chosen]
    if x.target.backend is NULL:
        return answer_plainly(r, c, x, x.target.status, x.target.reason)
    if x.target.filters is not NULL:
        outcome = filtered(r, x, x.target.filters, message, &decision, &own)
        if outcome != FILTERED_ON:
            return answer_filtered(r, c, x, outcome, &own)
    return VERDICT_ON


cdef bint admit(Reactor r, Connection *c, Tls *tls, const Listener *listener) noexcept nogil:
    """Whether the client may send requests to the listener (tls_admit). If not, its connection takes no more."""
    cdef Connection *p
    if listener is NULL or listener.secure is NULL or tls_admit(tls, listener.secure):
        return True
    p = parent_of(r, c) if c.layer == LAYER_STREAM else c
    if p is not NULL:
        p.leave_at = max(<uint64_t> 1, r.milliseconds)
    return False


cdef bint introduce(Reactor r, const Tls *tls, Message *message) noexcept nogil:
    """Says who the client is, if it has shown a valid certificate. False: the arena is full."""
    if tls is NULL or tls.identity_size == 0:
        return True
    return append_field(message, &r.arena, Slice(b"X-Forwarded-Client-Cert", 23),
                        Slice(tls.identity, tls.identity_size)) is not NULL


cdef void limit_time(Reactor r, Exchange *x, const Message *message) noexcept nogil:
    """Sets the deadline of the exchange: the request timeout of the rule, or that of a call, which the client sets."""
    cdef uint64_t most = x.rule.request_timeout
    cdef uint64_t asked = grpc_timeout(message) if x.grpc else 0
    if asked and (most == 0 or asked < most):
        most = asked
    if most:
        x.deadline = r.milliseconds + most


cdef inline int unrouted_status(uint16_t reason) noexcept nogil:
    """The answer to a request for which no rule was found."""
    if reason == REASON_OVERLOADED:
        return 503
    return 421 if reason == REASON_MISDIRECTED else 404


cdef int answer_last(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """Answers OPTIONS or TRACE with Max-Forwards: 0 as the final recipient (RFC 9110 section 7.6.2).

    TRACE is answered with 405: an echo of the request would show scripts fields that browsers hide from them.
    """
    cdef Answer own
    cdef Field allow
    memset(&own, 0, sizeof(Answer))
    own.status = 200
    own.reason = REASON_MAX_FORWARDS
    if x.method == METHOD_TRACE:
        memset(&allow, 0, sizeof(Field))
        allow.name = Slice(b"Allow", 5)
        allow.value = Slice(b"OPTIONS", 7)
        own.status = 405
        own.fields = &allow
        own.fields_count = 1
    return answer(r, c, x, &own)


cdef Filtered filtered(Reactor r, Exchange *x, const FilterChain *chain, Message *message, const Decision *decision,
                       Answer *own) noexcept nogil:
    """Like filter_request; also keeps what a CORS filter adds to the response."""
    cdef Filtered outcome
    memset(own, 0, sizeof(Answer))
    own.copies = &r.copies
    outcome = filter_request(chain, message, decision.prefix, decision.listener_port, &r.arena, own)
    if own.cors is not NULL:
        x.cors = own.cors
        if not exchange_keep_origin(x, own.origin):
            return FILTERED_NO_ROOM
    return outcome


cdef int answer_filtered(Reactor r, Connection *c, Exchange *x, Filtered outcome, const Answer *own) noexcept nogil:
    """A filter answered, or there was no room."""
    if outcome == FILTERED_NO_ROOM:
        return answer_plainly(r, c, x, 503, REASON_OVERLOADED)
    return answer(r, c, x, own)


cdef bint keep_request(Reactor r, Exchange *x, const Message *message) noexcept nogil:
    """Keeps the request until its answer begins. False: no memory, or no protocol could write it."""
    cdef uint32_t size = block_size(message)
    return size + BLOCK_MORE <= r.outgoing_size and exchange_keep_request(x, message, size)


cdef bint is_too_large(Reactor r, const Exchange *x) noexcept nogil:
    """Whether the body exceeds --max-body, by the stated length or by the bytes received so far."""
    return content_total(&x.request_body) > r.max_body


cdef int send(Reactor r, Connection *c, Exchange *x, const Piece *piece) noexcept nogil:
    """Sends the head and the piece of the body that came with it, or holds them until there is a connection."""
    cdef uint32_t size = piece.data.size
    cdef uint16_t reason
    x.keeps = x.rule.retry is not NULL or has_streams(x.target.backend.key.protocol)    # a stream may be refused
    reason = attempt_begin(r, c, x)
    if reason != 0:
        x.discarded = size
        return answer_plainly(r, c, x, attempt_status(reason), reason)
    if x.stage != STAGE_WAITING:
        x.keeps = x.keeps and size <= KEPT_MOST
        if not hold(x, piece):
            return answer_plainly(r, c, x, 503, REASON_OVERLOADED)
        return VERDICT_ON
    if x.keeps:
        keep(x, piece)
    attempt_send(r, c, x, piece)
    return VERDICT_ON


cdef bint hold(Exchange *x, const Piece *piece) noexcept nogil:
    """Adds a piece to what is held. False: out of memory."""
    x.held_chunked = piece.chunked
    return buffer_append(&x.held, piece.data.data, piece.data.size) == 0 and exchange_keep_trailers(x, piece.trailers)


cdef void keep(Exchange *x, const Piece *piece) noexcept nogil:
    """Keeps a piece of the body that is about to be sent; if that is impossible, the request is not sent again."""
    if buffer_size(&x.held) + piece.data.size > KEPT_MOST or not hold(x, piece):
        x.keeps = False
        buffer_free(&x.held)


cdef bint wants_content(Reactor r, const Exchange *x) noexcept nogil:
    """Whether the backend, or one of the mirrors, takes no chunks: then all of them get content."""
    cdef const Copy *copy = r.copies.first
    while copy is not NULL:
        if not backend_takes_chunks(upstream_speaks(copy.backend.key)):
            return True
        copy = copy.next
    return not backend_takes_chunks(upstream_speaks(x.target.backend.key))


cdef int request_begin(Reactor r, Connection *c, Exchange *x, Arrival *arrival) noexcept nogil:
    cdef Message *message = arrival.message
    cdef int event, verdict
    content_begin(&x.request_body, message)
    note(r, x, message)
    if is_too_large(r, x):
        record_request(r, x, message, nothing(), nothing(), nothing())
        return answer_plainly(r, c, x, 413, REASON_BODY_TOO_LARGE)
    copies_reset(&r.copies)
    verdict = decide(r, c, x, message)
    if verdict != VERDICT_ON:
        return verdict
    if message.upgrade and not backend_upgrades(upstream_speaks(x.target.backend.key)):
        if lists(message.protocols, b"websocket", 9):
            return answer_plainly(r, c, x, 502, REASON_UPGRADE_UNSUPPORTED)
        x.upgrades = False      # the backend gets a usual request
    if x.web and not webcall_begin(r, x, message):
        return answer_plainly(r, c, x, 503, REASON_OVERLOADED)
    if not x.request_body.complete:
        x.plain = wants_content(r, x)
        event = client_event(r, c, x, arrival)
        if event > EVENT_PIECE:
            return failed(r, c, x, arrival, event)
        if event == EVENT_PIECE:
            content_add(&x.request_body, arrival.piece.size, arrival.piece.end)
            if is_too_large(r, x):
                return answer_plainly(r, c, x, 413, REASON_BODY_TOO_LARGE)
            x.received += arrival.taken
    else:
        arrival.piece.end = True
    if x.translated and not webcall_take(x, &arrival.piece):
        return request_refused(r, c, x, REFUSAL_TEXT_INVALID)
    if not keep_request(r, x, message):
        return answer_plainly(r, c, x, 503, REASON_OVERLOADED)
    verdict = send(r, c, x, &arrival.piece)
    if verdict == VERDICT_ON and (r.copies.first is not NULL or r.copies.lost):
        mirrors_begin(r, x, &arrival.piece)
    return verdict


cdef inline Slice nothing() noexcept nogil:
    cdef Slice slice
    slice.data = NULL
    slice.size = 0
    return slice


cdef int request_refused(Reactor r, Connection *c, Exchange *x, int refusal) noexcept nogil:
    return answer_plainly(r, c, x, refusal_status(refusal), REASON_REFUSED + refusal)


cdef int failed(Reactor r, Connection *c, Exchange *x, const Arrival *arrival, int event) noexcept nogil:
    if event == EVENT_CLOSED:
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    if event == EVENT_NO_ROOM:
        return answer_plainly(r, c, x, 503, REASON_OVERLOADED)
    return request_refused(r, c, x, arrival.refusal)


cdef int relay(Reactor r, Connection *c, Exchange *x, Connection *u, Piece *piece) noexcept nogil:
    """Sends a piece of the body to the backend and the mirrors."""
    content_add(&x.request_body, piece.size, piece.end)
    if is_too_large(r, x):
        return answer_plainly(r, c, x, 413, REASON_BODY_TOO_LARGE)
    if x.translated and not webcall_take(x, piece):
        return request_refused(r, c, x, REFUSAL_TEXT_INVALID)
    if x.keeps:
        keep(x, piece)
    if backend_body(r, u, piece) < 0:
        x.upload_over = u.readable = True
    if x.mirrors_count:
        mirrors_feed(r, x, piece)
    return VERDICT_ON


cdef int request_relay(Reactor r, Connection *c, Exchange *x, Connection *u) noexcept nogil:
    cdef Arrival arrival
    cdef int event, verdict
    if x.mirrors_count and not mirrors_ready(r, x):
        queue(r, c)
        return VERDICT_ON
    client_receive(r, c, room_for(r, u), &arrival)
    r.arena.used = 0
    event = client_event(r, c, x, &arrival)
    if event == EVENT_NONE:
        return VERDICT_ON
    if event != EVENT_CLOSED:
        x.progress = r.milliseconds
    if event == EVENT_PIECE:
        x.received += arrival.taken
        verdict = relay(r, c, x, u, &arrival.piece)
    else:
        verdict = failed(r, c, x, &arrival, event)
    # Also after an answer, since the connection may be kept: the next request must not be read from its middle.
    if continues(verdict) and client_keep_rest(c, &arrival) < 0:
        return break_off(r, c, x, REASON_OVERLOADED)
    return verdict
