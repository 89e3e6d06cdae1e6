"""The limit of the memory for all buffers and for TLS; see relief.pxd.

Each connection has its own limits, but 65,536 connections at their limits would need gigabytes. A client connection
holds its own buffers, those of its exchange and upstream connection, and the memory of libssl for it. Connections are
sorted into classes by this size, and the highest classes end first: a sweep ends those above a class. If that is not
enough, a second one ends connections of that class without a request, such as idle ones with TLS, and a third one also
ends those with a request. Together they free an eighth of the limit, so that the next sweep is needed only after peers
have sent that many bytes again. A sweep continues in later turns if it takes longer than SWEEP_TIME.

What the kernel holds is not included: SEND_BUFFER (inet.pxd) limits what it holds for the peer of each socket.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from fastroute.ext.exchange.downstream cimport downstream_end
from fastroute.ext.exchange.mirroring cimport mirror_crowded
from fastroute.ext.http1.reason cimport REASON_BUFFERS_FULL
from fastroute.ext.memory.buffer cimport buffers_total
from fastroute.ext.reactor.connection cimport CHUNK, SIDE_DOWNSTREAM, SIDE_UPSTREAM, Connection, slab_at, slab_find
from fastroute.ext.reactor.counters cimport FIXED_ENDED_BUFFERS_FULL, count
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport read_clock

cdef enum:
    CLASSES = 64
    CLASS_BYTES = 16384     # a class has the sizes up to this many bytes above those of the class below it
    SWEEP_TIME = 2000       # microseconds of a sweep in one turn
    SWEEP_AGE = 100         # milliseconds after which the connections are classified again


cdef uint64_t below(const Connection *c) noexcept nogil:
    """Bytes of the connection that TLS, or the protocol of its streams, holds."""
    cdef uint64_t size = 0
    if c.tls is not NULL:
        size += c.tls.input.room + c.tls.memory
    if c.stream is not NULL:
        size += c.stream.input.room
    if c.parent is not NULL:
        size += c.parent.batch.room
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


cdef inline uint32_t class_of(uint64_t size) noexcept nogil:
    return CLASSES - 1 if size >= CLASSES * CLASS_BYTES else <uint32_t> (size // CLASS_BYTES)


cdef uint32_t lowest_class(Reactor r, uint64_t excess) noexcept nogil:
    """The class that has to end in part, while those above it end completely, to free `excess` bytes."""
    cdef uint64_t[CLASSES] sums
    cdef uint64_t size
    cdef uint32_t i
    cdef uint32_t found = CLASSES - 1
    memset(sums, 0, sizeof(sums))
    for i in range(1, r.slab.chunks_count * CHUNK):
        size = held_by(r, slab_at(&r.slab, i))
        sums[class_of(size)] += size
    while found > 0 and sums[found] < excess:
        excess -= sums[found]
        found -= 1
    return found


cdef bint sweep(Reactor r, uint64_t start, uint64_t enough) noexcept nogil:
    """Ends connections of the classes of the sweep until at most `enough` bytes are left. Continues where the last call
    stopped. False: the time of the sweep ended before that."""
    cdef uint64_t size
    cdef Connection *c
    while r.sweep_next < r.slab.chunks_count * CHUNK and buffers_total() > enough:
        if r.now - start > SWEEP_TIME:
            return False
        c = slab_at(&r.slab, r.sweep_next)
        r.sweep_next += 1
        size = held_by(r, c)
        if size == 0 or not r.sweep_first <= class_of(size) <= r.sweep_last:
            continue
        if r.sweep_spares and c.exchange is not NULL:
            continue
        if c.side == SIDE_UPSTREAM:
            mirror_crowded(r, c)
        else:
            count(r.counters, FIXED_ENDED_BUFFERS_FULL, 1)
            downstream_end(r, c, REASON_BUFFERS_FULL)
        read_clock(r)
    return True


cdef void begin_sweep(Reactor r, uint32_t first, uint32_t last, bint spares) noexcept nogil:
    r.sweep_first = first
    r.sweep_last = last
    r.sweep_spares = spares
    r.sweep_next = 1


cdef bint relieve(Reactor r) noexcept nogil:
    cdef uint64_t start = r.now
    cdef uint64_t enough = r.max_buffered - r.max_buffered // 8
    if r.sweep_next == 0 or r.milliseconds - r.sweep_begun > SWEEP_AGE:
        if r.milliseconds == r.sweep_begun:     # nothing more can be freed now
            return True
        r.sweep_begun = r.milliseconds
        r.sweep_lowest = lowest_class(r, buffers_total() - enough)
        begin_sweep(r, r.sweep_lowest + 1, CLASSES - 1, False)
    if r.sweep_first > r.sweep_lowest:
        if not sweep(r, start, enough):
            return False
        begin_sweep(r, r.sweep_lowest, r.sweep_lowest, True)
    if r.sweep_spares:
        if not sweep(r, start, enough):
            return False
        begin_sweep(r, r.sweep_lowest, r.sweep_lowest, False)
    if not sweep(r, start, enough):
        return False
    r.sweep_next = 0
    return True
