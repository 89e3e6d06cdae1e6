"""The engine: an epoll reactor without the GIL, turned by one trio task.

    while True:
        await trio.lowlevel.wait_readable(engine.fileno())
        while engine.turn():
            await trio.lowlevel.checkpoint()

What a turn is stands in turn.pyx; trio's other tasks wait for one 4 ms at most. An engine is the one user of its
Upstreams: the pools in them are lists through the engine's own slab.
"""

from typing import NamedTuple

from libc.errno cimport errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport malloc, realloc
from posix.time cimport CLOCK_MONOTONIC

import os
import random

from fastroute.ext.accesslog cimport AccessLog
from fastroute.ext.buffer cimport buffer_size
from fastroute.ext.connection cimport (
    SIDE_DOWNSTREAM, SIDE_HEEDED, SIDE_LISTENER, SIDE_TIMER, SIDE_UPSTREAM, STATE_HELLO, STATE_IDLE, STATE_POOLED,
    Connection,
    handle_of, slab_at, slab_find, slab_take,
)
from fastroute.ext.copies cimport COPIES_SIZE
from fastroute.ext.counters cimport CounterMap
from fastroute.ext.downstream cimport downstream_close
from fastroute.ext.epoll cimport EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLLET, EPOLLIN, epoll_create1, epoll_ctl, epoll_event
from fastroute.ext.forwarded cimport trusted_proxies_new
from fastroute.ext.head cimport head_room
from fastroute.ext.listener cimport listener_leave, listener_open
from fastroute.ext.mirroring cimport mirror_close
from fastroute.ext.reactor cimport SCRATCH, SCRATCH_BEFORE, Reactor, read_clock, read_wall_clock, set_deadline
from fastroute.ext.tables cimport Tables, Upstreams
from fastroute.ext.tls cimport RECORD, pipe_open
from fastroute.ext.turn cimport hurry, ring, turn
from fastroute.ext.upstream cimport upstream_close

cdef extern from "<sys/timerfd.h>" nogil:
    int timerfd_create(int clock, int flags)
    int TFD_NONBLOCK, TFD_CLOEXEC

cdef enum:
    EXTRA = 131072          # bytes of arena that filters and forwarding may need beyond a parsed head
    UNKNOWN = 0xFFFFFFFF    # Reactor.sockets: the tables have no such listener


class EngineStatistics(NamedTuple):
    """How an engine stands. Connections by side and state; times in microseconds."""

    downstream_active: int
    downstream_idle: int
    upstream_active: int
    upstream_idle: int
    exchanges: int
    listeners: int
    turns: int
    worst_turn: int
    drained: bool
    mirrors_behind: int     # bytes that wait for mirrors
    waits: int              # how often a turn waited for more to come


cdef class Engine:

    def __init__(self, *, limits, Upstreams upstreams not None, CounterMap counters not None, AccessLog log,
                 trusted_proxies, bint proxy_protocol=False, bint merge_slashes=False, bint keep_underscores=False,
                 seed=None):
        cdef Reactor r = Reactor()
        self.r = r
        self.indexes = {}
        r.upstreams = upstreams
        r.counter_map = counters
        r.counters = &counters.counters
        r.log = log
        r.logs = log is not None
        r.trusted = trusted_proxies_new(trusted_proxies)
        r.proxy_protocol = proxy_protocol
        r.random = random.getrandbits(64) if seed is None else seed
        r.head_limits.merge_slashes = merge_slashes
        r.head_limits.keep_underscores = keep_underscores
        set_limits(r, limits)
        open_descriptors(r)

    def fileno(self):
        """The epoll descriptor: readable while `turn` has something to do."""
        return self.r.epoll

    def listen(self, int fd, str address not None, int port):
        """Accepts from the listening socket `fd`, which is the engine's from now on, even if OSError is raised."""
        index = self.indexes.setdefault((address, port), len(self.indexes))
        grow_sockets(self.r, len(self.indexes))
        self.find_sockets()
        os.set_blocking(fd, False)
        if listener_open(self.r, fd, index) < 0:
            code = errno
            os.close(fd)
            raise OSError(code, os.strerror(code))

    def unlisten(self, str address not None, int port, int fd=-1):
        """Accepts what is queued at the address's sockets, or at `fd` alone, then closes them. Connections stay."""
        self.leave(self.indexes[address, port], fd)
        self.wake()

    cdef int leave(self, int64_t index, int fd) except -1:
        """Lets the listeners of one socket index go, or the one that has `fd`, or every one (`index` < 0)."""
        cdef uint32_t i
        cdef Connection *listener
        for i in range(self.r.listeners_count):
            listener = slab_find(&self.r.slab, self.r.listeners[i])
            if index < 0 or (listener.listener == index and (fd < 0 or listener.fd == fd)):
                listener_leave(self.r, listener)
        return 0

    def install(self, Tables tables not None):
        """Requests that come from now on are routed by `tables`; exchanges in flight end as they began."""
        self.r.tables = tables
        self.find_sockets()

    cdef int find_sockets(self) except -1:
        """Asks the tables how they call our sockets."""
        for (address, port), index in self.indexes.items():
            found = -1 if self.r.tables is None else self.r.tables.socket_index(address, port)
            self.r.sockets[<uint32_t> index] = UNKNOWN if found < 0 else <uint32_t> found
        return 0

    def heed(self, int fd):
        """Turns shortly after `fd` became readable wait for no traffic: trio has something to do then. `fd` stays the
        caller's, and may be closed. Raises OSError."""
        cdef Connection *heeded = slab_take(&self.r.slab)
        if heeded is NULL:
            raise MemoryError
        heeded.side = SIDE_HEEDED
        add_readable(self.r, heeded, fd)

    def hurry(self):
        """The turns of the next moment wait for no traffic: trio has something to do. What `heed` does when nobody has
        read the descriptor yet; whoever reads it first says so with this."""
        hurry(self.r)

    def wake(self):
        """Makes `fileno` readable: after Upstreams.update, so that what led to endpoints that left is closed."""
        cdef Reactor r = self.r
        r.armed = 0
        ring(r, 1)

    def hold_clock(self, double look=0):
        """For tests. The engine's clock stops: it moves by `look` seconds each time the engine looks at it, and by
        what `advance` says. Deadlines and budgets depend on nothing else from now on."""
        cdef Reactor r = self.r
        read_clock(r)
        r.held = r.now
        r.look = <uint64_t> (look * 1e6)
        self.wake()

    def advance(self, double seconds):
        """Moves the clock that `hold_clock` stopped, and makes `fileno` readable for what is due then."""
        if self.r.held == 0:
            raise ValueError("the clock is not held")
        self.r.held += <uint64_t> (seconds * 1e6)
        self.wake()

    def announce_drain(self):
        """Every answer says `Connection: close` from now on; connections are still accepted."""
        self.r.announcing = True

    def drain(self):
        """Stops accepting once the queues are empty, closes connections idle for a second, finishes the rest."""
        cdef uint32_t i
        cdef Connection *c
        cdef Reactor r = self.r
        r.announcing = r.draining = True
        self.leave(-1, -1)
        read_clock(r)
        for i in range(1, r.slab.chunks_count * 256):
            c = slab_at(&r.slab, i)
            if c.side == SIDE_UPSTREAM and c.state == STATE_POOLED:
                upstream_close(r, c)
            elif c.side == SIDE_DOWNSTREAM and is_idle(c):
                set_deadline(r, c, drain_deadline(r, c))
        self.wake()

    def statistics(self):
        """An EngineStatistics."""
        cdef Reactor r = self.r
        return EngineStatistics(
            r.exchanges, r.downstreams - r.exchanges, r.upstream_connections - r.pooled, r.pooled, r.exchanges,
            r.listeners_count, self.turns.made, self.turns.worst,
            r.draining and r.listeners_count == 0 and r.downstreams == 0, r.behind, self.turns.waits,
        )

    def close(self):
        """Closes every socket. What was in flight breaks off; what the log holds is written."""
        cdef uint32_t i
        cdef Connection *c
        cdef Reactor r = self.r
        if self.closed:
            return
        self.closed = True
        read_clock(r)
        for i in range(1, r.slab.chunks_count * 256):
            c = slab_at(&r.slab, i)
            if c.side == SIDE_DOWNSTREAM:
                downstream_close(r, c)
            elif c.side == SIDE_LISTENER:
                os.close(c.fd)
                c.fd = -1
                c.side = 0
        for i in range(1, r.slab.chunks_count * 256):
            c = slab_at(&r.slab, i)
            if c.side == SIDE_UPSTREAM and c.mirror is not NULL:
                mirror_close(r, c)
            elif c.side == SIDE_UPSTREAM:
                upstream_close(r, c)
        r.listeners_count = 0
        if r.logs:
            r.log.flush()

    def turn(self):
        """Handles what is ready, for about BUDGET at most. True: work is left that no descriptor announces."""
        cdef bint more
        with nogil:
            more = turn(self.r, &self.turns)
        return more


cdef bint is_idle(const Connection *c) noexcept nogil:
    """Between requests, or silent since it came."""
    return c.state == STATE_IDLE or (c.state == STATE_HELLO and buffer_size(&c.input) == 0)


cdef uint64_t drain_deadline(Reactor r, const Connection *c) noexcept nogil:
    """A second after the connection became idle, or now."""
    cdef uint64_t since = c.deadline - (r.times.idle if c.state == STATE_IDLE else r.times.head)
    return since + 1000 if since + 1000 > r.milliseconds else r.milliseconds


cdef int set_limits(Reactor r, limits) except -1:
    """Takes over settings.Limits, and the scratch memory that they ask for. Raises MemoryError."""
    r.head_limits.head = limits.max_head
    r.head_limits.target = limits.max_target
    r.head_limits.fields = limits.max_fields
    r.times.head = milliseconds_of(limits.head_timeout)
    r.times.body = milliseconds_of(limits.body_idle_timeout)
    r.times.idle = milliseconds_of(limits.idle_timeout)
    r.times.connect = milliseconds_of(limits.connect_timeout)
    r.times.upstream_idle = milliseconds_of(limits.upstream_idle_timeout)
    r.times.tunnel_idle = milliseconds_of(limits.tunnel_idle_timeout)
    r.max_body = <uint64_t> -1 if limits.max_body is None else limits.max_body
    r.max_connections = limits.max_connections
    r.max_handshakes = limits.max_handshakes
    r.outgoing_size = 2 * r.head_limits.head + EXTRA
    r.arena.size = head_room(&r.head_limits) + r.outgoing_size
    r.arena.base = <char *> malloc(r.arena.size)
    r.outgoing = <char *> malloc(r.outgoing_size)
    r.scratch = <char *> malloc(SCRATCH_BEFORE + SCRATCH)
    if r.scratch is not NULL:
        r.scratch += SCRATCH_BEFORE
    r.copies.arena.size = COPIES_SIZE
    r.copies.arena.base = <char *> malloc(COPIES_SIZE)
    r.copies.random = &r.random
    r.sealed = <char *> malloc(SCRATCH)
    r.record = <char *> malloc(RECORD)
    pipe_open(&r.pipe)
    if (r.arena.base is NULL or r.outgoing is NULL or r.scratch is NULL or r.copies.arena.base is NULL
            or r.sealed is NULL or r.record is NULL):
        raise MemoryError
    return 0


def milliseconds_of(seconds):
    """At least one: a limit of 0 would be none."""
    return max(1, round(seconds * 1000))


cdef int open_descriptors(Reactor r) except -1:
    """The epoll descriptor, and in it the timer. Raises OSError."""
    cdef Connection *timer
    read_clock(r)
    read_wall_clock(r)
    r.wheel.tick = r.milliseconds // 4
    r.epoll = epoll_create1(EPOLL_CLOEXEC)
    r.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
    timer = slab_take(&r.slab)
    if r.epoll < 0 or r.timer < 0 or timer is NULL:
        raise OSError(errno, os.strerror(errno))
    timer.side = SIDE_TIMER
    return add_readable(r, timer, r.timer)


cdef int add_readable(Reactor r, const Connection *c, int fd) except -1:
    """Has epoll say once, each time, that `fd` became readable, in the name of `c`. Raises OSError."""
    cdef epoll_event event
    event.events = EPOLLIN | EPOLLET
    event.data.u64 = handle_of(c)
    if epoll_ctl(r.epoll, EPOLL_CTL_ADD, fd, &event) < 0:
        raise OSError(errno, os.strerror(errno))
    return 0


cdef int grow_sockets(Reactor r, uint32_t size) except -1:
    cdef uint32_t *sockets = <uint32_t *> realloc(r.sockets, size * sizeof(uint32_t))
    if sockets is NULL:
        raise MemoryError
    r.sockets = sockets
    r.sockets_count = size
    return 0
