"""Streams as a layer of a connection; see stream.pxd."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fastroute.ext.memory.buffer cimport buffer_append, buffer_bytes, buffer_consume, buffer_free, buffer_size
from fastroute.ext.memory.list cimport Link
from fastroute.ext.memory.spare cimport spare_give, spare_take
from fastroute.ext.reactor.connection cimport (
    LAYER_SOCKET, LAYER_STREAM, SIDE_DOWNSTREAM, SIDE_UPSTREAM, STATE_ACTIVE, STATE_CONNECTING, STATE_IDLE,
    STATE_PARENT, Stream, handle_of, slab_at, slab_bury, slab_find, slab_take,
)
from fastroute.ext.reactor.counters cimport (
    FIXED_DOWNSTREAM_IDLE, FIXED_STREAMS_DOWNSTREAM, FIXED_STREAMS_UPSTREAM, gauge_add,
)
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.linked cimport list_append, list_remove
from fastroute.ext.reactor.parent cimport (
    CAUSE_BROKEN, CAUSE_CANCELLED, CAUSE_DONE, StreamProtocol, parent_busy, parent_established, parent_free,
    parent_has_room, parent_rest, parent_room, protocol_at,
)
from fastroute.ext.reactor.reactor cimport Layer, dequeue, layer_at, portion, queue, set_deadline

cdef enum:
    ROOM_LEAST = 4096           # bytes that are read for a stream that can send nothing now


cdef Tls *tls_of(Reactor r, const Connection *c) noexcept nogil:
    cdef const Connection *p
    if c.layer != LAYER_STREAM:
        return c.tls
    p = parent_of(r, c)
    return p.tls if p is not NULL else NULL


cdef inline StreamProtocol *protocol_of(const Connection *p) noexcept nogil:
    return protocol_at(p.parent.protocol)


cdef inline Link *stream_link(Connection *s) noexcept nogil:
    return &s.stream.link


# --- begin and end


cdef inline uint32_t gauge_of(const Connection *p) noexcept nogil:
    return FIXED_STREAMS_DOWNSTREAM if p.side == SIDE_DOWNSTREAM else FIXED_STREAMS_UPSTREAM


cdef Connection *new(Reactor r, Connection *p) noexcept nogil:
    """A stream in the list of its parent. NULL if out of memory."""
    cdef Connection *s = slab_take(&r.slab)
    if s is NULL:
        return NULL
    s.stream = <Stream *> spare_take(sizeof(Stream))
    if s.stream is NULL:
        slab_bury(&r.slab, s)
        return NULL
    memset(s.stream, 0, sizeof(Stream))
    s.layer = LAYER_STREAM
    s.side = p.side
    s.protocol = protocol_of(p).messages
    s.stream.parent = handle_of(p)
    s.writable = p.state == STATE_PARENT
    list_append(&r.slab, &p.parent.streams, s, stream_link)
    p.parent.count += 1
    gauge_add(r.counters, gauge_of(p), 1)
    p.requests += 1
    if p.parent.count == 1:
        parent_busy(r, p)
    return s


cdef Connection *stream_accept(Reactor r, Connection *p, uint32_t id, int64_t window) noexcept nogil:
    cdef Connection *s
    if p.side != SIDE_DOWNSTREAM or p.parent.count >= min(protocol_of(p).accepted_most, r.max_streams) \
            or (p.parent.leaving and r.milliseconds >= p.parent.leave_until):
        return NULL
    s = new(r, p)
    if s is NULL:
        return NULL
    s.stream.id = id
    s.stream.window = window
    s.state = STATE_IDLE
    s.listener = p.listener
    s.peer = p.peer
    r.carried += 1
    gauge_add(r.counters, FIXED_DOWNSTREAM_IDLE, 1)
    set_deadline(r, s, r.milliseconds + r.times.head)
    return s


cdef Connection *stream_open(Reactor r, Connection *p) noexcept nogil:
    cdef Connection *s
    if not parent_has_room(p):
        return NULL
    s = new(r, p)
    if s is NULL:
        return NULL
    s.state = STATE_ACTIVE if p.state == STATE_PARENT else STATE_CONNECTING
    if protocol_of(p).name(r, p, s) < 0:
        s.stream.over = True
        forget_stream(r, s)
        slab_bury(&r.slab, s)
        return NULL
    return s


cdef void leave(Reactor r, Connection *p, Connection *s) noexcept nogil:
    """Removes the stream from its parent."""
    dequeue(r, s)
    list_remove(&r.slab, &p.parent.streams, s, stream_link)
    p.parent.held -= buffer_size(&s.stream.input)
    p.parent.heads -= s.stream.heads
    p.parent.count -= 1
    gauge_add(r.counters, gauge_of(p), -1)
    s.stream.parent = 0


cdef void end_abruptly(Reactor r, Connection *s) noexcept nogil:
    """Nothing can be sent any more, and nothing more arrives. An answer that is complete can still be read."""
    s.stream.over = True
    s.writable = False
    s.readable = True
    if s.side != SIDE_UPSTREAM or not s.ended:
        s.failed = True
    stream_wake(r, s)


cdef void stream_wake(Reactor r, Connection *s) noexcept nogil:
    cdef Connection *c = s
    if s.side == SIDE_UPSTREAM and s.mirror is NULL:
        c = slab_find(&r.slab, s.owner)
    if c is not NULL:
        queue(r, c)


# --- all streams of a parent


cdef void streams_established(Reactor r, Connection *p) noexcept nogil:
    cdef uint32_t index = p.parent.streams.first
    cdef Connection *s
    parent_established(r, p)
    while index != 0:
        s = slab_at(&r.slab, index)
        index = s.stream.link.after
        s.writable = True
        stream_wake(r, s)


cdef void streams_wake_writers(Reactor r, Connection *p) noexcept nogil:
    cdef int64_t room = parent_room(p)
    cdef int64_t window = p.parent.window
    cdef uint32_t index = p.parent.streams.first
    cdef bint stalled = False
    cdef Connection *s
    if not p.parent.stalled:
        return
    while index != 0:
        if room <= 0:
            return
        s = slab_at(&r.slab, index)
        index = s.stream.link.after
        if s.stream.waits:
            room -= ROOM_LEAST
        elif not s.writable and buffer_size(&s.output) and s.stream.window > 0 and window > 0:
            room -= buffer_size(&s.output)
            window -= buffer_size(&s.output)
        else:
            stalled = stalled or not s.writable
            continue
        s.stream.waits = False
        s.writable = True
        stream_wake(r, s)
    p.parent.stalled = stalled


cdef bint stream_can_answer(Reactor r, Connection *s) noexcept nogil:
    cdef Connection *p = parent_of(r, s)
    s.stream.waits = p is not NULL and parent_room(p) == 0
    if s.stream.waits:
        p.parent.stalled = True
    return not s.stream.waits


cdef bint stream_is_held(Reactor r, const Connection *s) noexcept nogil:
    return (s.stream.waits or (buffer_size(&s.output) != 0 and s.stream.window > 0)) and parent_of(r, s) is not NULL


cdef void streams_end(Reactor r, Connection *p) noexcept nogil:
    cdef Connection *s
    while p.parent.streams.first != 0:
        s = slab_at(&r.slab, p.parent.streams.first)
        leave(r, p, s)
        end_abruptly(r, s)
    parent_free(r, p)


# --- for protocols


cdef int stream_receive(Reactor r, Connection *p, Connection *s, const char *data, uint32_t size) noexcept nogil:
    if <uint64_t> buffer_size(&s.stream.input) + size > protocol_of(p).input_most \
            or <uint64_t> p.parent.held + size > protocol_of(p).inputs_most \
            or buffer_append(&s.stream.input, data, size) < 0:
        return -1
    p.parent.held += size
    s.readable = True
    stream_wake(r, s)
    return 0


cdef void stream_ended(Reactor r, Connection *s) noexcept nogil:
    s.ended = s.readable = True
    stream_wake(r, s)


cdef void stream_broken(Reactor r, Connection *p, Connection *s) noexcept nogil:
    if s.side != SIDE_UPSTREAM or not s.ended:
        give_back(r, p, s, buffer_size(&s.stream.input))
        buffer_free(&s.stream.input)
    end_abruptly(r, s)


cdef void stream_refused(Reactor r, Connection *p, Connection *s) noexcept nogil:
    s.stream.refused = True
    stream_broken(r, p, s)


cdef void stream_can_send(Reactor r, Connection *p, Connection *s, uint32_t size) noexcept nogil:
    s.stream.window += size
    s.stream.untaken -= min(size, s.stream.untaken)
    queue(r, p)


# --- the layer


cdef void give_back(Reactor r, Connection *p, Connection *s, uint32_t size) noexcept nogil:
    """Bytes of the stream were taken."""
    p.parent.held -= size
    if size:
        protocol_of(p).credit(r, p, s, size)


cdef long receive_stream(Reactor r, Connection *s, char *into, uint32_t room) noexcept nogil:
    cdef uint32_t size = min(buffer_size(&s.stream.input), room)
    cdef Connection *p
    if size == 0:
        s.readable = False
        if s.ended:
            return -1
        return -2 if s.failed else 0
    memcpy(into, buffer_bytes(&s.stream.input), size)
    buffer_consume(&s.stream.input, size)
    if buffer_size(&s.stream.input) == 0 and not s.ended and not s.failed:
        s.readable = False
    p = parent_of(r, s)
    if p is not NULL:
        give_back(r, p, s, size)
    return size


cdef uint32_t can_send(const Connection *p, const Connection *s) noexcept nogil:
    cdef int64_t window = min(s.stream.window, p.parent.window)
    return <uint32_t> min(window, <int64_t> parent_room(p)) if window > 0 else 0


cdef uint32_t stream_room(Reactor r, const Connection *s) noexcept nogil:
    cdef const Connection *p = parent_of(r, s)
    cdef uint32_t room = can_send(p, s) if p is not NULL else 0
    return min(max(room, <uint32_t> ROOM_LEAST), portion(r))


cdef int64_t frame(Reactor r, Connection *s, const char *data, uint32_t size, bint last) noexcept nogil:
    """Puts as much of the content as possible into the batch of the parent. `last`: no more follows. Returns its size, or
    -1 if the stream is broken."""
    cdef Connection *p = parent_of(r, s)
    cdef uint32_t room
    if s.stream.over or p is NULL:
        return -1
    room = min(can_send(p, s), size)
    if room < size:
        s.writable = False
        p.parent.stalled = True
    if room == 0:
        return 0
    if protocol_of(p).send(r, p, s, data, room, last and room == size) < 0:
        return -1
    s.stream.untaken += room
    p.parent.silent = False
    list_remove(&r.slab, &p.parent.streams, s, stream_link)
    list_append(&r.slab, &p.parent.streams, s, stream_link)     # the next one has the room of the next batch
    return room


cdef int open_stream(Reactor r, Connection *s, bint last) noexcept nogil:
    """Sends the fields at the beginning of the output."""
    cdef Connection *p = parent_of(r, s)
    cdef uint32_t size = s.stream.opening
    s.stream.opening = 0
    if s.stream.over or p is NULL \
            or protocol_of(p).open(r, p, s, buffer_bytes(&s.output), size, last and buffer_size(&s.output) == size) < 0:
        return -1
    buffer_consume(&s.output, size)
    return 0


cdef int flush_output(Reactor r, Connection *s, bint last) noexcept nogil:
    cdef int64_t sent
    if s.stream.opening and open_stream(r, s, last) < 0:
        return -1
    if buffer_size(&s.output) == 0:
        return 0
    sent = frame(r, s, buffer_bytes(&s.output), buffer_size(&s.output), last)
    if sent < 0:
        return -1
    buffer_consume(&s.output, <uint32_t> sent)
    return 0


cdef int flush_stream(Reactor r, Connection *s) noexcept nogil:
    cdef int outcome = flush_output(r, s, s.ending)
    if outcome == 0 and s.ending and s.side == SIDE_UPSTREAM and buffer_size(&s.output) == 0:
        half_close_stream(r, s)
    return outcome


cdef int transmit_stream(Reactor r, Connection *s, iovec *parts, int count) noexcept nogil:
    cdef int64_t sent
    cdef int i
    if s.stream.over or (s.writable and buffer_size(&s.output) != 0 and flush_output(r, s, False) < 0):
        return -1
    for i in range(count):
        sent = 0
        if s.writable and parts[i].iov_len:
            sent = frame(r, s, <char *> parts[i].iov_base, <uint32_t> parts[i].iov_len, s.ending and i == count - 1)
        if sent < 0:
            return -1
        if buffer_append(&s.output, <char *> parts[i].iov_base + sent, <uint32_t> (parts[i].iov_len - sent)) < 0:
            return -1
    return 0


cdef int put_stream(Reactor r, Connection *s, const char *data, uint32_t size) noexcept nogil:
    return buffer_append(&s.output, data, size)


cdef uint32_t untaken_stream(Reactor r, const Connection *s) noexcept nogil:
    cdef const Connection *p = parent_of(r, s)
    cdef uint32_t below = 0
    if p is not NULL:
        below = buffer_size(&p.output) + layer_at(p.layer).untaken(r, p)
    return s.stream.untaken + below


cdef bint is_quiet_stream(Reactor r, Connection *s) noexcept nogil:
    return not s.stream.over and not s.ended and buffer_size(&s.stream.input) == 0


cdef bint say_end_stream(Reactor r, Connection *s) noexcept nogil:
    return True


cdef void half_close_stream(Reactor r, Connection *s) noexcept nogil:
    cdef Connection *p = parent_of(r, s)
    if p is not NULL and not s.stream.over and not s.stream.said_end:
        s.stream.said_end = True
        protocol_of(p).end(r, p, s)


cdef void break_down_stream(Reactor r, Connection *s) noexcept nogil:
    cdef Connection *p = parent_of(r, s)
    if p is not NULL and not s.stream.over:
        protocol_of(p).reset(r, p, s, CAUSE_BROKEN)
    s.stream.over = True


cdef void forget_stream(Reactor r, Connection *s) noexcept nogil:
    cdef Connection *p = parent_of(r, s)
    cdef Stream *t = s.stream
    if p is not NULL:
        if not t.over and not (t.said_end and (s.ended or t.whole)):
            protocol_of(p).reset(r, p, s, CAUSE_DONE if t.said_end and s.side == SIDE_DOWNSTREAM else CAUSE_CANCELLED)
        t.over = True
        if buffer_size(&t.input):
            protocol_of(p).credit(r, p, s, buffer_size(&t.input))
        leave(r, p, s)
        if p.parent.count == 0:
            parent_rest(r, p)
    buffer_free(&t.input)
    buffer_free(&t.head)
    buffer_free(&t.tail)
    buffer_free(&t.parting)
    spare_give(t, sizeof(Stream))
    s.stream = NULL
    s.layer = LAYER_SOCKET


layer_at(LAYER_STREAM)[0] = Layer(
    receive=receive_stream, transmit=transmit_stream, put=put_stream, flush=flush_stream, untaken=untaken_stream,
    is_quiet=is_quiet_stream, say_end=say_end_stream, half_close=half_close_stream, break_down=break_down_stream,
    forget=forget_stream,
)
