# The state of one engine, and the only functions in the project that read or write traffic sockets.
#
# The Reactor is the state that all parts of the engine share: the epoll descriptor, the clock, the slab and the timer
# wheel, the list of connections that have work to do without an event, and the scratch memory of one pass.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.http1.head cimport Head
from fastroute.ext.memory.entropy cimport Entropy
from fastroute.ext.memory.list cimport List
from fastroute.ext.memory.slice cimport Arena
from fastroute.ext.message.forwarded cimport Peer, TrustedProxies
from fastroute.ext.message.limits cimport HeadLimits
from fastroute.ext.message.message cimport Message
from fastroute.ext.reactor.accesslog cimport AccessLog
from fastroute.ext.reactor.clients cimport Clients
from fastroute.ext.reactor.connection cimport Connection, Slab
from fastroute.ext.reactor.counters cimport Counters, CounterMap
from fastroute.ext.reactor.exchange cimport ExchangeList
from fastroute.ext.reactor.failures cimport Failures
from fastroute.ext.reactor.flow cimport Flows
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.order cimport Order
from fastroute.ext.reactor.shares cimport Shares
from fastroute.ext.reactor.timer cimport Wheel
from fastroute.ext.reactor.waiting cimport Waiting
from fastroute.ext.routing.copies cimport Copies
from fastroute.ext.routing.loop cimport Mark
from fastroute.ext.routing.sampling cimport Rate
from fastroute.ext.routing.tables cimport Tables, Upstreams
from fastroute.ext.tls.tls cimport Pipe


cdef enum:
    SCRATCH = 131072            # bytes read at once
    MILLISECOND = 1000          # microseconds
    LINGER_TIME = 30000         # milliseconds that a half-closed client has to stop sending, to read and to close
    LINGER_IDLE = 2000          # milliseconds without a byte after which it is closed; while draining: in all
    LINGER_BYTES = 1073741824   # bytes that are discarded before it is closed
    DISCARD_BYTES = 65536       # bytes of a request body that are read and discarded to keep the connection
    CLASSES = 64                # of connections by their memory (relief.pyx)
    BUDGET = 2000               # microseconds after which a turn begins no further step
    LONGEST = 2500              # microseconds within which it ends, if none of its steps is indivisible
    PORTION_LEAST = 32768       # bytes of a read late in a turn
    PORTION_RATE = 64           # bytes of a read for each microsecond that is left: relaying one takes less than 1/64 µs

cdef enum Interest:             # events of a descriptor
    INTEREST_NONE = 0
    INTEREST_CLIENTS            # of a listening socket; reported as long as clients wait
    INTEREST_READING            # edges
    INTEREST_CLIENT             # edges; not when it is writable, which a new connection is
    INTEREST_TRAFFIC            # edges, in both directions

cdef enum Greeting:             # how connections begin
    GREETING_REQUEST = 0
    GREETING_TLS
    GREETING_BYTES              # those of the client go to a backend

cdef struct Times:              # settings.Limits in milliseconds
    uint64_t head
    uint64_t body
    uint64_t look               # how often to look whether a client takes anything of an answer
    uint64_t idle
    uint64_t connect
    uint64_t upstream_idle
    uint64_t tunnel_idle
    uint64_t age                # of a client connection; 0: none

cdef struct Shortage:
    uint64_t count              # failed attempts
    int error                   # errno of the last one

cdef struct LocalPorts:         # of connections to backends (exchange/localport.pxd)
    uint16_t first
    uint16_t last
    uint64_t scarce_until       # milliseconds
    uint64_t search_at          # milliseconds: before that, not all ports are examined

cdef struct Sweep:              # the search for connections to end (relief.pyx)
    uint64_t begun              # milliseconds
    uint32_t phase              # Phase
    uint32_t next               # index in the slab
    uint64_t share              # bytes that a namespace keeps
    uint64_t *held              # bytes of the connections of each namespace
    uint64_t[CLASSES] classes   # bytes of the connections of each class
    uint32_t lowest             # class

cdef class Reactor:
    cdef int epoll
    cdef int timer              # timerfd
    cdef uint64_t armed         # when the timer expires, milliseconds; 0: not set
    cdef uint64_t now           # microseconds, CLOCK_MONOTONIC, read for the current event
    cdef uint64_t milliseconds  # the same in milliseconds
    cdef uint64_t begun         # microseconds: when this turn began
    cdef uint64_t held          # microseconds: the time of a clock that a test has stopped (Engine.hold_clock); else 0
    cdef uint64_t look          # microseconds by which each read advances the stopped clock
    cdef int64_t wall           # microseconds to add to `now` for Unix time
    cdef Slab slab
    cdef Wheel wheel
    cdef ExchangeList spare
    cdef Order order            # connections that have work to do without an event: the ready list
    cdef uint64_t random        # for load balancing
    cdef Entropy *entropy       # for request ids
    # used within one pass
    cdef char *scratch          # SCRATCH bytes for reading
    cdef char *outgoing         # a head to be sent
    cdef uint32_t outgoing_size
    cdef Arena arena
    cdef Head head              # of HTTP/1: the one that was parsed last
    cdef Message trailers       # of the body that is being relayed
    cdef Copies copies          # of the current request
    cdef char *sealed           # SCRATCH bytes for reading TLS records
    cdef char *record           # plaintext of the next TLS record, if it is assembled from several parts
    cdef Connection *speaking   # the parent whose protocol handles or makes frames now
    cdef Pipe pipe              # libssl reads and writes it instead of a socket
    # settings
    cdef Times times
    cdef HeadLimits head_limits
    cdef uint64_t max_body      # bytes
    cdef uint64_t window_bytes  # that a side must move in PACE_WINDOW (pace.pxd); 0: none
    cdef uint32_t max_requests  # of a client connection
    cdef uint32_t ahead         # maximum bytes of one read from a client, and so the maximum after the current request
    cdef uint64_t max_buffered  # bytes of memory of all buffers and of libssl for connections
    cdef uint32_t max_connections
    cdef uint32_t max_per_client    # connections of one address
    cdef uint32_t max_handshakes
    cdef uint32_t max_streams   # of a client connection
    cdef TrustedProxies *trusted
    cdef bint proxy_protocol
    cdef Mark mark
    # tables, endpoints, counters, log
    cdef Tables tables
    cdef uint32_t *sockets      # socket index in `tables` (Tables.socket_index), by Connection.listener
    cdef uint8_t *greetings     # Greeting by Connection.listener: of the last tables that had listeners for the socket
    cdef uint32_t sockets_count
    cdef Upstreams upstreams
    cdef CounterMap counter_map
    cdef Counters *counters
    cdef AccessLog log
    cdef bint logs              # whether there is a log
    cdef AccessLog spans        # the lines of sampled requests, for the main process
    cdef bint traces            # whether there are `spans`: without them, no request is traced
    cdef bint traced            # requests are traced if no policy says otherwise (--otlp)
    cdef Rate trace_rate        # of traces that begin here: --trace-sampling
    cdef uint64_t turn          # number of the current turn, from 1
    cdef uint64_t hurried       # milliseconds: until then turns do not wait for more events, because trio has work
    cdef Sweep sweep
    cdef uint64_t flushed       # milliseconds: when the log was last flushed
    # current state
    cdef bint announcing        # every answer has Connection: close
    cdef bint draining          # idle client connections are closed soon, upstream connections are not pooled
    cdef uint32_t undrained     # index in the slab from which on connections do not know of the drain; 0: none
    cdef List paused            # listeners that may have clients for which there is no room, oldest first
    cdef uint64_t paused_until  # milliseconds: nothing is accepted before then, because there were no descriptors left
    cdef Shortage accept_shortage       # of descriptors for clients
    cdef Shortage connect_shortage      # of descriptors or local ports for connections to backends
    cdef Shortage share_shortage        # of connections for namespaces that have their share of the descriptors
    cdef LocalPorts ports
    cdef uint64_t *listeners    # their handles
    cdef uint32_t listeners_count
    cdef uint32_t downstreams   # sockets
    cdef Flows flows            # of datagrams
    cdef int64_t carried        # streams of clients, minus their parents that have streams: those are not idle
    cdef Clients clients        # connections by address
    cdef Failures failures      # of endpoints, until the worker reports them
    cdef uint64_t tls_faults    # number of failed handshakes with backends
    cdef char[55] tls_fault_label       # the endpoint of the last one, and
    cdef const char *tls_fault  # why it failed; static
    cdef uint64_t refused       # number of connections closed because their addresses had too many
    cdef Peer last_refused      # the last of them
    cdef uint32_t handshakes    # in progress
    cdef List shaking           # list of them, oldest first
    cdef uint64_t handshakes_unread     # bytes of memory for their output that the clients have not read
    cdef List unread            # list of those with such output; the one that has it longest is the first
    cdef Waiting waiting        # those of them that wait
    cdef uint32_t upstream_connections
    cdef uint32_t max_upstreams # descriptors for those, for listening sockets and for flows (share_descriptors)
    cdef uint32_t *upstreams_of # upstream connections by the namespace of the route that used them last (owner.pxd)
    cdef uint32_t pooled
    cdef List upstream_parents  # connections to backends that carry streams
    cdef List resting           # idle upstream connections, oldest first (resting.pxd)
    cdef List *resting_of       # the same of each namespace: OWNERS (owner.pxd)
    cdef uint32_t exchanges
    cdef Shares mirrors         # in progress
    cdef char date[29]
    cdef int64_t date_second

# The engine reads the time only here: from the monotonic clock, or from the clock that a test has stopped.
cdef void read_clock(Reactor r) noexcept nogil
# Bytes to read at once in this step, at most SCRATCH: the less time the turn has left, the fewer.
cdef inline uint32_t portion(Reactor r) noexcept nogil:
    cdef int64_t left = <int64_t> (r.begun + LONGEST - r.now)
    return <uint32_t> min(max(left * PORTION_RATE, <int64_t> PORTION_LEAST), <int64_t> SCRATCH)
# Whether the turn begins no further step, so that a step with several parts ends here. Reads the clock.
cdef bint turn_is_over(Reactor r) noexcept nogil
# For a short time, turns do not wait for more events, because trio has work to do.
cdef void hurry(Reactor r) noexcept nogil
# Called once per turn, because the wall clock may be set at any time.
cdef void read_wall_clock(Reactor r) noexcept nogil

# --- the layers. A connection is a socket, TLS on its socket (also before it is established), or a stream of its parent. The functions below call those of
# its layer. A plain socket is served without the table.

cdef struct Layer:              # what is below a connection; the functions with these names say what each does
    long (*receive)(Reactor r, Connection *c, char *into, uint32_t room) noexcept nogil
    int (*transmit)(Reactor r, Connection *c, iovec *parts, int count) noexcept nogil
    int (*put)(Reactor r, Connection *c, const char *data, uint32_t size) noexcept nogil
    int (*flush)(Reactor r, Connection *c) noexcept nogil
    uint32_t (*untaken)(Reactor r, const Connection *c) noexcept nogil
    bint (*is_quiet)(Reactor r, Connection *c) noexcept nogil
    bint (*say_end)(Reactor r, Connection *c) noexcept nogil
    void (*half_close)(Reactor r, Connection *c) noexcept nogil
    void (*break_down)(Reactor r, Connection *c) noexcept nogil
    void (*forget)(Reactor r, Connection *c) noexcept nogil     # frees what the layer owns; `c` is about to be closed

# The table of a kind, which its module fills in when it is imported: reactor.pyx, encryption.pyx, sealing.pyx, stream.pyx.
cdef Layer *layer_at(uint8_t kind) noexcept nogil

# Receives at most `room` bytes. Returns their number (> 0), 0 if nothing is available now, -1 if the peer has closed its
# side, -2 if the connection is broken. Clears `readable` if nothing more can be available.
cdef long receive(Reactor r, Connection *c, char *into, uint32_t room) noexcept nogil
# The peer has sent urgent data (EPOLLPRI).
cdef void note_urgent(Connection *c) noexcept nogil
# Discards at most `room` bytes from the socket without a copy, and without decryption. Returns like receive.
cdef long skip(Connection *c, uint32_t room) noexcept nogil
# Sends `parts` after the bytes in `c.output`; appends to `c.output` what is not accepted now. May change `parts`. Returns
# 0, or -1 if the connection is broken or memory is exhausted.
cdef int transmit(Reactor r, Connection *c, iovec *parts, int count) noexcept nogil
# Appends the bytes to `c.output`; the next transmit or flush sends them. Returns 0, or -1 if out of memory.
cdef int put(Reactor r, Connection *c, const char *data, uint32_t size) noexcept nogil
# Sends the bytes in `c.output`. Returns 0 (some may remain there), or -1 if the connection is broken.
cdef int flush(Reactor r, Connection *c) noexcept nogil
# Bytes that were accepted for the peer and that the peer has not acknowledged. One system call.
cdef uint32_t untaken(Reactor r, const Connection *c) noexcept nogil
# Checks on the socket itself that it is open and has no input (an event may be pending, or out of date). With TLS, takes
# records without data.
cdef bint is_quiet(Reactor r, Connection *c) noexcept nogil
# Whether the peer has closed a connection with a socket, as far as the kernel knows. One system call.
cdef bint has_ended(const Connection *c) noexcept nogil
# Says to the peer that nothing more follows, if the layer can say it; `c.output` must be empty. False: that message is
# still in `c.output`.
cdef bint say_end(Reactor r, Connection *c) noexcept nogil
# The same, then closes the writing side. False: call it again after `c.output` has been sent.
cdef bint end_writing(Reactor r, Connection *c) noexcept nogil
# Makes the close that follows a reset, without the message of say_end.
cdef void break_down(Reactor r, Connection *c) noexcept nogil

# `receive` and `transmit` of the socket, below TLS.
cdef long receive_sealed(Reactor r, Connection *c, char *into, uint32_t room) noexcept nogil
cdef int transmit_sealed(Reactor r, Connection *c, iovec *parts, int count) noexcept nogil
# Adds the connection to the ready list, so that it is visited again, in this turn or the next, without an event. A stream
# is added to the list of its parent, and the parent is queued.
cdef void queue(Reactor r, Connection *c) noexcept nogil
# Removes and returns the first stream of the parent that has work; NULL if there is none.
cdef Connection *unqueue(Reactor r, Connection *parent) noexcept nogil
# Notes the namespace of the route that the connection uses, for the order of visits; also for the parent of a stream.
cdef void note_payer(Reactor r, Connection *c, uint16_t payer) noexcept nogil
# Removes the connection from the ready list, or that of its parent, if it is there.
cdef void dequeue(Reactor r, Connection *c) noexcept nogil
# A connection with the descriptor `fd`, whose events are reported from now on. NULL with errno: no memory, or epoll does
# not take the descriptor, which the caller still owns.
cdef Connection *open_connection(Reactor r, int fd, uint8_t side, Interest interest) noexcept nogil
# The kernel accepts no more bytes now: not writable until the event of EPOLLOUT.
cdef void await_room(Reactor r, Connection *c) noexcept nogil
# Changes the events that are reported.
cdef void watch(Reactor r, const Connection *c, Interest interest) noexcept nogil
# No events are reported any more, even if another process has a copy of the socket.
cdef void unwatch(Reactor r, const Connection *c) noexcept nogil
cdef void set_deadline(Reactor r, Connection *c, uint64_t milliseconds) noexcept nogil
# Closes the socket and the connection, which makes its handle invalid. All connections are closed here.
cdef void close_connection(Reactor r, Connection *c) noexcept nogil
