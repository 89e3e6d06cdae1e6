"""One visit of a connection that has work to do; see visit.pxd.

The streams of a parent share its visits: one visit of the parent visits some of them. So the share of a connection in the
turns does not grow with the number of its streams. The more connections have work, the fewer streams a visit handles, so
that a connection does not wait long for its next visit.
"""

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.engine.side cimport SIDE_ROWS
from fastroute.ext.exchange.answer cimport is_leaving
from fastroute.ext.exchange.downstream cimport downstream_linger
from fastroute.ext.exchange.upstream cimport (
    OPENING_DONE, OPENING_FAILED, Opening, upstream_connected, upstream_is_listed,
)
from fastroute.ext.memory.buffer cimport buffer_size
from fastroute.ext.reactor.connection cimport SIDE_DOWNSTREAM, SIDE_UPSTREAM, STATE_CONNECTING
from fastroute.ext.reactor.counters cimport HTTP2_TIMEOUT
from fastroute.ext.reactor.fault cimport fault_note
from fastroute.ext.reactor.parent cimport (
    parent_can_read, parent_is_done, parent_is_late, parent_leave, parent_leave_finally, parent_lives, parent_read,
    parent_waits, parent_write, part_of_round,
)
from fastroute.ext.reactor.reactor cimport BUDGET, dequeue, flush, queue, read_clock, unqueue
from fastroute.ext.reactor.stream cimport streams_established, streams_wake_writers

cdef enum:
    STREAMS_MOST = 16           # streams of one parent in one visit
    STREAMS_TIME = 200          # microseconds after which a visit goes on with no further stream


cdef void visit(Reactor r, Connection *c) noexcept nogil:
    if c.parent is not NULL:
        visit_parent(r, c)
    else:
        SIDE_ROWS[c.side].advance(r, c)


cdef void visit_parent(Reactor r, Connection *p) noexcept nogil:
    if p.state == STATE_CONNECTING and not establish(r, p):
        return
    if should_leave(r, p):
        parent_leave(r, p)
    parent_leave_finally(r, p, False)
    if not send_and_read(r, p):
        parent_write(r, p)      # the last frames may say why it ends
        end_parent(r, p)
        return
    streams_wake_writers(r, p)
    visit_streams(r, p)
    if not parent_write(r, p):
        end_parent(r, p)
        return
    if parent_is_done(r, p):
        parent_close(r, p)
        return
    streams_wake_writers(r, p)
    if p.parent.ready.first != 0 or p.parent.unseen or parent_can_read(p):
        queue(r, p)
    else:
        dequeue(r, p)


cdef bint establish(Reactor r, Connection *p) noexcept nogil:
    """Whether the connection to a backend is established. If it has failed, it is closed."""
    cdef Opening outcome = upstream_connected(r, p)
    if outcome == OPENING_DONE:
        streams_established(r, p)
    elif outcome == OPENING_FAILED:
        parent_close(r, p)
    return outcome == OPENING_DONE


cdef bint should_leave(Reactor r, const Connection *p) noexcept nogil:
    return is_leaving(r, p) if p.side == SIDE_DOWNSTREAM else r.draining or not upstream_is_listed(r, p)


cdef bint send_and_read(Reactor r, Connection *p) noexcept nogil:
    if p.writable and buffer_size(&p.output) and flush(r, p) < 0:
        return False
    return parent_read(r, p)


cdef void visit_streams(Reactor r, Connection *p) noexcept nogil:
    """Visits the first streams of those that have work. Those that are queued meanwhile are visited later."""
    cdef uint64_t start = r.now
    cdef uint64_t most = part_of_round(r, STREAMS_TIME)
    cdef uint32_t last = p.parent.ready.last
    cdef uint32_t index = 0
    cdef Connection *s
    cdef int _
    for _ in range(STREAMS_MOST):
        if p.parent.ready.first == 0 or index == last or r.now - start > most or r.now - r.begun > BUDGET:
            return
        s = unqueue(r, p)
        index = s.index
        visit(r, s)
        read_clock(r)


cdef void parent_close(Reactor r, Connection *p) noexcept nogil:
    SIDE_ROWS[p.side].close(r, p)


cdef void end_parent(Reactor r, Connection *p) noexcept nogil:
    """The parent cannot go on. A client that has violated the protocol gets time to read why: a close with unread input
    could destroy that."""
    if p.side == SIDE_DOWNSTREAM and p.parent.over and not p.failed and not p.ended:
        downstream_linger(r, p)
    else:
        parent_close(r, p)


cdef void parent_drain(Reactor r, Connection *p) noexcept nogil:
    parent_leave(r, p)
    queue(r, p)


cdef void parent_expired(Reactor r, Connection *p) noexcept nogil:
    """A parent that is connecting or idle has waited long enough, the time to complete what the peer has begun is over, or
    the time has come to leave."""
    if p.state == STATE_CONNECTING:
        parent_close(r, p)
    elif parent_is_late(r, p):
        if p.side == SIDE_DOWNSTREAM:
            fault_note(r, p, HTTP2_TIMEOUT)
        say_goodbye(r, p)
    elif p.parent.leaving and not p.parent.left:
        queue(r, p)
    elif p.parent.count and p.side == SIDE_UPSTREAM:
        if not parent_lives(r, p):
            say_goodbye(r, p)
    elif p.parent.count:
        parent_drain(r, p)
    elif not parent_waits(r, p):
        say_goodbye(r, p)


cdef void say_goodbye(Reactor r, Connection *p) noexcept nogil:
    """Closes a parent that has no reason to stay."""
    parent_leave_finally(r, p, True)
    parent_write(r, p)
    parent_close(r, p)
