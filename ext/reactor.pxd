# What one engine consists of, and the only calls in the project that read or write a socket of traffic.
#
# The Reactor is the state that everything in the engine shares: the epoll descriptor, the clock, the slab and the
# wheel, the list of connections that have work no descriptor will announce, and the scratch memory of one pass.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastroute.ext.accesslog cimport AccessLog
from fastroute.ext.connection cimport Connection, Slab
from fastroute.ext.copies cimport Copies
from fastroute.ext.counters cimport Counters, CounterMap
from fastroute.ext.exchange cimport ExchangeList
from fastroute.ext.forwarded cimport TrustedProxies
from fastroute.ext.head cimport Head, HeadLimits
from fastroute.ext.inet cimport iovec
from fastroute.ext.slice cimport Arena
from fastroute.ext.tables cimport Tables, Upstreams
from fastroute.ext.timer cimport Wheel
from fastroute.ext.tls cimport Pipe


cdef enum:
    SCRATCH = 131072            # bytes read at once
    SCRATCH_BEFORE = 64         # bytes of room before them: what an earlier read held back goes there (body_pass)
    MILLISECOND = 1000          # microseconds
    LINGER_TIME = 2000          # milliseconds that a half-closed client gets to read and close
    LINGER_BYTES = 1048576      # bytes read away from it meanwhile
    DISCARD_BYTES = 65536       # bytes of a request's body read away to keep the connection (interface section 4)

cdef struct Times:              # settings.Limits in milliseconds
    uint64_t head
    uint64_t body
    uint64_t idle
    uint64_t connect
    uint64_t upstream_idle
    uint64_t tunnel_idle

cdef class Reactor:
    cdef int epoll
    cdef int timer              # timerfd
    cdef uint64_t armed         # when it rings, milliseconds; 0: never
    cdef uint64_t now           # microseconds, CLOCK_MONOTONIC, as of the event that is being handled
    cdef uint64_t milliseconds  # the same
    cdef uint64_t held          # 0; in a test that holds the clock: what it shows, microseconds
    cdef uint64_t look          # by how much each look moves the held clock, microseconds
    cdef int64_t wall           # microseconds to add for UTC
    cdef Slab slab
    cdef Wheel wheel
    cdef ExchangeList spare
    cdef uint32_t ready_first
    cdef uint32_t ready_last
    cdef uint64_t random
    # one pass
    cdef char *scratch          # SCRATCH bytes to read into, with SCRATCH_BEFORE before them
    cdef char *outgoing         # a head on its way out
    cdef uint32_t outgoing_size
    cdef Arena arena
    cdef Head head
    cdef Copies copies          # of the request that is being begun
    cdef char *sealed           # SCRATCH bytes to read TLS records into
    cdef char *record           # the next record's plaintext, when it is put together of several parts
    cdef Pipe pipe              # what libssl takes for a socket
    # settings
    cdef Times times
    cdef HeadLimits head_limits
    cdef uint64_t max_body      # bytes
    cdef uint32_t max_connections
    cdef uint32_t max_handshakes
    cdef TrustedProxies *trusted
    cdef bint proxy_protocol
    # what it works with
    cdef Tables tables
    cdef uint32_t *sockets      # what `tables` call each listener of ours; by Connection.listener
    cdef uint32_t sockets_count
    cdef Upstreams upstreams
    cdef CounterMap counter_map
    cdef Counters *counters
    cdef AccessLog log
    cdef bint logs              # there is a log
    cdef uint64_t hurried       # milliseconds: until then turns wait for nothing, trio has something to do
    cdef uint64_t flushed       # milliseconds: when the log was last flushed
    # how it stands
    cdef bint announcing        # every answer says Connection: close
    cdef bint draining          # no request is begun on an idle connection
    cdef bint full              # at max_connections: the listeners are out of epoll
    cdef uint64_t paused_until  # milliseconds: descriptors ran out, nothing is accepted before
    cdef uint64_t *listeners    # their handles
    cdef uint32_t listeners_count
    cdef uint32_t downstreams
    cdef uint32_t handshakes    # in progress: a list through Tls, the oldest first
    cdef uint32_t handshakes_first
    cdef uint32_t handshakes_last
    cdef uint32_t upstream_connections
    cdef uint32_t pooled
    cdef uint32_t exchanges
    cdef uint32_t mirrors       # on their way
    cdef uint64_t behind        # bytes that wait for them
    cdef char date[29]
    cdef int64_t date_second

# The one place where the engine reads the time: the monotonic clock, or the clock that a test holds.
cdef void read_clock(Reactor r) noexcept nogil
# Once a turn: the wall clock may be set at any time.
cdef void read_wall_clock(Reactor r) noexcept nogil

# Reads once, at most `room` bytes, and opens what TLS sealed. Returns their number (> 0), 0 when there is nothing now, -1 when the peer has closed
# its side, -2 when the connection is broken. Clears `readable` when nothing more can be there.
cdef long receive(Reactor r, Connection *c, char *into, uint32_t room) noexcept nogil
# The same without TLS, whatever the connection has.
cdef long receive_sealed(Reactor r, Connection *c, char *into, uint32_t room) noexcept nogil
# Has a connection with TLS read again for what is in hand; once that is used up it is as readable as its socket.
cdef void lend_readable(Connection *c) noexcept nogil
# Sends `parts`, sealed if there is TLS, behind what `c.output` still holds; what the socket does not take now is kept there. Changes `parts`.
# Returns 0, or -1 when the connection is broken (or there is no memory).
cdef int transmit(Reactor r, Connection *c, iovec *parts, int count) noexcept nogil
# Puts the bytes behind what `c.output` holds, sealed if there is TLS, for the next transmit or flush to
# take along. Returns 0, or -1 without memory.
cdef int put(Reactor r, Connection *c, const char *data, uint32_t size) noexcept nogil
# Sends what `c.output` holds. Returns 0 (something may be left), or -1 when the connection is broken.
cdef int flush(Reactor r, Connection *c) noexcept nogil
# Sends what libssl left in the pipe. Returns 0, or -1 when the connection is broken.
cdef int ship(Reactor r, Connection *c) noexcept nogil
# Ends TLS towards a client that nothing more is sent to: says so, and forgets it. What still comes is not opened.
cdef void end_tls(Reactor r, Connection *c) noexcept nogil
# A handshake begins or is over: keeps the list of those in progress.
cdef void handshake_enter(Reactor r, Connection *c) noexcept nogil
cdef void handshake_leave(Reactor r, Connection *c) noexcept nogil
# Has the connection looked at again, in this turn or the next, though no event will come.
cdef void queue(Reactor r, Connection *c) noexcept nogil
cdef Connection *unqueue(Reactor r) noexcept nogil
# Adds the connection to epoll, edge-triggered, both ways. Returns 0 or -1.
cdef int watch(Reactor r, Connection *c) noexcept nogil
cdef void set_deadline(Reactor r, Connection *c, uint64_t milliseconds) noexcept nogil
# Has TLS, if there is any, say that nothing more comes. False: that waits in `c.output`, which had been empty.
cdef bint say_end(Reactor r, Connection *c) noexcept nogil
# The same, and closes our side of the socket. False: not yet; to be called again when `c.output` has gone out.
cdef bint end_writing(Reactor r, Connection *c) noexcept nogil
# Closes the socket and ends the connection: nobody finds it by its handle any more. The one place that closes.
cdef void close_connection(Reactor r, Connection *c) noexcept nogil
