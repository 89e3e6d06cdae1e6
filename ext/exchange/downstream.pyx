"""Client connections; see downstream.pxd.

Each visit reads one head and begins one exchange; a connection with more data is queued behind the others, so a client
that pipelines gets no more than its share. A read takes at most `Reactor.ahead` bytes: so many can be held behind a
request in progress, during which nothing more is read. A response that closes the connection is followed by a half-close,
and further input from the client is discarded for a while: a plain close with unread data would be a reset, which can
destroy the response.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from posix.unistd cimport close

from fastroute.ext.exchange.answer cimport answer_plainly, break_off
from fastroute.ext.exchange.handshake cimport (
    WELCOME_PASSED, WELCOME_SECURED, Welcome, WelcomeEnd, handshake_advance, handshake_begin, handshake_expired,
    handshake_fail, handshake_has_more, handshake_resume,
)
from fastroute.ext.exchange.lifetime cimport exchange_close, exchange_open
from fastroute.ext.exchange.passage cimport Passage, passage_begin, passage_find
from fastroute.ext.exchange.proxy_protocol cimport PREFACE_MOST, Preface, parse_preface
from fastroute.ext.exchange.relay cimport exchange_advance, exchange_expired
from fastroute.ext.exchange.request cimport request_begin, request_refused
from fastroute.ext.memory.address cimport AF_INET, AF_INET6
from fastroute.ext.memory.buffer cimport (
    buffer_bytes, buffer_consume, buffer_free, buffer_reserve, buffer_size,
)
from fastroute.ext.memory.random cimport random_next
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.content cimport content_is_whole, content_omit
from fastroute.ext.message.forwarded cimport peer_set
from fastroute.ext.message.message cimport VERSION_TCP, VERSION_TLS, VERSION_UNKNOWN
from fastroute.ext.message.protocol cimport PROTOCOL_HTTP2
from fastroute.ext.message.reason cimport (
    REASON_CLIENT_CLOSED, REASON_DRAINED, REASON_HEAD_TIMEOUT, REASON_NONE, reason_name,
)
from fastroute.ext.reactor.clients cimport ENTRY_COUNTED, ENTRY_REFUSED, Entry, clients_enter
from fastroute.ext.reactor.connection cimport (
    LAYER_STREAM, SIDE_DOWNSTREAM, STATE_CLOSED, STATE_EXCHANGE, STATE_HANDSHAKE, STATE_HEAD, STATE_HELLO, STATE_IDLE,
    STATE_LINGER, STATE_PARENT, STATE_PREFACE,
)
from fastroute.ext.reactor.counters cimport (
    FIXED_CONNECTIONS_ACCEPTED, FIXED_DOWNSTREAM_IDLE, FIXED_REFUSED_CLIENT, TLS_CROWDED, count, gauge_add,
)
from fastroute.ext.reactor.encryption cimport end_tls
from fastroute.ext.reactor.exchange cimport (
    VERDICT_DONE, VERDICT_LINGER, VERDICT_ON, VERDICT_RESET, Exchange, continues,
)
from fastroute.ext.reactor.fault cimport fault_log
from fastroute.ext.reactor.parent cimport parent_begin
from fastroute.ext.reactor.reactor cimport (
    GREETING_BYTES, GREETING_TLS, INTEREST_CLIENT, LINGER_BYTES, LINGER_IDLE, LINGER_TIME, MILLISECOND, break_down, close_connection,
    end_writing, flush, open_connection, portion, queue, read_clock, receive, set_deadline, skip,
)
from fastroute.ext.reactor.stream cimport streams_end
from fastroute.ext.routing.router cimport find_listener
from fastroute.ext.sides.arrival cimport EVENT_HEAD, EVENT_HTTP2, EVENT_MALFORMED, EVENT_NONE, EVENT_PART, Arrival
from fastroute.ext.sides.client cimport client_begin, client_has_begun, client_keep_rest, client_read
from fastroute.ext.tls.tls cimport tls_speaks_http2

cdef enum:
    DRAIN_IDLE = 1000       # milliseconds that an idle connection stays open while the engine drains
    AGED_IDLE = 1000        # and after --max-connection-age
    AGE_SPREAD = 10         # the age is up to a tenth longer, so that many connections do not close at the same time


cdef void downstream_adopt(Reactor r, Connection *listener, int fd, uint16_t family, const uint8_t *address,
                           uint16_t port) noexcept nogil:
    cdef Connection *c = open_connection(r, fd, SIDE_DOWNSTREAM, INTEREST_CLIENT)
    if c is NULL:
        close(fd)
        return
    c.listener = listener.listener
    c.writable = c.readable = True
    if r.times.age:
        c.leave_at = r.milliseconds + r.times.age + random_next(&r.random) % (r.times.age // AGE_SPREAD + 1)
    peer_set(&c.peer, r.trusted, family, address, port)
    if not c.peer.trusted if r.proxy_protocol else not admit(r, c):
        close_connection(r, c)
        return
    count(r.counters, FIXED_CONNECTIONS_ACCEPTED, 1)
    gauge_add(r.counters, FIXED_DOWNSTREAM_IDLE, 1)
    r.downstreams += 1
    if r.proxy_protocol:
        c.state = STATE_PREFACE
        set_deadline(r, c, r.milliseconds + r.times.head)
    else:
        greet(r, c)
    if c.state == STATE_CLOSED or c.state == STATE_EXCHANGE:
        read_clock(r)           # it goes to a TCPRoute: it has begun a connection to a backend, or has no backend
    elif c.state == STATE_HELLO:
        c.readable = False      # until its event: a visit of the listener must not perform sixteen handshakes
    elif c.state != STATE_PARENT:
        downstream_advance(r, c)
        read_clock(r)           # it may have begun a request: that costs more than the rest of the visit


cdef bint admit(Reactor r, Connection *c) noexcept nogil:
    """Counts the connection for the address of its client. False: close it, because the address has too many."""
    cdef Entry entry
    if c.peer.trusted or (c.peer.family != AF_INET and c.peer.family != AF_INET6):
        return True
    entry = clients_enter(&r.clients, c.peer.family, c.peer.address, r.max_per_client)
    c.counted = entry == ENTRY_COUNTED
    if entry == ENTRY_REFUSED:
        count(r.counters, FIXED_REFUSED_CLIENT, 1)
        r.refused += 1
        r.last_refused = c.peer
    return c.counted


cdef void greet(Reactor r, Connection *c) noexcept nogil:
    """Starts to serve the client, as the listeners of the port require: first TLS, or nothing but bytes, or requests."""
    cdef uint8_t greeting = r.greetings[c.listener]
    if greeting == GREETING_TLS:
        handshake_begin(r, c)
    elif greeting == GREETING_BYTES:
        pass_on_all(r, c)
    else:
        speak(r, c)


cdef void pass_on_all(Reactor r, Connection *c) noexcept nogil:
    """The connection goes to a TCPRoute."""
    cdef Passage passage
    cdef Slice any = Slice(NULL, 0)
    passage_find(&passage, find_listener(r.tables.routes, r.sockets[c.listener], any), VERSION_TCP, any)
    pass_on(r, c, &passage)


cdef void pass_on(Reactor r, Connection *c, const Passage *passage) noexcept nogil:
    """From now on the bytes of the client go to a backend."""
    cdef Exchange *x = exchange_open(r, c, True)
    cdef int verdict
    if x is NULL:
        downstream_close(r, c)
        return
    verdict = passage_begin(r, c, x, passage)
    if verdict != VERDICT_ON:
        conclude(r, c, verdict)


cdef void speak(Reactor r, Connection *c) noexcept nogil:
    """Begins the protocol of an established connection: the one on which TLS has agreed, or else HTTP/1."""
    if c.tls is not NULL and tls_speaks_http2(c.tls):
        begin_http2(r, c)
    else:
        rest(r, c)


cdef void begin_http2(Reactor r, Connection *c) noexcept nogil:
    if parent_begin(r, c, PROTOCOL_HTTP2) < 0:
        downstream_close(r, c)
    else:
        queue(r, c)


cdef void switch(Reactor r, Connection *c, const Arrival *arrival) noexcept nogil:
    """The client speaks HTTP/2 with prior knowledge (RFC 9113 section 3.3)."""
    if client_keep_rest(c, arrival) < 0:
        downstream_close(r, c)
    else:
        begin_http2(r, c)


cdef void rest(Reactor r, Connection *c) noexcept nogil:
    """Waits for the next request."""
    cdef uint64_t deadline = r.milliseconds + (DRAIN_IDLE if r.draining else r.times.idle)
    c.state = STATE_IDLE
    c.scanned = 0
    if c.leave_at != 0 and c.leave_at < deadline:
        # The client may be sending a request just now.
        deadline = min(deadline, max(c.leave_at, r.milliseconds + AGED_IDLE))
    set_deadline(r, c, deadline)


cdef void downstream_advance(Reactor r, Connection *c) noexcept nogil:
    cdef int verdict
    if c.state == STATE_EXCHANGE:
        verdict = exchange_advance(r, c)
        if verdict != VERDICT_ON:
            conclude(r, c, verdict)
    elif c.state == STATE_LINGER:
        linger_on(r, c)
    elif c.state == STATE_PREFACE:
        read_preface(r, c)
    elif c.state == STATE_HELLO or c.state == STATE_HANDSHAKE:
        handshake_on(r, c)
    else:
        read_request(r, c)


cdef void handshake_on(Reactor r, Connection *c) noexcept nogil:
    cdef Welcome welcome
    cdef WelcomeEnd end = handshake_advance(r, c, &welcome)
    if end == WELCOME_PASSED:
        pass_on(r, c, &welcome.passage)
    else:
        go_on(r, c, end)


cdef void go_on(Reactor r, Connection *c, WelcomeEnd end) noexcept nogil:
    """A step of a handshake was made."""
    if end == WELCOME_SECURED:
        begin_secured(r, c)
    elif handshake_has_more(c):
        queue(r, c)             # no event will announce the remaining data, or the end


cdef void begin_secured(Reactor r, Connection *c) noexcept nogil:
    """TLS is established: the first request may have come with the end of the handshake."""
    cdef Passage passage
    if c.rule is not NULL:
        passage = Passage(NULL, c.rule, c.target, REASON_NONE, VERSION_TLS, Slice(NULL, 0))
        pass_on(r, c, &passage)
        return
    speak(r, c)
    if c.state == STATE_IDLE:
        read_request(r, c)


cdef void downstream_shake(Reactor r, Connection *c) noexcept nogil:
    go_on(r, c, handshake_resume(r, c))


cdef void read_request(Reactor r, Connection *c) noexcept nogil:
    """Reads once, and begins an exchange if a head has arrived."""
    cdef Arrival arrival
    cdef int event
    if c.failed:
        downstream_close(r, c)
        return
    event = client_read(r, c, &arrival)
    if event == EVENT_HEAD or event == EVENT_MALFORMED:
        begin(r, c, &arrival, event)
    elif event == EVENT_PART:
        await_head(r, c)
    elif event == EVENT_HTTP2:
        switch(r, c, &arrival)
    elif event != EVENT_NONE:
        downstream_close(r, c)


cdef void await_head(Reactor r, Connection *c) noexcept nogil:
    """A part of a head has arrived."""
    if c.state != STATE_HEAD:
        c.state = STATE_HEAD
        c.started = r.now
        set_deadline(r, c, r.milliseconds + r.times.head)
    if c.readable:
        queue(r, c)


cdef void begin(Reactor r, Connection *c, Arrival *arrival, int event) noexcept nogil:
    """Begins the exchange for a head that has arrived, or for one that was refused."""
    cdef int verdict
    cdef Exchange *x = exchange_open(r, c, c.layer == LAYER_STREAM)
    if x is NULL:
        downstream_close(r, c)
        return
    x.received = arrival.taken
    client_begin(r, c, x, event)
    if event == EVENT_HEAD:
        verdict = request_begin(r, c, x, arrival)
    else:
        verdict = refuse(r, c, x, arrival.refusal)
    if client_keep_rest(c, arrival) < 0:
        verdict = break_off(r, c, x, REASON_CLIENT_CLOSED)
    if continues(verdict):
        verdict = exchange_advance(r, c)
    if verdict != VERDICT_ON:
        conclude(r, c, verdict)


cdef int refuse(Reactor r, Connection *c, Exchange *x, int refusal) noexcept nogil:
    """Answers an invalid request. It is unknown where the next one would begin, so the connection ends, but not at
    once."""
    x.keep_alive = True
    content_omit(&x.request_body)
    return request_refused(r, c, x, refusal)


cdef void conclude(Reactor r, Connection *c, int verdict) noexcept nogil:
    """Ends the exchange: the connection waits for another request, lingers or closes; a stream ends. Some clients send the
    end of a request after its content, and fail if the stream is reset before that."""
    cdef bint is_whole = content_is_whole(&c.exchange.request_body)
    exchange_close(r, c)
    if c.layer == LAYER_STREAM:
        c.stream.whole = is_whole
        if verdict == VERDICT_RESET:
            break_down(r, c)
        else:
            end_writing(r, c)
        downstream_close(r, c)
    elif verdict == VERDICT_DONE:
        rest(r, c)
        if c.readable or buffer_size(&c.input):
            queue(r, c)
    elif verdict == VERDICT_LINGER:
        linger(r, c)
    else:
        if verdict == VERDICT_RESET:
            break_down(r, c)
        downstream_close(r, c)


cdef void linger(Reactor r, Connection *c) noexcept nogil:
    end_writing(r, c)
    c.state = STATE_LINGER
    c.started = r.now
    buffer_free(&c.input)
    set_deadline(r, c, r.milliseconds + LINGER_IDLE)
    if c.readable:
        queue(r, c)


cdef void downstream_linger(Reactor r, Connection *c) noexcept nogil:
    streams_end(r, c)
    linger(r, c)


cdef void linger_on(Reactor r, Connection *c) noexcept nogil:
    cdef long size = 0
    if c.writable and buffer_size(&c.output) and flush(r, c) == 0 and buffer_size(&c.output) == 0:
        end_writing(r, c)       # the TLS close_notify had to wait
    if c.readable and not c.failed:
        size = skip(c, portion(r))
        if size > 0:
            c.drained += <uint32_t> size
            if not r.draining:
                set_deadline(r, c, min(r.milliseconds + LINGER_IDLE, c.started // MILLISECOND + LINGER_TIME))
    if c.failed or size < 0 or c.drained > LINGER_BYTES:
        downstream_close(r, c)
    elif c.readable:
        queue(r, c)


cdef void read_preface(Reactor r, Connection *c) noexcept nogil:
    """Reads the PROXY header, which contains the address of the client; closes the connection if it is not valid."""
    cdef Preface preface
    cdef int taken = -1
    cdef long size = -1
    if not c.failed and buffer_reserve(&c.input, PREFACE_MOST) == 0:
        size = receive(r, c, c.input.data + c.input.end, PREFACE_MOST)
    if size > 0:
        c.input.end += size
    if size >= 0:
        taken = parse_preface(&preface, buffer_bytes(&c.input), buffer_size(&c.input))
    if taken < 0:
        downstream_close(r, c)
        return
    if taken > 0:
        if preface.told:
            peer_set(&c.peer, r.trusted, preface.family, preface.address, preface.port)
        if not admit(r, c):
            downstream_close(r, c)
            return
        buffer_consume(&c.input, taken)
        greet(r, c)
    elif size == 0 and buffer_size(&c.input) == 0:
        buffer_free(&c.input)
    if c.state != STATE_CLOSED and (c.readable or (c.state != STATE_PREFACE and buffer_size(&c.input))):
        queue(r, c)


cdef void downstream_expired(Reactor r, Connection *c, Connection *u) noexcept nogil:
    cdef int verdict
    if c.state == STATE_EXCHANGE:
        verdict = exchange_expired(r, c, u)
        if verdict != VERDICT_ON:
            conclude(r, c, verdict)
        return
    if c.state == STATE_HELLO or c.state == STATE_HANDSHAKE:
        handshake_expired(r, c)
        return
    if c.state != STATE_HEAD or not client_has_begun(c):
        downstream_close(r, c)
        return
    answer_early(r, c, 408, REASON_HEAD_TIMEOUT)


cdef void answer_early(Reactor r, Connection *c, uint16_t status, uint16_t reason) noexcept nogil:
    """Answers a request whose head has arrived only in part, and ends the connection."""
    cdef int verdict
    cdef Exchange *x = exchange_open(r, c, c.layer == LAYER_STREAM)
    if x is NULL:
        downstream_close(r, c)
        return
    x.received = buffer_size(&c.input)
    client_begin(r, c, x, EVENT_PART)
    x.keep_alive = False
    content_omit(&x.request_body)
    verdict = answer_plainly(r, c, x, status, reason)
    if continues(verdict):
        verdict = exchange_advance(r, c)
    if verdict != VERDICT_ON:
        conclude(r, c, verdict)


cdef void downstream_end(Reactor r, Connection *c, uint16_t reason) noexcept nogil:
    cdef int verdict
    cdef Exchange *x = c.exchange
    if c.state == STATE_HELLO or c.state == STATE_HANDSHAKE:
        fault_log(r, c, VERSION_UNKNOWN, reason_name(reason))
        handshake_fail(r, c, TLS_CROWDED)
    elif c.state == STATE_HEAD:
        answer_early(r, c, 503, reason)
    elif x is NULL:
        fault_log(r, c, VERSION_UNKNOWN, reason_name(reason))
        downstream_close(r, c)
    elif x.answered:
        downstream_reset(r, c, reason)
    else:
        x.keep_alive = False
        verdict = answer_plainly(r, c, x, 503, reason)
        if continues(verdict):
            verdict = exchange_advance(r, c)
        if verdict != VERDICT_ON:
            conclude(r, c, verdict)


cdef void downstream_reset(Reactor r, Connection *c, uint16_t reason) noexcept nogil:
    c.exchange.reason = reason
    c.exchange.cause = NULL
    break_off(r, c, c.exchange, reason)
    conclude(r, c, VERDICT_RESET)           # also frees what the kernel holds, which a close does not


cdef void downstream_close(Reactor r, Connection *c) noexcept nogil:
    if c.exchange is not NULL:          # the engine is being closed
        if break_off(r, c, c.exchange, REASON_DRAINED) == VERDICT_RESET:
            break_down(r, c)
        exchange_close(r, c)
    elif c.tls is not NULL:
        end_tls(r, c)
    if c.parent is not NULL:
        streams_end(r, c)
    gauge_add(r.counters, FIXED_DOWNSTREAM_IDLE, -1)
    if c.layer == LAYER_STREAM:
        r.carried -= 1
    else:
        r.downstreams -= 1
    close_connection(r, c)
