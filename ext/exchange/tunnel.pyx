"""Upgraded connections, streams of WebSockets, and connections whose bytes are passed on (passage); see tunnel.pxd.

The directions are independent. A side is read only while the other side has taken all earlier bytes. When the sender
ends its side, that end is relayed (a half-close) after all its bytes. The tunnel ends when both directions have ended.
If a side accepts no more bytes, the direction towards it ends; bytes that it sends are still relayed. A reset ends the
tunnel, also a reset after the end of its sender, and the client is reset too if bytes could have been lost.

While a side sends much at once, its bytes are spliced (reactor/splicing): that costs half of the CPU time of a copy. Few
bytes cost less if they are copied.

The rule, tables and counters of a tunnel are those of its request: they are held until its end, whatever is installed
meanwhile. The rule's timeouts end with the 101: only the time without traffic is limited.
"""

from libc.errno cimport EPIPE, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastroute.ext.exchange.answer cimport answer_plainly, break_off
from fastroute.ext.exchange.attempt cimport attempt_end
from fastroute.ext.exchange.record cimport record_end, record_series
from fastroute.ext.exchange.upstream cimport upstream_tune
from fastroute.ext.memory.buffer cimport buffer_bytes, buffer_consume, buffer_size
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.content cimport content_omit
from fastroute.ext.message.message cimport VERSION_HTTP2
from fastroute.ext.message.reason cimport (
    REASON_CLIENT_CLOSED, REASON_OVERLOADED, REASON_TUNNEL_IDLE, REASON_UPSTREAM_MALFORMED, REASON_UPSTREAM_TRUNCATED,
)
from fastroute.ext.message.websocket cimport websocket_accept
from fastroute.ext.reactor.connection cimport slab_find
from fastroute.ext.reactor.counters cimport TRAFFIC_RECEIVED, TRAFFIC_SENT, count_traffic
from fastroute.ext.reactor.exchange cimport (
    STAGE_TUNNEL, VERDICT_CLOSE, VERDICT_LINGER, VERDICT_ON, VERDICT_RESET, is_raw,
)
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport (
    end_writing, flush, portion, queue, receive, set_deadline, transmit, turn_is_over,
)
from fastroute.ext.reactor.splicing cimport SPLICE_LOST, can_splice, splice_between
from fastroute.ext.reactor.stream cimport room_for
from fastroute.ext.sides.arrival cimport Piece
from fastroute.ext.sides.client cimport client_body, client_head

cdef enum:
    POURED = 32768              # bytes of one read from which on the next one is spliced

cdef enum Flow:                 # the result of one direction in one visit
    FLOW_ON = 0
    FLOW_ENDED                  # the end of its sender was relayed, or its receiver accepts no more
    FLOW_REFUSED                # its receiver accepts no more, because it has reset its connection before its own end
    FLOW_RESET                  # the connection of its sender is broken


cdef int tunnel_begin(Reactor r, Connection *c, Exchange *x, Connection *u, const Arrival *arrival) noexcept nogil:
    cdef Piece rest = Piece(Slice(arrival.data, arrival.size), 0, False, False, NULL)
    cdef uint32_t head
    if not x.request_body.complete or buffer_size(&u.output):
        return answer_plainly(r, c, x, 502, REASON_UPSTREAM_MALFORMED)      # it cannot have read the request
    if x.version == VERSION_HTTP2 and not websocket_accept(&x.request, arrival.message):
        return answer_plainly(r, c, x, 502, REASON_UPSTREAM_MALFORMED)
    head = client_head(r, c, x, arrival.message, True)
    if head == 0:
        return answer_plainly(r, c, x, 502, REASON_OVERLOADED)
    x.status = arrival.message.status
    x.stage = STAGE_TUNNEL
    x.answered = True
    x.upstream_keeps = False
    x.deadline = x.try_deadline = x.probe = 0
    content_omit(&x.response_body)
    set_deadline(r, u, 0)
    x.progress = r.milliseconds
    if client_body(r, c, x, head, &rest) < 0:
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    return VERDICT_ON


cdef int carry(Reactor r, Connection *sender, Connection *receiver, Exchange *x, uint64_t *carried,
               uint8_t *pours, uint8_t other) noexcept nogil:
    """One read from the sender, if the receiver has taken all earlier bytes. `other`: the Flow with which the other direction
    has ended; FLOW_ON: it has not. Returns a Flow."""
    cdef iovec part
    cdef long size
    if receiver.writable and buffer_size(&receiver.output):
        x.progress = r.milliseconds
        if flush(r, receiver) < 0:
            return refused()
    if buffer_size(&receiver.output):
        return FLOW_ENDED if receiver.failed else FLOW_ON
    if buffer_size(&sender.input):          # arrived with the head
        part.iov_base = buffer_bytes(&sender.input)
        size = buffer_size(&sender.input)
    elif sender.readable and pours[0] and not sender.urgent:
        return pour(r, sender, receiver, x, carried, pours)
    elif sender.readable:
        part.iov_base = r.scratch
        size = receive(r, sender, r.scratch, room_for(r, receiver))
        pours[0] = size >= POURED and can_splice(sender, receiver)
    else:
        return FLOW_ON
    if size == -1:
        return FLOW_RESET if is_cut(x, sender, other) else end(r, sender, receiver, other)
    if size < 0:
        return FLOW_RESET
    if size == 0:
        return FLOW_ON
    if receiver.untuned and carried[0]:
        upstream_tune(receiver)
    note(r, x, carried, size)
    part.iov_len = size
    size = transmit(r, receiver, &part, 1)
    if buffer_size(&sender.input):
        buffer_consume(&sender.input, buffer_size(&sender.input))
    return refused() if size < 0 else FLOW_ON


cdef inline bint is_cut(const Exchange *x, const Connection *sender, uint8_t other) noexcept nogil:
    """Whether a client has ended TCP without the end of TLS: its bytes may be incomplete (RFC 8446 section 6.1). Many clients
    end so when the backend has ended, and then nobody waits for more."""
    return is_raw(x) and sender.tls is not NULL and not sender.tls.over and other == FLOW_ON


cdef int pour(Reactor r, Connection *sender, Connection *receiver, Exchange *x, uint64_t *carried,
              uint8_t *pours) noexcept nogil:
    """`carry` without a copy, while the sender sends much at once."""
    cdef long size
    if receiver.untuned:
        upstream_tune(receiver)
    size = splice_between(r, sender, receiver, portion(r))
    if size > 0:
        pours[0] = size >= POURED
        note(r, x, carried, size)
        return FLOW_ON
    pours[0] = False
    if size == SPLICE_LOST:
        return refused()
    return FLOW_RESET if size < 0 else FLOW_ON


cdef void note(Reactor r, Exchange *x, uint64_t *carried, long size) noexcept nogil:
    x.progress = r.milliseconds
    carried[0] += size
    if is_raw(x):
        count_traffic(r.counters, record_series(x), TRAFFIC_RECEIVED if carried == &x.received else TRAFFIC_SENT, size)


cdef int refused() noexcept nogil:
    """Nothing can be sent to the receiver, with errno. After EPIPE its end, which came before the reset, can still be read.
    Otherwise the kernel reports the reset only once, and then an end."""
    return FLOW_ENDED if errno == EPIPE else FLOW_REFUSED


cdef int end(Reactor r, Connection *sender, Connection *receiver, uint8_t other) noexcept nogil:
    """The sender has ended: so does its direction, as soon as the receiver has taken what is queued. If the other direction
    has ended, both connections are closed now."""
    if other == FLOW_REFUSED:
        return FLOW_RESET
    if other != FLOW_ON or end_writing(r, receiver):
        return FLOW_ENDED
    sender.readable = True          # the end is read again
    return FLOW_ON


cdef inline bint has_more(const Connection *sender, const Connection *receiver, bint over) noexcept nogil:
    return not over and (sender.readable or buffer_size(&sender.input) != 0) and buffer_size(&receiver.output) == 0


cdef inline bint is_lost(const Connection *sender, const Connection *receiver, bint over) noexcept nogil:
    """Whether a side that had ended is broken now, so that nothing can reach it, and the other has all its bytes."""
    return over and sender.failed and buffer_size(&receiver.output) == 0


cdef int tunnel_advance(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    cdef Connection *u = slab_find(&r.slab, x.upstream)
    cdef uint64_t before = x.received
    cdef bint skips = x.answer_next
    cdef int flow = FLOW_ON
    x.answer_next = False
    if c.failed:
        c.readable = True
    if u.failed:
        u.readable = True
    if is_lost(c, u, x.client_over):
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    if is_lost(u, c, x.upstream_over):
        x.client_over = True
    if not x.client_over and not skips:
        flow = carry(r, c, u, x, &x.received, &x.client_pours, x.upstream_over)
        if flow == FLOW_RESET:
            return break_off(r, c, x, REASON_CLIENT_CLOSED)
        x.client_over = <uint8_t> flow
    if not x.upstream_over and x.received != before and turn_is_over(r):
        x.answer_next = True            # then the other direction is first
        queue(r, c)
    elif not x.upstream_over:
        flow = carry(r, u, c, x, &x.sent, &x.upstream_pours, x.client_over)
        if flow == FLOW_RESET:
            break_off(r, c, x, REASON_UPSTREAM_TRUNCATED)
            return VERDICT_RESET
        x.upstream_over = <uint8_t> flow
    if x.client_over and x.upstream_over:
        return tunnel_end(r, c, x)
    if skips or has_more(c, u, x.client_over) or has_more(u, c, x.upstream_over):
        queue(r, c)
    set_deadline(r, c, x.progress + r.times.tunnel_idle)
    return VERDICT_ON


cdef int tunnel_end(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    x.upstream_ended = r.now
    attempt_end(r, x, False)
    record_end(r, c, x)
    # A client whose end was not read may still be sending: a plain close would be a reset, and discard sent bytes.
    return VERDICT_CLOSE if c.ended and not c.readable else VERDICT_LINGER


cdef int tunnel_expired(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    if r.milliseconds < x.progress + r.times.tunnel_idle:
        set_deadline(r, c, x.progress + r.times.tunnel_idle)
        return VERDICT_ON
    return break_off(r, c, x, REASON_TUNNEL_IDLE)
