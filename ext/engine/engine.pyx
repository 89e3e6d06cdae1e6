"""The engine: an epoll reactor that runs without the GIL, in one trio task.

    while True:
        await trio.lowlevel.wait_readable(engine.fileno())
        while engine.turn():
            await trio.lowlevel.checkpoint()

turn.pyx describes a turn; it delays other trio tasks by at most 4 ms. An Upstreams must be used by one engine only: its
pools are lists through the slab of that engine.
"""

from typing import NamedTuple

from libc.errno cimport errno
from libc.limits cimport INT_MAX
from libc.stdint cimport UINT32_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, malloc, realloc
from posix.time cimport CLOCK_MONOTONIC

import os
import random

from fastroute.ext.datagrams.place cimport place_leave, place_open, places_follow
from fastroute.ext.datagrams.replies cimport reader_work
from fastroute.ext.engine.drain cimport drain_begin
from fastroute.ext.engine.listener cimport listener_leave, listener_open
from fastroute.ext.engine.side cimport SIDE_ROWS
from fastroute.ext.engine.turn cimport ring, take_turns, turn
from fastroute.ext.exchange.localport cimport note_scarce_ports
from fastroute.ext.exchange.pace cimport PACE_WINDOW
from fastroute.ext.exchange.relief cimport relief_open
from fastroute.ext.memory.buffer cimport buffers_total
from fastroute.ext.memory.entropy cimport entropy_open
from fastroute.ext.memory.list cimport List
from fastroute.ext.memory.owner cimport OWNERS
from fastroute.ext.message.forwarded cimport Peer, trusted_proxies_new
from fastroute.ext.message.limits cimport head_room
from fastroute.ext.reactor.accesslog cimport AccessLog
from fastroute.ext.reactor.connection cimport (
    CHUNK, SIDE_HEEDED, SIDE_TIMER, SIDES, Connection, slab_at, slab_find,
)
from fastroute.ext.reactor.counters cimport CounterMap
from fastroute.ext.reactor.epoll cimport EPOLL_CLOEXEC, epoll_create1
from fastroute.ext.reactor.failures cimport failures_take
from fastroute.ext.reactor.reactor cimport (
    GREETING_BYTES, GREETING_REQUEST, GREETING_TLS, INTEREST_READING, SCRATCH, Reactor, hurry, open_connection, queue, read_clock, read_wall_clock,
)
from fastroute.ext.reactor.shares cimport shares_open
from fastroute.ext.reactor.waiting cimport waiting_open
from fastroute.ext.routing.copies cimport COPIES_SIZE
from fastroute.ext.routing.facts cimport facts_room
from fastroute.ext.routing.loop cimport mark_set
from fastroute.ext.routing.router cimport is_secure, passes_bytes
from fastroute.ext.routing.sampling cimport rate_of
from fastroute.ext.routing.tables cimport Tables, Upstreams
from fastroute.ext.tls.tls cimport RECORD, pipe_open

cdef extern from "<sys/resource.h>" nogil:
    struct rlimit:
        uint64_t rlim_cur
    int RLIMIT_NOFILE
    int getrlimit(int resource, rlimit *limit)

cdef extern from "<sys/timerfd.h>" nogil:
    int timerfd_create(int clock, int flags)
    int TFD_NONBLOCK, TFD_CLOEXEC

cdef enum:
    EXTRA = 131072          # additional bytes of the arena for filters and forwarding
    OTHER_FILES = 256       # descriptors of a worker that are neither for traffic nor of listening sockets
    LOOKS = 16              # times per --body-idle-timeout that the engine checks whether a client reads anything
    UNKNOWN = 0xFFFFFFFF    # Reactor.sockets: the tables have no such listener


class EngineStatistics(NamedTuple):
    """The state of an engine. Connections by side and state; times in microseconds."""

    downstream_active: int
    downstream_idle: int
    upstream_active: int
    upstream_idle: int
    exchanges: int
    listeners: int
    turns: int
    worst_turn: int
    drained: bool
    mirrors_behind: int     # bytes that are not sent to mirrors yet
    waits: int              # how often turns in a row waited for more events
    buffered: int           # bytes of memory of all buffers of this process
    searched: int           # comparisons to find mirrors and handshakes that end for others
    flows: int              # of datagrams, with those that are refused


cdef class Engine:

    def __init__(self, *, limits, Upstreams upstreams not None, CounterMap counters not None, AccessLog log,
                 trusted_proxies, bint proxy_protocol=False, bint merge_slashes=False, bint keep_underscores=False,
                 str installation="", tuple local_ports=(32768, 60999), seed=None, AccessLog spans=None,
                 bint traced=True, double trace_sampling=0):
        cdef Reactor r = Reactor()
        self.r = r
        self.indexes = {}
        r.upstreams = upstreams
        r.counter_map = counters
        r.counters = &counters.counters
        r.log = log
        r.logs = log is not None
        r.spans = spans
        r.traces = spans is not None
        r.traced = traced
        r.trace_rate = rate_of(trace_sampling)
        r.trusted = trusted_proxies_new(trusted_proxies)
        r.proxy_protocol = proxy_protocol
        mark_set(&r.mark, installation)
        r.ports.first, r.ports.last = local_ports
        r.random = random.getrandbits(64) if seed is None else seed
        r.clients.seed = random.getrandbits(64)
        r.entropy = entropy_open()
        r.head_limits.merge_slashes = merge_slashes
        r.head_limits.keep_underscores = keep_underscores
        set_limits(r, limits)
        open_descriptors(r)

    def fileno(self):
        """The epoll descriptor: readable if `turn` has something to do."""
        return self.r.epoll

    def listen(self, int fd, place not None):
        """Serves the socket `fd` of this place, a tuple of transport, address and port: accepts connections, or reads
        datagrams. The engine owns the socket from now on, even if OSError is raised."""
        cdef bint everywhere = place[1] in ("0.0.0.0", "::")
        index = self.indexes.setdefault(place, len(self.indexes))
        grow_sockets(self.r, len(self.indexes))
        self.find_socket(place, index)
        os.set_blocking(fd, False)
        if (place_open(self.r, fd, index, everywhere) if place[0] == "udp" else listener_open(self.r, fd, index)) < 0:
            code = errno
            os.close(fd)
            raise OSError(code, os.strerror(code))

    def unlisten(self, place not None, int fd=-1):
        """Accepts the queued connections of the place, or of `fd` only, and closes its sockets. Connections stay; flows
        of datagrams end with the last socket of their place."""
        if place[0] == "udp":
            place_leave(self.r, self.indexes[place], fd)
        else:
            self.leave(self.indexes[place], fd)
        self.wake()

    cdef int leave(self, int64_t index, int fd) except -1:
        """Removes the listeners of one socket index, or only the one with `fd`, or all of them (`index` < 0)."""
        cdef uint32_t i = self.r.listeners_count
        cdef Connection *listener
        while i > 0:        # from the end, because a listener that closes at once leaves the list
            i -= 1
            listener = slab_find(&self.r.slab, self.r.listeners[i])
            if index < 0 or (listener.listener == index and (fd < 0 or listener.fd == fd)):
                listener_leave(self.r, listener)
        return 0

    def install(self, Tables tables not None):
        """Routes new requests by `tables`; exchanges in flight keep the old tables. Flows of datagrams follow the new
        ones."""
        self.r.tables = tables
        self.find_sockets()
        if places_follow(self.r):
            self.wake()

    cdef int find_sockets(self) except -1:
        """Looks up the index that the tables assign to each socket."""
        for place, index in self.indexes.items():
            self.find_socket(place, index)
        return 0

    cdef int find_socket(self, place, uint32_t index) except -1:
        found = -1 if self.r.tables is None else self.r.tables.socket_index(place)
        self.r.sockets[index] = UNKNOWN if found < 0 else <uint32_t> found
        if found >= 0:          # otherwise its queued clients are still greeted as before
            self.r.greetings[index] = greeting_of(self.r, <uint32_t> found)
        return 0

    def heed(self, int fd):
        """Shortly after `fd` becomes readable, turns do not wait for traffic, because trio has something to do. The
        caller keeps `fd` and may close it. Raises OSError."""
        if open_connection(self.r, fd, SIDE_HEEDED, INTEREST_READING) is NULL:
            raise OSError(errno, os.strerror(errno))

    def hurry(self):
        """For a moment, turns do not wait for traffic, because trio has something to do. Has the effect that `heed` has
        when its descriptor becomes readable; call it after reading the descriptor before the engine has seen that."""
        hurry(self.r)

    def wake(self):
        """Makes `fileno` readable: call it after Upstreams.update, so that idle connections and flows to removed
        endpoints end."""
        cdef Reactor r = self.r
        if r.upstreams.left is not NULL:
            reader_work(r)
        cdef uint32_t index = r.upstream_parents.first
        while index != 0:
            queue(r, slab_at(&r.slab, index))
            index = slab_at(&r.slab, index).parent.link.after
        r.armed = 0
        ring(r, 1)

    def hold_clock(self, double look=0):
        """For tests. Stops the clock of the engine: it advances by `look` seconds each time the engine reads it, and by
        `advance`. From now on deadlines and budgets depend on nothing else."""
        cdef Reactor r = self.r
        read_clock(r)
        r.held = r.now
        r.look = <uint64_t> (look * 1e6)
        self.wake()

    def advance(self, double seconds):
        """Advances the clock that `hold_clock` stopped, and makes `fileno` readable so that expired deadlines are
        handled."""
        if self.r.held == 0:
            raise ValueError("the clock is not held")
        self.r.held += <uint64_t> (seconds * 1e6)
        self.wake()

    def note_scarce_ports(self):
        """For tests: as if the search for a local port had taken long."""
        note_scarce_ports(self.r)

    def announce_drain(self):
        """From now on every response has `Connection: close`; connections are still accepted."""
        self.r.announcing = True

    def drain(self):
        """Accepts what is queued, then stops; closes connections that are idle for a second; completes the others. The
        next turns do this."""
        drain_begin(self.r)
        self.leave(-1, -1)
        self.wake()

    def statistics(self):
        """Returns an EngineStatistics."""
        cdef Reactor r = self.r
        return EngineStatistics(
            r.exchanges, r.downstreams + r.carried - r.exchanges, r.upstream_connections - r.pooled, r.pooled, r.exchanges,
            r.listeners_count + r.flows.sockets, self.turns.made, self.turns.worst,
            r.draining and r.listeners_count == 0 and r.downstreams == 0, r.mirrors.behind, self.turns.waits,
            buffers_total(), r.mirrors.queued.steps + r.mirrors.owners.sizes.steps + r.waiting.flows.sizes.steps,
            r.flows.count,
        )

    def refused(self):
        """How many connections were closed because the addresses of their clients had too many, and the last address."""
        cdef Peer *last = &self.r.last_refused
        return self.r.refused, last.text[:last.text_size].decode()

    def tls_faults(self):
        """The number of failed TLS handshakes with backends, the endpoint of the last one, and why it failed."""
        return self.r.tls_faults, (<const char *> self.r.tls_fault_label).decode(), (
            "" if self.r.tls_fault is NULL else self.r.tls_fault.decode())

    def failures(self, uint32_t most):
        """Returns the failures of at most `most` endpoints since the last call: for each, the id of its backend, its label
        and the count of each reason. Further failures are for the next call. The first item has no id and no label if
        it counts endpoints for which there was no room (reactor/failures)."""
        return failures_take(&self.r.failures, most)

    def shortages(self):
        """How often no file descriptor or local port was left, and the errno of the last time: for clients ("accept"), and
        for connections to backends ("connect")."""
        cdef Reactor r = self.r
        return {
            "accept": (r.accept_shortage.count, r.accept_shortage.error),
            "connect": (r.connect_shortage.count, r.connect_shortage.error),
            "share": (r.share_shortage.count, r.share_shortage.error),
        }

    def close(self):
        """Closes every socket. Exchanges in flight are aborted; the buffered log lines are written."""
        cdef uint32_t i
        cdef uint8_t side
        cdef Connection *c
        cdef Reactor r = self.r
        if self.closed:
            return
        self.closed = True
        read_clock(r)
        for side in range(SIDES):           # clients before backends: the end of an exchange ends both
            for i in range(1, r.slab.chunks_count * CHUNK):
                c = slab_at(&r.slab, i)
                if c.side == side:
                    SIDE_ROWS[side].close(r, c)
        if r.logs:
            r.log.flush()
        if r.traces:
            r.spans.flush()

    def turn(self):
        """Handles ready events for about BUDGET at most. True: there is more to do, although the descriptor is not
        readable."""
        cdef bint more
        with nogil:
            more = turn(self.r, &self.turns)
        return more

    def take_turns(self):
        """Takes turns while traffic goes on, for about 50 ms at most; fewer if trio has something to do on a descriptor
        passed to `heed`. Returns like `turn`."""
        cdef bint more
        with nogil:
            more = take_turns(self.r, &self.turns)
        return more


cdef int set_limits(Reactor r, limits) except -1:
    """Applies a settings.Limits, and allocates the scratch memory it requires. Raises MemoryError."""
    r.head_limits.head = limits.max_head
    r.head_limits.target = limits.max_target
    r.head_limits.fields = limits.max_fields
    r.times.head = milliseconds_of(limits.head_timeout)
    r.times.body = milliseconds_of(limits.body_idle_timeout)
    r.times.look = max(<uint64_t> 1, r.times.body // LOOKS)
    r.times.idle = milliseconds_of(limits.idle_timeout)
    r.times.connect = milliseconds_of(limits.connect_timeout)
    r.times.upstream_idle = milliseconds_of(limits.upstream_idle_timeout)
    r.times.tunnel_idle = milliseconds_of(limits.tunnel_idle_timeout)
    r.times.age = 0 if limits.max_connection_age is None else milliseconds_of(limits.max_connection_age)
    r.window_bytes = <uint64_t> limits.min_body_rate * PACE_WINDOW // 1000
    r.max_requests = UINT32_MAX if limits.max_requests_per_connection is None else limits.max_requests_per_connection
    r.max_body = <uint64_t> -1 if limits.max_body is None else limits.max_body
    r.ahead = min(limits.max_head, <uint32_t> SCRATCH)
    r.max_buffered = limits.max_buffered
    r.max_connections = limits.max_connections
    r.max_per_client = limits.max_connections_per_client
    r.max_handshakes = limits.max_handshakes
    r.max_streams = limits.max_streams
    r.flows.most = limits.max_flows
    r.flows.idle = milliseconds_of(limits.udp_idle_timeout)
    share_descriptors(r)
    r.outgoing_size = 2 * r.head_limits.head + head_room(&r.head_limits) + EXTRA
    r.arena.size = head_room(&r.head_limits) + max(r.outgoing_size, facts_room(&r.head_limits))
    r.arena.base = <char *> malloc(r.arena.size)
    r.outgoing = <char *> malloc(r.outgoing_size)
    r.scratch = <char *> malloc(SCRATCH)
    r.copies.arena.size = COPIES_SIZE
    r.copies.arena.base = <char *> malloc(COPIES_SIZE)
    r.copies.random = &r.random
    r.sealed = <char *> malloc(SCRATCH)
    r.record = <char *> malloc(RECORD)
    pipe_open(&r.pipe)
    waiting_open(&r.waiting)
    shares_open(&r.mirrors)
    relief_open(r)
    if (r.arena.base is NULL or r.outgoing is NULL or r.scratch is NULL or r.copies.arena.base is NULL
            or r.sealed is NULL or r.record is NULL):
        raise MemoryError
    return 0


cdef int share_descriptors(Reactor r) except -1:
    """Connections to backends, flows and listening sockets together get what clients leave, but at least a quarter of all
    descriptors; flows get at most half of this, less half of the listening sockets. Raises OSError, MemoryError."""
    cdef rlimit files
    cdef int64_t left
    if getrlimit(RLIMIT_NOFILE, &files) < 0:
        raise OSError(errno, os.strerror(errno))
    files.rlim_cur = min(files.rlim_cur, <uint64_t> INT_MAX)
    left = <int64_t> files.rlim_cur - r.max_connections - OTHER_FILES
    r.max_upstreams = <uint32_t> max(left, <int64_t> files.rlim_cur // 4)
    r.upstreams_of = <uint32_t *> calloc(OWNERS, sizeof(uint32_t))
    r.resting_of = <List *> calloc(OWNERS, sizeof(List))
    if r.upstreams_of is NULL or r.resting_of is NULL:
        raise MemoryError
    return 0


def milliseconds_of(seconds):
    """At least 1, because 0 means no limit."""
    return max(1, round(seconds * 1000))


cdef int open_descriptors(Reactor r) except -1:
    """Opens the epoll descriptor, and adds a timer to it. Raises OSError."""
    read_clock(r)
    read_wall_clock(r)
    r.wheel.tick = r.milliseconds // 4
    r.epoll = epoll_create1(EPOLL_CLOEXEC)
    r.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
    if r.epoll < 0 or r.timer < 0 or open_connection(r, r.timer, SIDE_TIMER, INTEREST_READING) is NULL:
        raise OSError(errno, os.strerror(errno))
    return 0


cdef uint8_t greeting_of(Reactor r, uint32_t socket):
    if is_secure(r.tables.routes, socket):
        return GREETING_TLS
    return GREETING_BYTES if passes_bytes(r.tables.routes, socket) else GREETING_REQUEST


cdef int grow_sockets(Reactor r, uint32_t size) except -1:
    cdef uint32_t *sockets = <uint32_t *> realloc(r.sockets, size * sizeof(uint32_t))
    cdef uint8_t *greetings = <uint8_t *> realloc(r.greetings, size)
    cdef uint32_t i
    if sockets is not NULL:
        r.sockets = sockets
    if greetings is not NULL:
        r.greetings = greetings
    if sockets is NULL or greetings is NULL:
        raise MemoryError
    for i in range(r.sockets_count, size):
        greetings[i] = GREETING_REQUEST
    r.sockets_count = size
    return 0
