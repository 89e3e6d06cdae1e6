"""Room for a client when all client connections are in use; see crowd.pxd.

Without this, idle connections and tunnels of a few addresses could keep all other clients waiting for hours. A search
through all connections for each client would be too slow, so SAMPLE random ones are examined, and the best of them
ends. The best one is, in this order:

1. without a request for RESTED, and of an address with many connections (CROWD);
2. with a request or tunnel of such an address that had no traffic for QUIET;
3. without a request for RESTED, of any other address: clients expect that idle connections end;
4. with any other request of an address with many connections.

A connection that carries streams has a request as long as it has a stream.

Of several in the same class, it is one of the address with the most connections, and of these the one that has waited
longest. So an address with few connections never loses a request. How many are many depends on the limit: a low limit
can be reached by few addresses, or with few connections of each.
"""

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.exchange.downstream cimport downstream_close, downstream_end, downstream_reset
from fastroute.ext.memory.random cimport random_below
from fastroute.ext.message.reason cimport REASON_OVERLOADED
from fastroute.ext.reactor.clients cimport clients_count
from fastroute.ext.reactor.connection cimport (
    CHUNK, LAYER_STREAM, SIDE_DOWNSTREAM, STATE_HANDSHAKE, STATE_HELLO, STATE_IDLE, STATE_LINGER, Connection, slab_at,
)
from fastroute.ext.reactor.counters cimport FIXED_ENDED_CONNECTIONS_FULL, count
from fastroute.ext.reactor.parent cimport parent_rested

cdef enum:
    SAMPLE = 64
    CROWD = 64              # connections that are many for one address
    CROWD_LEAST = 8         # the same with a low limit
    CROWD_SHARE = 1024      # connections of the limit for each of them
    RESTED = 1000           # milliseconds: an idle connection that was used just now may be used again
    QUIET = 10000           # milliseconds

cdef enum Class:            # the highest one ends first
    CLASS_NONE = 0          # must not end
    CLASS_BUSY
    CLASS_IDLE
    CLASS_QUIET
    CLASS_IDLE_CROWD

cdef struct Candidate:
    Connection *connection      # NULL: none
    Class rank
    uint32_t crowd              # connections of its address
    uint64_t since              # milliseconds: when it was used last


cdef Class class_of(Reactor r, const Candidate *found) noexcept nogil:
    cdef const Connection *c = found.connection
    cdef bint crowded = found.crowd >= CROWD_LEAST and found.crowd >= min(
        r.max_connections // CROWD_SHARE, <uint32_t> CROWD
    )
    if c.exchange is not NULL or (c.parent is not NULL and c.parent.count):
        if not crowded:
            return CLASS_NONE
        return CLASS_QUIET if found.since + QUIET <= r.milliseconds else CLASS_BUSY
    if c.state == STATE_LINGER or c.readable or c.queued or found.since + RESTED > r.milliseconds:
        return CLASS_NONE       # it ends soon, or has sent a request, or may send one just now
    return CLASS_IDLE_CROWD if crowded else CLASS_IDLE


cdef void look_at(Reactor r, Connection *c, Candidate *found) noexcept nogil:
    cdef uint64_t patience = r.times.idle if c.state == STATE_IDLE else r.times.head
    found.connection = c
    # A trusted proxy is not counted: it has the connections of many clients.
    found.crowd = clients_count(&r.clients, c.peer.family, c.peer.address) if c.counted else 1
    if c.exchange is not NULL:
        found.since = c.exchange.progress
    elif c.parent is not NULL:
        found.since = parent_rested(r, c)
    else:
        found.since = c.deadline - patience if c.deadline > patience else 0
    found.rank = class_of(r, found)


cdef bint is_better(const Candidate *one, const Candidate *other) noexcept nogil:
    if one.rank != other.rank:
        return one.rank > other.rank
    if one.crowd != other.crowd:
        return one.crowd > other.crowd
    return one.since < other.since


cdef bint make_room(Reactor r) noexcept nogil:
    cdef Candidate best = Candidate(NULL, CLASS_NONE, 0, 0)
    cdef Candidate found
    cdef Connection *c
    cdef int _
    for _ in range(SAMPLE):
        c = slab_at(&r.slab, 1 + random_below(&r.random, r.slab.chunks_count * CHUNK - 1))
        if c.side != SIDE_DOWNSTREAM or c.layer == LAYER_STREAM:
            continue
        look_at(r, c, &found)
        if found.rank != CLASS_NONE and is_better(&found, &best):
            best = found
    if best.connection is NULL:
        return False
    count(r.counters, FIXED_ENDED_CONNECTIONS_FULL, 1)
    c = best.connection
    if c.exchange is not NULL:
        downstream_reset(r, c, REASON_OVERLOADED)
    elif c.state == STATE_HELLO or c.state == STATE_HANDSHAKE:
        downstream_end(r, c, REASON_OVERLOADED)
    else:
        downstream_close(r, c)
    return r.downstreams < r.max_connections
