"""The beginning of a drain; see drain.pxd.

Idle connections to backends close. Idle clients get a deadline: a second after they became idle, because they may be
sending a request just now. Parents tell their peers to open no more streams. Connections that become idle later see
`Reactor.draining`.
"""

from libc.stdint cimport uint64_t

from fastroute.ext.engine.visit cimport parent_drain
from fastroute.ext.exchange.upstream cimport upstream_close
from fastroute.ext.memory.buffer cimport buffer_size
from fastroute.ext.reactor.connection cimport (
    CHUNK, LAYER_STREAM, SIDE_DOWNSTREAM, SIDE_UPSTREAM, STATE_HELLO, STATE_IDLE, STATE_POOLED, Connection, slab_at,
)
from fastroute.ext.reactor.reactor cimport read_clock, set_deadline

cdef enum:
    TIME = 300              # microseconds of a turn
    LOOK = 16               # connections between two looks at the clock
    PATIENCE = 1000         # milliseconds


cdef void drain_begin(Reactor r) noexcept nogil:
    r.announcing = r.draining = True
    r.undrained = 1


cdef void drain_on(Reactor r) noexcept nogil:
    cdef uint64_t until = r.now + TIME
    while r.now <= until:
        if r.undrained >= r.slab.chunks_count * CHUNK:
            r.undrained = 0
            return
        tell(r, slab_at(&r.slab, r.undrained))
        r.undrained += 1
        if r.undrained % LOOK == 0:
            read_clock(r)


cdef void tell(Reactor r, Connection *c) noexcept nogil:
    if c.parent is not NULL:
        parent_drain(r, c)
    elif c.side == SIDE_UPSTREAM and c.state == STATE_POOLED:
        upstream_close(r, c)
        read_clock(r)
    elif c.side == SIDE_DOWNSTREAM and is_idle(c) and c.deadline > r.milliseconds + PATIENCE:
        set_deadline(r, c, deadline(r, c))


cdef bint is_idle(const Connection *c) noexcept nogil:
    """Between requests, or no byte of the ClientHello has arrived."""
    return (c.state == STATE_IDLE and c.layer != LAYER_STREAM) or (c.state == STATE_HELLO and buffer_size(&c.input) == 0)


cdef uint64_t deadline(Reactor r, const Connection *c) noexcept nogil:
    """PATIENCE after the connection became idle, or now if that time has passed. If its deadline is the one of
    --max-connection-age, the time at which it became idle is unknown."""
    cdef uint64_t since = c.deadline - (r.times.idle if c.state == STATE_IDLE else r.times.head)
    if c.leave_at != 0:
        return min(c.deadline, r.milliseconds + PATIENCE)
    return max(since + PATIENCE, r.milliseconds)
