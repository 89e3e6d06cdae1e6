"""The limit of the memory for all buffers and for TLS; see relief.pxd.

Each connection has its own limits, but 65,536 connections at their limits would need gigabytes. A client connection
holds its own buffers, those of its exchange and upstream connection, and the memory of libssl for it.

The namespaces have equal shares, so that one of them cannot end the connections of the others: only namespaces that
hold more than their share lose connections, down to the share. A connection belongs to the namespace of the route of
its request or mirror, without a route to that of the listener of its TLS; the others have one share together.

The connections of these namespaces are sorted into classes by size, and the highest classes end first: those above the
class `lowest`, then those of that class without a request, such as idle ones with TLS, then the others of that class.
Together they free an eighth of the limit, so that the next sweep is needed only after peers have sent that many bytes
again. A sweep is a sequence of scans through the slab (Phase), and continues in later turns if it takes long.

What the kernel holds is not included: SEND_BUFFER (inet.pxd) limits what it holds for the peer of each socket.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memset

from fastroute.ext.exchange.downstream cimport downstream_end
from fastroute.ext.exchange.mirroring cimport mirror_crowded
from fastroute.ext.memory.buffer cimport buffers_total
from fastroute.ext.memory.owner cimport OWNERS
from fastroute.ext.message.reason cimport REASON_BUFFERS_FULL
from fastroute.ext.reactor.connection cimport CHUNK, SIDE_DOWNSTREAM, SIDE_UPSTREAM, Connection, slab_at, slab_find
from fastroute.ext.reactor.counters cimport FIXED_ENDED_BUFFERS_FULL, count
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport CLASSES, read_clock

cdef enum:
    CLASS_BYTES = 16384     # a class has the sizes up to this many bytes above those of the class below it
    SWEEP_TIME = 2000       # microseconds of a turn after which a sweep stops, but not before
    SWEEP_LEAST = 300       # microseconds of its own
    SWEEP_AGE = 100         # milliseconds after which the connections are classified again
    CHUNK_AGE = 40          # the same in addition for each chunk: ten times as long as three scans of it take
    SWEEP_LOOK = 16         # connections between two looks at the clock: one takes up to 6 µs
    UNOWNED = OWNERS        # the connections whose namespace is not known
    HOLDERS = OWNERS + 1

cdef enum Phase:            # of a sweep, in this order; in the last three, connections end
    PHASE_NONE = 0          # there is no sweep
    PHASE_SUM               # sums up what each namespace holds
    PHASE_SORT              # sums up the classes of the namespaces that hold more than their share
    PHASE_END_LARGE
    PHASE_END_IDLE
    PHASE_END_ALL
    PHASES


cdef int relief_open(Reactor r) except -1:
    r.sweep.held = <uint64_t *> calloc(HOLDERS, sizeof(uint64_t))
    if r.sweep.held is NULL:
        raise MemoryError
    return 0


cdef uint64_t below(const Connection *c) noexcept nogil:
    """Bytes of the connection that TLS, or the protocol of its streams, holds."""
    cdef uint64_t size = 0
    if c.tls is not NULL:
        size += c.tls.input.room + c.tls.memory
    if c.stream is not NULL:
        size += <uint64_t> c.stream.input.room + c.stream.head.room + c.stream.tail.room + c.stream.parting.room
    if c.parent is not NULL:
        size += <uint64_t> c.parent.batch.room + c.parent.memory
    return size


cdef uint64_t held_by(Reactor r, const Connection *c) noexcept nogil:
    """Bytes that end with the connection, if it is a client's or a mirror's; otherwise 0."""
    cdef uint64_t size = 0
    cdef const Connection *u
    cdef const Exchange *x = c.exchange
    if c.side == SIDE_DOWNSTREAM or (c.side == SIDE_UPSTREAM and c.mirror is not NULL):
        size = <uint64_t> c.input.room + c.output.room + below(c)
        if x is not NULL:
            size += <uint64_t> x.held.room + x.kept
            u = slab_find(&r.slab, x.upstream)
            if u is not NULL:
                size += <uint64_t> u.input.room + u.output.room + below(u)
    return size


cdef inline uint32_t holder_of(const Connection *c) noexcept nogil:
    """The namespace to which its memory counts; UNOWNED if it is not known yet."""
    if c.mirror is not NULL:
        return c.mirror.owner
    if c.exchange is not NULL and c.exchange.rule is not NULL:
        return c.exchange.rule.owner
    return c.tls.owner if c.tls is not NULL else <uint32_t> UNOWNED


cdef uint64_t above(const uint64_t *held, uint64_t share) noexcept nogil:
    """The bytes that namespaces hold in addition to their share."""
    cdef uint64_t size = 0
    cdef uint32_t i
    for i in range(<uint32_t> HOLDERS):
        if held[i] > share:
            size += held[i] - share
    return size


cdef uint64_t share_of(const uint64_t *held, uint64_t most, uint64_t excess) noexcept nogil:
    """The largest share, at most `most`, above which the namespaces hold at least `excess` bytes; otherwise 0."""
    cdef uint64_t low = 0
    cdef uint64_t middle
    while low < most:
        middle = low + (most - low + 1) // 2
        if above(held, middle) >= excess:
            low = middle
        else:
            most = middle - 1
    return low


cdef inline uint32_t class_of(uint64_t size) noexcept nogil:
    return CLASSES - 1 if size >= CLASSES * CLASS_BYTES else <uint32_t> (size // CLASS_BYTES)


cdef uint32_t lowest_class(const uint64_t *classes, uint64_t excess) noexcept nogil:
    """The class that has to end in part, while those above it end completely, to free `excess` bytes."""
    cdef uint32_t found = CLASSES - 1
    while found > 0 and classes[found] < excess:
        excess -= classes[found]
        found -= 1
    return found


cdef inline bint must_end(Reactor r, const Connection *c, uint64_t size) noexcept nogil:
    """Whether this phase ends the connection, whose namespace holds more than its share."""
    if r.sweep.phase == PHASE_END_LARGE:
        return class_of(size) > r.sweep.lowest
    return class_of(size) == r.sweep.lowest and (r.sweep.phase == PHASE_END_ALL or c.exchange is NULL)


cdef void end(Reactor r, Connection *c) noexcept nogil:
    if c.side == SIDE_UPSTREAM:
        mirror_crowded(r, c)
    else:
        count(r.counters, FIXED_ENDED_BUFFERS_FULL, 1)
        downstream_end(r, c, REASON_BUFFERS_FULL)
    read_clock(r)


cdef bint scan(Reactor r, uint64_t until, uint64_t enough) noexcept nogil:
    """Does the work of the phase for each connection, from where the last call stopped, until at most `enough` bytes are
    left. False: the time was up before that."""
    cdef uint64_t size
    cdef uint64_t *held
    cdef Connection *c
    while r.sweep.next < r.slab.chunks_count * CHUNK and buffers_total() > enough:
        if r.now > until:
            return False
        c = slab_at(&r.slab, r.sweep.next)
        r.sweep.next += 1
        if r.sweep.next % SWEEP_LOOK == 0:
            read_clock(r)
        size = held_by(r, c)
        if size == 0:
            continue
        held = &r.sweep.held[holder_of(c)]
        if r.sweep.phase == PHASE_SUM:
            held[0] += size
        elif held[0] <= r.sweep.share:
            continue
        elif r.sweep.phase == PHASE_SORT:
            r.sweep.classes[class_of(size)] += size
        elif must_end(r, c, size):
            held[0] -= min(size, held[0])
            end(r, c)
    return True


cdef void begin(Reactor r) noexcept nogil:
    r.sweep.begun = r.milliseconds
    r.sweep.phase = PHASE_SUM
    memset(r.sweep.held, 0, HOLDERS * sizeof(uint64_t))
    memset(r.sweep.classes, 0, sizeof(r.sweep.classes))
    r.sweep.next = 1


cdef bint relieve(Reactor r, uint64_t start) noexcept nogil:
    cdef uint64_t until = max(start + SWEEP_TIME, r.now + SWEEP_LEAST)
    cdef uint64_t enough = r.max_buffered - r.max_buffered // 8
    if r.sweep.phase == PHASE_NONE or r.milliseconds - r.sweep.begun > SWEEP_AGE + r.slab.chunks_count * CHUNK_AGE:
        if r.milliseconds == r.sweep.begun:     # nothing more can be freed now
            return True
        begin(r)
    while buffers_total() > enough and r.sweep.phase != PHASE_NONE:
        if not scan(r, until, enough):
            return False
        if r.sweep.phase == PHASE_SUM:
            r.sweep.share = share_of(r.sweep.held, buffers_total(), buffers_total() - enough)
        elif r.sweep.phase == PHASE_SORT:
            r.sweep.lowest = lowest_class(r.sweep.classes, buffers_total() - enough)
        r.sweep.phase = (r.sweep.phase + 1) % PHASES
        r.sweep.next = 1
    r.sweep.phase = PHASE_NONE
    return True
