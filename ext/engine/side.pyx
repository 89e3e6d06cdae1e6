"""The table of sides; see side.pxd."""

from libc.stdint cimport uint64_t

from fastroute.ext.datagrams.incoming cimport incoming_read
from fastroute.ext.datagrams.place cimport place_close, place_leave
from fastroute.ext.datagrams.replies cimport reader_advance, reader_close, reader_drain, reader_expired
from fastroute.ext.engine.listener cimport listener_accept, listener_close, listener_expired
from fastroute.ext.exchange.downstream cimport downstream_advance, downstream_close, downstream_expired
from fastroute.ext.exchange.idle cimport idle_stays
from fastroute.ext.exchange.mirroring cimport mirror_advance, mirror_close, mirror_expired
from fastroute.ext.exchange.upstream cimport upstream_close
from fastroute.ext.memory.buffer cimport buffer_size
from fastroute.ext.reactor.connection cimport (
    LAYER_STREAM, SIDE_DATAGRAMS, SIDE_DOWNSTREAM, SIDE_FLOWS, SIDE_HEEDED, SIDE_LISTENER, SIDE_NONE, SIDE_TIMER, SIDE_UPSTREAM, STATE_HELLO,
    STATE_IDLE, STATE_POOLED, slab_find,
)
from fastroute.ext.reactor.reactor cimport hurry, read_clock, set_deadline

cdef enum:
    DRAIN_IDLE = 1000       # milliseconds after which an idle client connection is closed while the engine drains

SIDE_ROWS[<int> SIDE_NONE] = SideRow(nothing, nothing, nothing, nothing)
SIDE_ROWS[<int> SIDE_TIMER] = SideRow(timer_rang, nothing, nothing, nothing)
SIDE_ROWS[<int> SIDE_HEEDED] = SideRow(heeded_is_ready, nothing, nothing, nothing)
SIDE_ROWS[<int> SIDE_LISTENER] = SideRow(listener_accept, listener_expired, nothing, listener_close)
SIDE_ROWS[<int> SIDE_DOWNSTREAM] = SideRow(downstream_advance, client_expired, client_drain, downstream_close)
SIDE_ROWS[<int> SIDE_UPSTREAM] = SideRow(backend_advance, backend_expired, backend_drain, backend_close)
SIDE_ROWS[<int> SIDE_DATAGRAMS] = SideRow(incoming_read, nothing, nothing, place_close)
SIDE_ROWS[<int> SIDE_FLOWS] = SideRow(reader_advance, flows_expired, reader_drain, reader_close)


cdef void nothing(Reactor r, Connection *c) noexcept nogil:
    pass


# --- descriptors of the engine and of trio; both stay open


cdef void timer_rang(Reactor r, Connection *c) noexcept nogil:
    r.armed = 0


cdef void heeded_is_ready(Reactor r, Connection *c) noexcept nogil:
    hurry(r)


# --- clients


cdef void client_expired(Reactor r, Connection *c) noexcept nogil:
    downstream_expired(r, c, NULL)


cdef void client_drain(Reactor r, Connection *c) noexcept nogil:
    if is_idle(c) and c.deadline > r.milliseconds + DRAIN_IDLE:
        set_deadline(r, c, drain_deadline(r, c))


cdef bint is_idle(const Connection *c) noexcept nogil:
    """Between requests, or no byte of the ClientHello has arrived."""
    return (c.state == STATE_IDLE and c.layer != LAYER_STREAM) or (c.state == STATE_HELLO and buffer_size(&c.input) == 0)


cdef uint64_t drain_deadline(Reactor r, const Connection *c) noexcept nogil:
    """One second after the connection became idle, or now if that time has passed. If its deadline is the one of
    --max-connection-age, the time at which it became idle is unknown."""
    cdef uint64_t since = c.deadline - (r.times.idle if c.state == STATE_IDLE else r.times.head)
    if c.leave_at != 0:
        return min(c.deadline, r.milliseconds + DRAIN_IDLE)
    return max(since + DRAIN_IDLE, r.milliseconds)


# --- datagrams


cdef void flows_expired(Reactor r, Connection *reader) noexcept nogil:
    reader_expired(r, reader)
    if r.flows.leave_at and r.milliseconds >= r.flows.leave_at:
        place_leave(r, -1, -1)


# --- backends: the connection of a client continues its exchange; a mirror has no client, and an idle one no exchange


cdef void backend_advance(Reactor r, Connection *u) noexcept nogil:
    cdef Connection *c
    if u.state == STATE_POOLED:
        if u.readable and not idle_stays(r, u):     # it has ended, or has sent bytes that its protocol does not allow
            upstream_close(r, u)
    elif u.mirror is not NULL:
        mirror_advance(r, u)
    else:
        c = slab_find(&r.slab, u.owner)
        if c is not NULL:
            downstream_advance(r, c)


cdef void backend_expired(Reactor r, Connection *u) noexcept nogil:
    cdef Connection *c
    if u.state == STATE_POOLED:
        upstream_close(r, u)
    elif u.mirror is not NULL:
        mirror_expired(r, u)
    else:
        c = slab_find(&r.slab, u.owner)
        if c is not NULL:
            downstream_expired(r, c, u)


cdef void backend_drain(Reactor r, Connection *u) noexcept nogil:
    if u.state == STATE_POOLED:
        upstream_close(r, u)
        read_clock(r)


cdef void backend_close(Reactor r, Connection *u) noexcept nogil:
    if u.mirror is not NULL:
        mirror_close(r, u)
    else:
        upstream_close(r, u)
