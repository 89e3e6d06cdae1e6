"""A protocol with streams, for tests only; see framing.pxd. Importing this module registers it: for a
backend as the protocol "framed", for the clients of an engine by `use`. It stays until HTTP/2 takes its place."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free

from fastroute.ext.engine.engine cimport Engine
from fastroute.ext.message.protocol cimport PROTOCOL_FRAMED, PROTOCOL_HTTP1
from fastroute.ext.reactor.connection cimport SIDE_DOWNSTREAM, SIDE_UPSTREAM, Connection, Parent, Stream, slab_at
from fastroute.ext.reactor.parent cimport (
    CAUSE_REFUSED, CAUSE_VIOLATION, StreamProtocol, parent_add, parent_leave, protocol_at,
)
from fastroute.ext.reactor.reactor cimport Reactor, queue
from fastroute.ext.reactor.stream cimport (
    stream_accept, stream_broken, stream_can_send, stream_ended, stream_receive, stream_refused,
)
from fastroute.ext.routing.poolkey cimport protocol_name

WINDOWS = (STREAM_WINDOW, CONNECTION_WINDOW)
MOST = STREAMS_MOST


cdef inline Framing *framing_of(const Connection *p) noexcept nogil:
    return <Framing *> p.parent.state


cdef inline uint32_t number(const uint8_t *at, int size) noexcept nogil:
    cdef uint32_t value = 0
    cdef int i
    for i in range(size):
        value = value << 8 | at[i]
    return value


cdef int add(Reactor r, Connection *p, uint32_t id, uint8_t flags, const char *data, uint32_t size) noexcept nogil:
    """Adds one frame to the batch."""
    cdef char[HEAD] head
    cdef uint64_t value = <uint64_t> id << 32 | <uint32_t> flags << 24 | size
    cdef int i
    for i in range(HEAD):
        head[i] = <char> (value >> (56 - 8 * i))
    if parent_add(r, p, head, HEAD) < 0:
        return -1
    return parent_add(r, p, data, size) if size else 0


cdef int add_credit(Reactor r, Connection *p, uint32_t id, uint32_t size) noexcept nogil:
    cdef char[4] data
    cdef int i
    for i in range(4):
        data[i] = <char> (size >> (24 - 8 * i))
    return add(r, p, id, FLAG_CREDIT, data, 4)


cdef int add_reset(Reactor r, Connection *p, uint32_t id, uint8_t cause) noexcept nogil:
    return add(r, p, id, FLAG_RESET, <char *> &cause, 1)


# --- what the engine asks for


cdef int begin(Reactor r, Connection *p) noexcept nogil:
    p.parent.state = calloc(1, sizeof(Framing))
    p.parent.window = CONNECTION_WINDOW
    return 0 if p.parent.state is not NULL else -1


cdef int name(Reactor r, Connection *p, Connection *s) noexcept nogil:
    framing_of(p).last += 1
    s.stream.id = framing_of(p).last
    s.stream.window = STREAM_WINDOW
    return 0


cdef int send(Reactor r, Connection *p, Connection *s, const char *data, uint32_t size, bint last) noexcept nogil:
    cdef uint32_t piece
    s.stream.window -= size
    p.parent.window -= size
    while size:
        piece = min(size, <uint32_t> PAYLOAD_MOST)
        if add(r, p, s.stream.id, 0, data, piece) < 0:
            return -1
        data += piece
        size -= piece
    return 0


cdef int end(Reactor r, Connection *p, Connection *s) noexcept nogil:
    return add(r, p, s.stream.id, FLAG_END, NULL, 0)


cdef int reset(Reactor r, Connection *p, Connection *s, uint8_t cause) noexcept nogil:
    return add_reset(r, p, s.stream.id, cause)


cdef int credit(Reactor r, Connection *p, Connection *s, uint32_t size) noexcept nogil:
    s.stream.credit += size
    if s.stream.credit >= STREAM_WINDOW // 2 and not s.ended and not s.stream.over:
        add_credit(r, p, s.stream.id, s.stream.credit)
        s.stream.credit = 0
    return credit_connection(r, p, size)


cdef int credit_connection(Reactor r, Connection *p, uint32_t size) noexcept nogil:
    cdef Framing *framing = framing_of(p)
    framing.credit += size
    if framing.credit < CONNECTION_WINDOW // 4:
        return 0
    size = framing.credit
    framing.credit = 0
    return add_credit(r, p, 0, size)


cdef int leave(Reactor r, Connection *p, bint finally_) noexcept nogil:
    return 0 if finally_ else add(r, p, 0, FLAG_LEAVE, NULL, 0)


cdef int gather(Reactor r, Connection *p) noexcept nogil:
    return 0


# --- what the peer sends


cdef Connection *find(Reactor r, Connection *p, uint32_t id) noexcept nogil:
    cdef uint32_t index = p.parent.streams.first
    cdef Connection *s
    while index != 0:
        s = slab_at(&r.slab, index)
        if s.stream.id == id:
            return s
        index = s.stream.link.after
    return NULL


cdef int64_t take(Reactor r, Connection *p, const char *data, uint32_t size) noexcept nogil:
    cdef const uint8_t *head
    cdef uint32_t used = 0
    cdef uint32_t payload
    while size - used >= HEAD:
        head = <const uint8_t *> data + used
        payload = number(head + 5, 3)
        if payload > PAYLOAD_MOST:
            return -1
        if size - used - HEAD < payload:
            break
        if take_frame(r, p, number(head, 4), head[4], data + used + HEAD, payload) < 0:
            return -1
        used += HEAD + payload
    return used


cdef int take_frame(Reactor r, Connection *p, uint32_t id, uint8_t flags, const char *data,
                    uint32_t size) noexcept nogil:
    cdef Connection *s = find(r, p, id) if id else NULL
    if id == 0:
        return take_of_connection(r, p, flags, data, size)
    if s is NULL and id > framing_of(p).last:
        if p.side != SIDE_DOWNSTREAM:
            return -1
        framing_of(p).last = id
        s = stream_accept(r, p, id, STREAM_WINDOW)
        if s is NULL:
            add_reset(r, p, id, CAUSE_REFUSED)
    if s is NULL or s.stream.over:      # it has ended here
        return credit_connection(r, p, size) if flags <= FLAG_END else 0
    if flags == FLAG_RESET and size == 1 and data[0] == CAUSE_REFUSED and p.side == SIDE_UPSTREAM:
        stream_refused(r, p, s)
    elif flags == FLAG_RESET:
        stream_broken(r, p, s)
    elif flags == FLAG_CREDIT:
        if size != 4:
            return -1
        stream_can_send(r, p, s, number(<const uint8_t *> data, 4))
    elif s.ended or (size and stream_receive(r, p, s, data, size) < 0):
        reset(r, p, s, CAUSE_VIOLATION)
        stream_broken(r, p, s)
        return credit_connection(r, p, size)
    elif flags == FLAG_END:
        stream_ended(r, s)
    return 0


cdef int take_of_connection(Reactor r, Connection *p, uint8_t flags, const char *data, uint32_t size) noexcept nogil:
    if flags == FLAG_LEAVE:
        parent_leave(r, p)
        if size == 4 and p.side == SIDE_UPSTREAM:
            refuse_above(r, p, number(<const uint8_t *> data, 4))
        return 0
    if flags != FLAG_CREDIT or size != 4:
        return -1
    p.parent.window += number(<const uint8_t *> data, 4)
    queue(r, p)
    return 0


cdef void refuse_above(Reactor r, Connection *p, uint32_t last) noexcept nogil:
    cdef uint32_t index = p.parent.streams.first
    cdef Connection *s
    while index != 0:
        s = slab_at(&r.slab, index)
        index = s.stream.link.after
        if s.stream.id > last and not s.stream.over:
            stream_refused(r, p, s)


# --- registration


cdef void release(void *state) noexcept nogil:
    free(state)


cdef int fill() except -1:
    cdef StreamProtocol *protocol = protocol_at(PROTOCOL_FRAMED)
    protocol.messages = PROTOCOL_HTTP1
    protocol.streams_most = protocol.accepted_most = STREAMS_MOST
    protocol.input_most = STREAM_WINDOW
    protocol.inputs_most = CONNECTION_WINDOW
    protocol.begin = begin
    protocol.take = take
    protocol.gather = gather
    protocol.name = name
    protocol.send = send
    protocol.end = end
    protocol.reset = reset
    protocol.credit = credit
    protocol.leave = leave
    protocol.free = release
    return protocol_name("framed", PROTOCOL_FRAMED)

fill()


def use(Engine engine not None):
    """From now on new client connections of the engine carry streams."""
    engine.r.downstream_protocol = PROTOCOL_FRAMED


def sizes():
    """Bytes of a connection, of what a stream owns, and of what a parent owns."""
    return sizeof(Connection), sizeof(Stream), sizeof(Parent)
