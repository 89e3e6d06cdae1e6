"""The pace of bodies; see pace.pxd.

A visit costs some comparisons and no system call. A side is measured only if the exchange has waited for it for
PACE_GRACE without interruption, and then once per window.

Two kinds of bodies have no minimum rate: a response without a known length can be an event stream with long pauses, and
client and backend can take turns in a chunked request whose response has begun. --body-idle-timeout applies to both.
In a gRPC call over HTTP/2, the body of the client has neither a minimum rate nor an idle timeout, if a GRPCRoute takes the
call or the backend speaks HTTP/2. (Anyone can say that a request is a call; a server of HTTP/1.1 does not serve one.)
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from fastroute.ext.exchange.receiver cimport receiver_acknowledged, receiver_step
from fastroute.ext.memory.buffer cimport buffer_size
from fastroute.ext.message.message cimport BODY_LENGTH, BODY_NONE, VERSION_HTTP2
from fastroute.ext.message.protocol cimport PROTOCOL_HTTP2_STREAM
from fastroute.ext.reactor.connection cimport LAYER_STREAM, slab_find
from fastroute.ext.reactor.exchange cimport STAGE_CONNECTING, STAGE_DISCARDING, STAGE_RELAYING, STAGE_WAITING
from fastroute.ext.reactor.reactor cimport untaken
from fastroute.ext.reactor.stream cimport stream_is_held


cdef inline bint is_stream_of_messages(const Exchange *x, const Connection *u) noexcept nogil:
    """Whether the client may send the next part of its body at any time: in a call of gRPC, which may last for hours."""
    return x.grpc and not x.web and x.version == VERSION_HTTP2 and (x.rule.calls or u.protocol == PROTOCOL_HTTP2_STREAM)


cdef uint8_t pace_mover(Reactor r, const Connection *c, const Exchange *x) noexcept nogil:
    cdef const Connection *u
    if c.layer == LAYER_STREAM and stream_is_held(r, c):
        return MOVER_READERS
    if buffer_size(&c.output):
        return MOVER_READER
    if x.stage == STAGE_DISCARDING:
        return MOVER_SENDER
    if x.request_body.declared != BODY_NONE and not x.upload_over and x.stage != STAGE_CONNECTING:
        u = slab_find(&r.slab, x.upstream)
        if u is not NULL and buffer_size(&u.output) == 0:
            if not x.request_body.complete and not is_stream_of_messages(x, u):
                return MOVER_SENDER
        elif u is not NULL and x.stage == STAGE_WAITING:
            return MOVER_TAKER
    return MOVER_BACKEND if x.stage == STAGE_RELAYING and not x.response_body.complete else MOVER_NONE


cdef inline bint has_pace(const Exchange *x, uint8_t mover) noexcept nogil:
    if mover == MOVER_SENDER:
        if x.expects and x.request_body.size == 0:
            return False        # the client waits for 100 (Continue)
        return x.stage != STAGE_RELAYING or x.request_body.declared == BODY_LENGTH
    return is_reader(mover) or (mover == MOVER_BACKEND and x.response_body.declared == BODY_LENGTH)


cdef uint64_t pace_watch(Reactor r, Exchange *x, uint8_t mover) noexcept nogil:
    if r.window_bytes == 0 or not has_pace(x, mover):
        x.mover = MOVER_NONE
        return 0
    if x.mover != mover:
        x.mover = mover
        x.pace_due = r.milliseconds + PACE_GRACE
        x.pace_begun = False
    return x.pace_due


cdef uint64_t pace_moved(Reactor r, const Connection *c, const Exchange *x) noexcept nogil:
    """Bytes that the side for which the exchange waits has moved so far. With TLS, sent and waiting bytes differ by the
    overhead of records, which does not matter here."""
    if x.mover == MOVER_SENDER:
        return x.received + x.discarded
    if x.mover == MOVER_READERS:
        return receiver_acknowledged(r, c)
    return x.sent - buffer_size(&c.output) - (untaken(r, c) if x.mover == MOVER_READER else 0)


cdef int64_t advance(Reactor r, const Connection *c, const Exchange *x) noexcept nogil:
    """By how many bytes the side may be behind the minimum."""
    return PACE_SPARE * <int64_t> r.window_bytes + <int64_t> receiver_step(r, c) if is_reader(x.mover) else 0


cdef bint pace_failed(Reactor r, const Connection *c, Exchange *x) noexcept nogil:
    cdef uint64_t moved, before
    cdef int64_t most
    cdef bint begun = x.pace_begun
    if x.mover == MOVER_NONE or r.milliseconds < x.pace_due:
        return False
    moved = pace_moved(r, c, x)
    before = x.pace_moved
    x.pace_moved = moved
    x.pace_begun = True
    x.pace_due = r.milliseconds + PACE_WINDOW
    most = advance(r, c, x)
    if not begun:
        x.pace_spare = most
        return False
    x.pace_spare = min(x.pace_spare + <int64_t> (moved - before) - <int64_t> r.window_bytes, most)
    return x.pace_spare < 0
