"""The engine: an epoll reactor without the GIL, turned by one trio task.

    while True:
        await trio.lowlevel.wait_readable(engine.fileno())
        while engine.turn():
            await trio.lowlevel.checkpoint()

A turn fetches events, handles them, then gives each connection that had more to do another visit, and looks at the
wheel; it ends when nothing is left or its time is up. As long as traffic is dense it also waits inside, up to
LINGER in all: coming back through Python for every handful of events would cost more than the events. So trio's other
tasks wait for a turn at most BUDGET and a visit, well below 5 ms.
"""

from typing import NamedTuple

from libc.errno cimport errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport malloc, realloc
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, itimerspec, timespec

import os
import random

from fastroute.ext.accesslog cimport AccessLog
from fastroute.ext.connection cimport (
    SIDE_DOWNSTREAM, SIDE_LISTENER, SIDE_TIMER, SIDE_UPSTREAM, STATE_IDLE, STATE_LEAVING, STATE_POOLED,
    Connection, handle_of, slab_at, slab_exhume, slab_find, slab_take,
)
from fastroute.ext.counters cimport FIXED_TURNS, FIXED_WORST_TURN, CounterMap, count, store_word, load_word
from fastroute.ext.downstream cimport downstream_advance, downstream_close, downstream_expired
from fastroute.ext.forwarded cimport trusted_proxies_new
from fastroute.ext.head cimport head_room
from fastroute.ext.listener cimport listener_accept, listener_leave, listener_open, listeners_resume
from fastroute.ext.reactor cimport SCRATCH, Reactor, read_clock, set_deadline, unqueue
from fastroute.ext.tables cimport Endpoint, Tables, Upstreams, endpoint_unref
from fastroute.ext.timer cimport timer_expired, timer_next
from fastroute.ext.upstream cimport upstream_close, upstream_forget, upstream_is_quiet

cdef extern from "<sys/epoll.h>" nogil:
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int most, int timeout)
    int EPOLL_CTL_ADD, EPOLL_CLOEXEC
    uint32_t EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLET

cdef extern from "<sys/timerfd.h>" nogil:
    int timerfd_create(int clock, int flags)
    int timerfd_settime(int fd, int flags, const itimerspec *value, itimerspec *old)
    int TFD_NONBLOCK, TFD_CLOEXEC, TFD_TIMER_ABSTIME

cdef enum:
    BUDGET = 2000           # microseconds after which a turn handles nothing more
    LINGER = 1000           # microseconds after which a turn waits for nothing more
    WAIT = 1                # milliseconds of such a wait
    LOG_AGE = 500           # milliseconds that a log line waits at most
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


cdef class Engine:

    def __init__(self, *, limits, Upstreams upstreams not None, CounterMap counters not None, AccessLog log,
                 trusted_proxies, bint proxy_protocol=False, bint merge_slashes=False, seed=None):
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
        set_limits(r, limits, merge_slashes)
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

    def wake(self):
        """Makes `fileno` readable: after Upstreams.update, so that what led to endpoints that left is closed."""
        cdef Reactor r = self.r
        r.armed = 0
        ring(r, 1)

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
            elif c.side == SIDE_DOWNSTREAM and c.state == STATE_IDLE:
                set_deadline(r, c, drain_deadline(r, c))
        self.wake()

    def statistics(self):
        """An EngineStatistics."""
        cdef Reactor r = self.r
        return EngineStatistics(
            r.exchanges, r.downstreams - r.exchanges, r.upstream_connections - r.pooled, r.pooled, r.exchanges,
            r.listeners_count, self.turns, self.worst,
            r.draining and r.listeners_count == 0 and r.downstreams == 0,
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
            if c.side == SIDE_UPSTREAM:
                upstream_close(r, c)
        r.listeners_count = 0
        if r.logs:
            r.log.flush()

    def turn(self):
        """Handles what is ready, for about BUDGET at most. True: work is left that no descriptor announces."""
        cdef bint more
        with nogil:
            more = run(self, self.r)
        return more


cdef bint run(Engine engine, Reactor r) noexcept nogil:
    """One turn. True: work is left that no descriptor announces."""
    cdef uint64_t start
    cdef bint more
    read_clock(r)
    start = r.now
    slab_exhume(&r.slab)
    if r.upstreams.gone is not NULL:
        forget_endpoint(r)
    while True:
        more = visit(engine, r, start)
        if more or r.now - start > LINGER or not fetch(engine, r, WAIT):
            break
    flush_log(r)
    arm(r)
    read_clock(r)
    more = more or r.upstreams.gone is not NULL
    engine.turns += 1
    count(r.counters, FIXED_TURNS, 1)
    note_worst(r, &engine.worst, r.now - start)
    return more


cdef bint fetch(Engine engine, Reactor r, int timeout) noexcept nogil:
    """Fetches events, waiting at most `timeout` milliseconds. True when there are some."""
    engine.event = 0
    engine.events_count = epoll_wait(r.epoll, engine.events, EVENTS, timeout)
    read_clock(r)
    return engine.events_count > 0


cdef bint visit(Engine engine, Reactor r, uint64_t start) noexcept nogil:
    """Handles events, deadlines and the ready list until all are empty. True: the time was up before."""
    while True:
        if engine.event >= engine.events_count:
            fetch(engine, r, 0)
        while engine.event < engine.events_count:
            if r.now - start > BUDGET:
                return True
            handle_event(r, &engine.events[engine.event])
            engine.event += 1
        if not expire(r, start):
            return True
        if r.full and r.downstreams < r.max_connections and r.milliseconds >= r.paused_until:
            listeners_resume(r)
        if r.ready_first == 0 and engine.events_count < EVENTS:
            return False
        if not visit_ready(r, start):
            return True


cdef bint visit_ready(Reactor r, uint64_t start) noexcept nogil:
    """Visits each connection that is in the ready list now, once. False: the time was up before."""
    cdef uint32_t last = r.ready_last
    cdef uint32_t index = 0
    cdef Connection *c
    while r.ready_first != 0 and index != last:
        if r.now - start > BUDGET:
            return False
        c = unqueue(r)
        index = c.index
        read_clock(r)
        if c.side == SIDE_LISTENER:
            listener_accept(r, c)
        else:
            downstream_advance(r, c)
    return True


cdef void handle_event(Reactor r, const epoll_event *event) noexcept nogil:
    cdef Connection *c = slab_find(&r.slab, event.data.u64)
    cdef uint32_t events = event.events
    if c is NULL:
        return
    read_clock(r)
    if c.side == SIDE_TIMER:
        r.armed = 0
        return
    if c.side == SIDE_LISTENER:
        listener_accept(r, c)
        return
    if events & EPOLLOUT:
        c.writable = True
    if events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR):
        c.readable = True
        if events & EPOLLRDHUP:
            c.ended = True
        if events & (EPOLLHUP | EPOLLERR):
            c.failed = True
    if c.side == SIDE_UPSTREAM:
        if c.state == STATE_POOLED:
            check_pooled(r, c)
            return
        c = slab_find(&r.slab, c.owner)
        if c is NULL:
            return
    downstream_advance(r, c)


cdef void check_pooled(Reactor r, Connection *u) noexcept nogil:
    """An idle connection has nothing to say: if it does, or ends, it goes. (The edge may also be out of date.)"""
    if u.readable:
        if u.ended or u.failed or not upstream_is_quiet(u):
            upstream_close(r, u)
        else:
            u.readable = False


cdef bint expire(Reactor r, uint64_t start) noexcept nogil:
    """Handles the deadlines that have passed. False: the time was up before."""
    cdef Connection *c
    while r.now - start <= BUDGET:
        c = timer_expired(&r.wheel, &r.slab, r.milliseconds)
        if c is NULL:
            return True
        if c.side == SIDE_DOWNSTREAM:
            downstream_expired(r, c, NULL)
        elif c.side == SIDE_LISTENER:
            if c.state == STATE_LEAVING:
                listener_accept(r, c)
        elif c.state == STATE_POOLED:
            upstream_close(r, c)
        elif slab_find(&r.slab, c.owner) is not NULL:
            downstream_expired(r, slab_find(&r.slab, c.owner), c)
        read_clock(r)
    return False


cdef void arm(Reactor r) noexcept nogil:
    """Has the timerfd ring at the next deadline, unless it rings before it anyway."""
    cdef uint64_t next = timer_next(&r.wheel)
    cdef uint64_t log = r.flushed + LOG_AGE if r.logs and r.log.used else 0
    if next == 0 or (log != 0 and log < next):
        next = log
    if next == 0 or (r.armed != 0 and r.armed <= next):
        return
    ring(r, next)


cdef void ring(Reactor r, uint64_t when) noexcept nogil:
    """Sets the timerfd (milliseconds; never 0)."""
    cdef itimerspec value
    r.armed = when
    value.it_interval.tv_sec = value.it_interval.tv_nsec = 0
    value.it_value.tv_sec = when // 1000
    value.it_value.tv_nsec = (when % 1000) * 1000000
    timerfd_settime(r.timer, TFD_TIMER_ABSTIME, &value, NULL)


cdef void flush_log(Reactor r) noexcept nogil:
    if r.logs and r.log.used and r.milliseconds >= r.flushed + LOG_AGE:
        r.flushed = r.milliseconds
        r.log.flush()


cdef void note_worst(Reactor r, uint64_t *worst, uint64_t took) noexcept nogil:
    if took > worst[0]:
        worst[0] = took
    if took > load_word(&r.counters.words[<uint32_t> FIXED_WORST_TURN]):
        store_word(&r.counters.words[<uint32_t> FIXED_WORST_TURN], took)


cdef void forget_endpoint(Reactor r) noexcept nogil:
    """Closes the idle connections of one endpoint that left every backend."""
    cdef Endpoint *endpoint = r.upstreams.take_gone()
    if endpoint.gone:
        upstream_forget(r, endpoint)
    endpoint_unref(endpoint)


cdef uint64_t drain_deadline(Reactor r, const Connection *c) noexcept nogil:
    """A second after the connection became idle, or now."""
    cdef uint64_t since = c.deadline - r.times.idle
    return since + 1000 if since + 1000 > r.milliseconds else r.milliseconds


cdef int set_limits(Reactor r, limits, bint merge_slashes) except -1:
    """Takes over settings.Limits, and the scratch memory that they ask for. Raises MemoryError."""
    r.head_limits.head = limits.max_head
    r.head_limits.target = limits.max_target
    r.head_limits.fields = limits.max_fields
    r.head_limits.merge_slashes = merge_slashes
    r.times.head = milliseconds_of(limits.head_timeout)
    r.times.body = milliseconds_of(limits.body_idle_timeout)
    r.times.idle = milliseconds_of(limits.idle_timeout)
    r.times.connect = milliseconds_of(limits.connect_timeout)
    r.times.upstream_idle = milliseconds_of(limits.upstream_idle_timeout)
    r.max_body = <uint64_t> -1 if limits.max_body is None else limits.max_body
    r.max_connections = limits.max_connections
    r.outgoing_size = 2 * r.head_limits.head + EXTRA
    r.arena.size = head_room(&r.head_limits) + r.outgoing_size
    r.arena.base = <char *> malloc(r.arena.size)
    r.outgoing = <char *> malloc(r.outgoing_size)
    r.scratch = <char *> malloc(SCRATCH)
    if r.arena.base is NULL or r.outgoing is NULL or r.scratch is NULL:
        raise MemoryError
    return 0


def milliseconds_of(seconds):
    """At least one: a limit of 0 would be none."""
    return max(1, round(seconds * 1000))


cdef int open_descriptors(Reactor r) except -1:
    """The epoll descriptor, and in it the timer. Raises OSError."""
    cdef epoll_event event
    cdef Connection *timer
    cdef timespec wall
    read_clock(r)
    clock_gettime(CLOCK_REALTIME, &wall)
    r.wall = <int64_t> wall.tv_sec * 1000000 + wall.tv_nsec // 1000 - <int64_t> r.now
    r.wheel.tick = r.milliseconds // 4
    r.epoll = epoll_create1(EPOLL_CLOEXEC)
    r.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
    timer = slab_take(&r.slab)
    if r.epoll < 0 or r.timer < 0 or timer is NULL:
        raise OSError(errno, os.strerror(errno))
    timer.side = SIDE_TIMER
    event.events = EPOLLIN | EPOLLET
    event.data.u64 = handle_of(timer)
    if epoll_ctl(r.epoll, EPOLL_CTL_ADD, r.timer, &event) < 0:
        raise OSError(errno, os.strerror(errno))
    return 0


cdef int grow_sockets(Reactor r, uint32_t size) except -1:
    cdef uint32_t *sockets = <uint32_t *> realloc(r.sockets, size * sizeof(uint32_t))
    if sockets is NULL:
        raise MemoryError
    r.sockets = sockets
    r.sockets_count = size
    return 0
