"""Connections whose bytes are passed on unread; see passage.pxd.

Until a backend is connected, nothing is read from the client, except the ClientHello that determined its route, which is in
`input`. So what a connection holds is limited, and a client that has sent its end keeps its connection.

A connection that cannot be passed on ends with a reset, so that its client does not take the end for one of the backend.
One of TLS is closed without any byte before the handshake, and reset after it, in mode Terminate.
"""

from libc.stdint cimport uint8_t, uint16_t

from fastroute.ext.exchange.answer cimport answer_plainly, break_off
from fastroute.ext.exchange.attempt cimport attempt_begin, attempt_connected, attempt_refused, attempt_status
from fastroute.ext.exchange.record cimport record_name, record_series
from fastroute.ext.exchange.tunnel cimport tunnel_advance
from fastroute.ext.exchange.upstream cimport OPENING_FAILED, OPENING_GOES_ON, Opening, upstream_connected
from fastroute.ext.memory.buffer cimport buffer_size
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.content cimport content_omit
from fastroute.ext.message.message cimport VERSION_TLS
from fastroute.ext.message.protocol cimport PROTOCOL_RAW
from fastroute.ext.message.reason cimport (
    REASON_BACKEND_INVALID, REASON_CLIENT_CLOSED, REASON_NONE, REASON_NO_ENDPOINT, REASON_NO_LISTENER, REASON_NO_RULE,
)
from fastroute.ext.reactor.connection cimport slab_find
from fastroute.ext.reactor.counters cimport TRAFFIC_CONNECTIONS, count_traffic
from fastroute.ext.reactor.exchange cimport STAGE_CONNECTING, STAGE_TUNNEL, STAGE_WAITING, VERDICT_ON
from fastroute.ext.reactor.reactor cimport note_payer, set_deadline
from fastroute.ext.routing.balancer cimport choose_target
from fastroute.ext.routing.router cimport find_route, listener_ref
from fastroute.ext.routing.tables cimport rule_ref


cdef void passage_find(Passage *passage, Listener *listener, uint8_t version, Slice name) noexcept nogil:
    passage.listener = listener
    passage.rule = NULL
    passage.target = NULL
    passage.version = version
    passage.name = name
    passage.reason = REASON_NO_LISTENER
    if listener is not NULL:
        passage.rule = find_route(listener, name)
        passage.reason = REASON_NO_RULE if passage.rule is NULL else choose(passage)


cdef uint16_t choose(Passage *passage) noexcept nogil:
    """Chooses the backend. Returns the LocalReason for which there is none, or 0."""
    cdef int chosen = choose_target(passage.rule.choice)
    if chosen < 0:
        return passage.rule.reason
    passage.target = &passage.rule.targets[chosen]
    if passage.target.backend is NULL:
        return passage.target.reason
    if passage.target.backend.key.protocol != PROTOCOL_RAW:
        return REASON_BACKEND_INVALID
    return REASON_NONE if passage.target.backend.count else REASON_NO_ENDPOINT


cdef int passage_begin(Reactor r, Connection *c, Exchange *x, const Passage *passage) noexcept nogil:
    cdef uint16_t reason = passage.reason
    x.version = passage.version
    x.progress = r.milliseconds
    x.target = passage.target
    content_omit(&x.request_body)
    content_omit(&x.response_body)
    set_deadline(r, c, 0)
    if passage.rule is not NULL:
        rule_ref(passage.rule)
        x.rule = passage.rule
        note_payer(r, c, passage.rule.owner)
    elif passage.listener is not NULL:
        listener_ref(passage.listener)
        x.listener = passage.listener
    record_name(r, x, passage.name)
    count_traffic(r.counters, record_series(x), TRAFFIC_CONNECTIONS, 1)
    if reason == REASON_NONE:
        reason = attempt_begin(r, c, x)
    return go_on(r, c, x, reason)


cdef int go_on(Reactor r, Connection *c, Exchange *x, uint16_t reason) noexcept nogil:
    """A try to connect has begun, is established, or was the last one: then for this LocalReason."""
    if reason != REASON_NONE:
        if x.version == VERSION_TLS and c.tls is NULL:
            x.received = buffer_size(&c.input)      # the ClientHello
        return answer_plainly(r, c, x, attempt_status(reason), reason)
    if x.stage != STAGE_WAITING:
        return VERDICT_ON
    x.stage = STAGE_TUNNEL
    x.answered = True
    x.progress = r.milliseconds
    return tunnel_advance(r, c, x)


cdef int passage_advance(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    cdef Connection *u
    cdef Opening outcome
    if c.failed:
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    if x.stage != STAGE_CONNECTING:
        return VERDICT_ON
    u = slab_find(&r.slab, x.upstream)
    outcome = upstream_connected(r, u)
    if outcome == OPENING_GOES_ON:
        return VERDICT_ON
    return go_on(r, c, x, attempt_refused(r, c, x, False) if outcome == OPENING_FAILED else attempt_connected(r, c, x, u))


cdef int passage_expired(Reactor r, Connection *c, Exchange *x, const Connection *u) noexcept nogil:
    if u is NULL or x.stage != STAGE_CONNECTING:
        return VERDICT_ON
    return go_on(r, c, x, attempt_refused(r, c, x, True))
