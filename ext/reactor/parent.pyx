"""Connections that carry streams; see parent.pxd."""

from libc.stdint cimport UINT32_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastroute.ext.memory.buffer cimport buffer_append, buffer_bytes, buffer_free, buffer_size
from fastroute.ext.message.protocol cimport PROTOCOLS
from fastroute.ext.reactor.connection cimport (
    SIDE_DOWNSTREAM, SIDE_UPSTREAM, STATE_CONNECTING, STATE_PARENT, Parent,
)
from fastroute.ext.reactor.counters cimport FIXED_DOWNSTREAM_IDLE, gauge_add
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport SCRATCH, portion, queue, receive, set_deadline, transmit
from fastroute.ext.reactor.resting cimport resting_add, resting_remove

cdef enum:
    KEPT_MOST = SCRATCH // 2    # bytes of a frame that has not arrived completely
    READ_TIME = 400             # microseconds in which a visit can take SCRATCH bytes
    READ_LEAST = 16384

cdef StreamProtocol[<int> PROTOCOLS] _protocols


cdef StreamProtocol *protocol_at(uint8_t protocol) noexcept nogil:
    return &_protocols[protocol]


cdef int parent_begin(Reactor r, Connection *p, uint8_t protocol) noexcept nogil:
    p.parent = <Parent *> calloc(1, sizeof(Parent))
    if p.parent is NULL:
        return -1
    p.parent.protocol = protocol
    # A backend may state its limit after the first requests were sent: until then, that of earlier connections holds.
    p.parent.most = max(p.endpoint.streams, <uint32_t> 1) if p.side == SIDE_UPSTREAM else <uint32_t> UINT32_MAX
    if p.state != STATE_CONNECTING:
        p.state = STATE_PARENT
    p.parent.resting = p.side == SIDE_DOWNSTREAM
    p.parent.silent = p.side == SIDE_UPSTREAM
    p.parent.unseen = buffer_size(&p.input) != 0
    p.parent.rest_until = resting_deadline(r, p)
    schedule(r, p)
    return protocol_at(protocol).begin(r, p)


cdef int parent_add(Reactor r, Connection *p, const char *data, uint32_t size) noexcept nogil:
    queue(r, p)
    if buffer_append(&p.parent.batch, data, size) < 0:
        p.parent.over = True
        return -1
    return 0


cdef uint32_t parent_room(const Connection *p) noexcept nogil:
    cdef uint32_t size = buffer_size(&p.parent.batch)
    if p.state != STATE_PARENT or buffer_size(&p.output) or size >= BATCH_MOST:
        return 0
    return BATCH_MOST - size


cdef bint parent_has_room(const Connection *p) noexcept nogil:
    return not (p.parent.leaving or p.parent.over or p.ended or p.failed) \
        and p.parent.count < min(protocol_at(p.parent.protocol).streams_most, p.parent.most)


cdef bint parent_can_read(const Connection *p) noexcept nogil:
    return p.readable and buffer_size(&p.output) + buffer_size(&p.parent.batch) <= BATCH_MOST + FRAMES_MOST


cdef inline uint32_t read_most(Reactor r) noexcept nogil:
    """Bytes that a visit reads: the fewer, the less time it has for them. What it cannot take would be copied in each visit,
    and be kept here instead of in the kernel."""
    return max(<uint32_t> READ_LEAST, <uint32_t> (SCRATCH * part_of_round(r, READ_TIME) // READ_TIME))


cdef bint parent_read(Reactor r, Connection *p) noexcept nogil:
    cdef uint32_t kept = buffer_size(&p.input)
    cdef long size = 0
    cdef int64_t taken
    if p.failed or p.parent.over:
        return False
    if kept:
        memcpy(r.scratch, buffer_bytes(&p.input), kept)
    if parent_can_read(p) and not p.parent.unseen:
        size = receive(r, p, r.scratch + kept, min(portion(r), SCRATCH - kept, read_most(r)))
    if size <= 0 and not p.parent.unseen:
        return size == 0
    p.parent.unseen = False
    buffer_free(&p.input)
    kept += <uint32_t> max(size, 0)
    taken = protocol_at(p.parent.protocol).take(r, p, r.scratch, kept)
    if taken < 0 or (kept - taken > KEPT_MOST and not p.parent.unseen):
        p.parent.over = True
        return False
    kept -= <uint32_t> taken
    return buffer_append(&p.input, r.scratch + taken, kept) == 0 and not p.parent.over


cdef bint parent_write(Reactor r, Connection *p) noexcept nogil:
    cdef iovec part
    cdef int sent
    if p.state == STATE_CONNECTING or p.parent.silent:
        return not p.failed
    if protocol_at(p.parent.protocol).gather(r, p) < 0:
        p.parent.over = True    # what is in the batch may say why
    part.iov_base = buffer_bytes(&p.parent.batch)
    part.iov_len = buffer_size(&p.parent.batch)
    if part.iov_len == 0:
        return not p.failed and not p.parent.over
    sent = transmit(r, p, &part, 1)
    buffer_free(&p.parent.batch)
    return sent == 0 and not p.parent.over


cdef void parent_leave(Reactor r, Connection *p) noexcept nogil:
    if p.parent.leaving:
        return
    p.parent.leaving = True
    p.parent.leave_until = r.milliseconds + (LEAVE_TIME if p.side == SIDE_DOWNSTREAM else 0)
    protocol_at(p.parent.protocol).leave(r, p, False)
    p.parent.rest_until = resting_deadline(r, p)
    if p.side == SIDE_UPSTREAM:
        parent_leave_finally(r, p, True)
    else:
        schedule(r, p)


cdef void parent_leave_finally(Reactor r, Connection *p, bint now) noexcept nogil:
    if p.parent.left or not (now or (p.parent.leaving and r.milliseconds >= p.parent.leave_until)):
        return
    p.parent.leaving = p.parent.left = True
    protocol_at(p.parent.protocol).leave(r, p, True)
    schedule(r, p)


cdef bint parent_is_done(Reactor r, const Connection *p) noexcept nogil:
    return p.parent.left and p.parent.count == 0 and has_sent_all(p)


cdef bint has_sent_all(const Connection *p) noexcept nogil:
    return p.parent.silent or (buffer_size(&p.output) == 0 and buffer_size(&p.parent.batch) == 0)


cdef void parent_established(Reactor r, Connection *p) noexcept nogil:
    p.state = STATE_PARENT
    p.parent.rest_until = resting_deadline(r, p)
    schedule(r, p)


cdef uint64_t resting_deadline(Reactor r, const Connection *p) noexcept nogil:
    cdef uint64_t deadline
    if p.parent.leaving:
        return max(p.parent.leave_until, <uint64_t> 1)
    if p.side == SIDE_UPSTREAM:
        return r.milliseconds + r.times.upstream_idle
    deadline = r.milliseconds + (LEAVE_TIME if r.draining else r.times.idle)
    return deadline if p.leave_at == 0 else min(deadline, p.leave_at)


cdef inline uint64_t earlier(uint64_t one, uint64_t other) noexcept nogil:
    return one if other == 0 or (one != 0 and one < other) else other


cdef void schedule(Reactor r, Connection *p) noexcept nogil:
    """Sets the deadline to the earliest of those that apply."""
    cdef uint64_t deadline = p.parent.owed_until
    cdef bint is_upstream = p.side == SIDE_UPSTREAM
    if p.parent.count == 0:
        deadline = earlier(deadline, p.parent.rest_until)
    elif is_upstream:
        deadline = earlier(deadline, p.parent.pong_until if p.parent.pong_until else p.parent.ping_at)
    elif not p.parent.leaving:
        deadline = earlier(deadline, p.leave_at)
    elif not p.parent.left:
        deadline = earlier(deadline, max(p.parent.leave_until, <uint64_t> 1))
    set_deadline(r, p, deadline)


cdef void parent_owes(Reactor r, Connection *p, bint owes) noexcept nogil:
    if owes == (p.parent.owed_until != 0):
        return
    p.parent.owed_until = r.milliseconds + r.times.head if owes else 0
    schedule(r, p)


cdef bint parent_is_late(Reactor r, const Connection *p) noexcept nogil:
    return p.parent.owed_until != 0 and r.milliseconds >= p.parent.owed_until


cdef void parent_heard(Reactor r, Connection *p, bint answer) noexcept nogil:
    """The deadline is not set again each time: when it passes, parent_lives sees whether it is still due."""
    p.parent.pong_until = 0
    if not answer:
        p.parent.ping_at = r.milliseconds + PING_AFTER


cdef bint parent_lives(Reactor r, Connection *p) noexcept nogil:
    if p.parent.pong_until:
        if r.milliseconds >= p.parent.pong_until:
            return False
    elif p.parent.ping_at and r.milliseconds >= p.parent.ping_at:
        protocol_at(p.parent.protocol).ping(r, p)
        p.parent.ping_at = r.milliseconds + PING_AGAIN
        p.parent.pong_until = r.milliseconds + PONG_TIME
    schedule(r, p)
    return True


cdef void note_resting(Reactor r, Connection *p, bint resting) noexcept nogil:
    """Counts the parent as idle or not. A client's parent with streams is not counted at all: its streams are."""
    cdef int change = 1 if resting else -1
    if p.parent.resting == resting:
        return
    p.parent.resting = resting
    if p.side == SIDE_DOWNSTREAM:
        r.carried += change
        gauge_add(r.counters, FIXED_DOWNSTREAM_IDLE, change)
    elif resting:
        resting_add(r, p)
    else:
        resting_remove(r, p)


cdef void parent_busy(Reactor r, Connection *p) noexcept nogil:
    note_resting(r, p, False)
    p.parent.late = False
    if p.side == SIDE_UPSTREAM:
        p.parent.ping_at = r.milliseconds + PING_AFTER
    if p.state == STATE_PARENT:
        schedule(r, p)


cdef void parent_rest(Reactor r, Connection *p) noexcept nogil:
    note_resting(r, p, True)
    p.parent.rest_until = resting_deadline(r, p)
    if p.state == STATE_PARENT:
        schedule(r, p)
    queue(r, p)


cdef bint parent_waits(Reactor r, Connection *p) noexcept nogil:
    if p.parent.late or has_sent_all(p):
        return False
    p.parent.late = True
    p.parent.rest_until = r.milliseconds + r.times.body
    schedule(r, p)
    return True


cdef uint64_t parent_rested(Reactor r, const Connection *p) noexcept nogil:
    if p.parent.count or p.parent.rest_until < r.times.idle:
        return r.milliseconds
    return p.parent.rest_until - r.times.idle


cdef void parent_free(Reactor r, Connection *p) noexcept nogil:
    note_resting(r, p, p.side == SIDE_DOWNSTREAM)
    protocol_at(p.parent.protocol).free(p.parent.state)
    buffer_free(&p.parent.batch)
    free(p.parent)
    p.parent = NULL
