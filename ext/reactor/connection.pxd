# One socket of the engine, or one stream that such a socket carries, and the slab that holds all of them.
#
# A connection is named by its handle: generation << 32 | index. Nothing keeps a raw Connection pointer across events.
# Closing increments the generation, so existing handles (also those in fetched epoll events) become invalid at once;
# the slot itself is reused only in a later turn.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.http1.body cimport Body
from fastroute.ext.memory.buffer cimport Buffer
from fastroute.ext.memory.list cimport Link, List
from fastroute.ext.message.forwarded cimport Peer
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.routing.mirror cimport Mirror
from fastroute.ext.routing.poolkey cimport PoolKey
from fastroute.ext.routing.tables cimport Endpoint, Rule, Target
from fastroute.ext.tls.tls cimport Tls


cdef enum Side:                 # engine/side.pxd has a row for each
    SIDE_NONE = 0
    SIDE_TIMER                  # the engine's timerfd
    SIDE_HEEDED                 # a descriptor that belongs to trio (Engine.heed); never closed here
    SIDE_LISTENER
    SIDE_DOWNSTREAM
    SIDE_UPSTREAM
    SIDE_DATAGRAMS              # a UDP socket of a place
    SIDE_FLOWS                  # the epoll descriptor that watches the sockets of all flows
    SIDES

cdef enum State:
    STATE_CLOSED = 0
    STATE_LISTENING             # listener: of TCP
    STATE_LEAVING               # listener: accepts what is queued, then closes
    STATE_PREFACE               # downstream: a PROXY protocol header must come first
    STATE_HELLO                 # downstream: waits for the ClientHello of a TLS client
    STATE_HANDSHAKE             # downstream: TLS handshake
    STATE_PARENT                # carries streams
    STATE_IDLE                  # downstream: between requests
    STATE_HEAD                  # downstream: a part of a request head has arrived
    STATE_EXCHANGE              # downstream: has an exchange
    STATE_LINGER                # downstream: answered and half-closed; remaining input is discarded
    STATE_CONNECTING            # upstream
    STATE_ACTIVE                # upstream: serves the exchange of `owner`
    STATE_POOLED                # upstream: idle in the pool of its endpoint and key

cdef enum LayerKind:            # Connection.layer: what is below `receive` and `transmit` (reactor.pxd)
    LAYER_SOCKET = 0            # reactor.pyx
    LAYER_TLS                   # encryption.pyx
    LAYER_SEALING               # sealing.pyx
    LAYER_STREAM                # stream.pyx
    LAYERS

cdef enum:
    NO_SLOT = 0xFFFFFFFF        # timer_slot of a connection that is not in the wheel

cdef struct Stream:             # what a stream owns (stream.pxd); one block of memory
    uint64_t parent             # handle; 0: the parent has ended
    uint32_t id                 # the protocol's number; 0: it has none yet
    Link link                   # list of the parent's streams (Parent.streams)
    uint8_t over                # nothing can be sent any more: reset, or the parent has ended
    uint8_t said_end            # the end of what the gateway sends was framed
    uint16_t fault              # upstream: LocalReason for which its parent was not established
    uint32_t credit             # bytes that were taken and not announced to the peer yet
    uint32_t untaken            # bytes sent for which the peer has not opened the window again
    int64_t window              # bytes of content that the peer accepts now
    Buffer input                # content received and not taken
    # these belong to a protocol that has fields (http2/session.pxd)
    Buffer head                 # fields before the content, received and not taken
    uint32_t heads              # bytes of it that Parent.heads includes
    Buffer tail                 # fields after it, `tail_fields` of them
    Buffer parting              # fields to be sent after the content
    uint32_t tail_fields
    uint32_t opening            # bytes at the beginning of `output` that are fields to be sent before the content
    uint16_t refusal            # why `head` or `tail` is refused, or the rest of the stream; 0: it is not
    uint8_t headed              # fields before the content were sent
    uint8_t final               # upstream: the last head of the answer has arrived
    uint8_t bodiless            # no content may be sent
    uint8_t waits               # its answer waits until the batch of the parent has room
    uint8_t refused             # the peer has not processed it
    uint8_t whole               # the peer owes at most its end: the content that it declared has arrived

cdef struct Parent:             # what a connection that carries streams owns (parent.pxd); one block of memory
    void *state                 # of the protocol
    uint32_t memory             # bytes of it, included in buffers_total
    List streams                # its streams
    uint32_t count
    uint32_t most               # streams that the peer accepts at the same time
    List ready                  # those that have work to do without an event
    uint32_t held               # bytes of content of all streams that were received and not taken
    uint32_t heads              # bytes of memory for heads of all streams that were received and not taken
    Buffer batch                # frames that the next write sends
    int64_t window              # bytes of content of all streams that the peer accepts now
    uint64_t leave_until        # milliseconds: until then a leaving parent accepts streams
    uint64_t rest_until         # milliseconds: the end of a parent without streams
    uint64_t ping_at            # milliseconds: when to ask a silent backend whether it is alive; 0: never
    uint64_t pong_until         # milliseconds: until then it must answer; 0: it was not asked
    uint64_t owed_until         # milliseconds: until then the peer must complete what it has begun; 0: nothing
    uint64_t open_in            # upstream: the turn in which it was last seen to be open
    Link sibling                # upstream: list of the parents of its endpoint (Endpoint.parents)
    Link link                   # upstream: list of all of them (Reactor.upstream_parents)
    uint8_t protocol            # Protocol (message/protocol.pxd)
    uint8_t listed              # in these two lists
    uint8_t leaving             # no more streams are opened; it closes after the last one
    uint8_t left                # the last GOAWAY was sent: streams with a higher number are not processed
    uint8_t over                # the protocol was violated, or memory is exhausted: it closes
    uint8_t resting             # counted as idle
    uint8_t unseen              # `input` has bytes that arrived before the protocol began, or that it takes in the next visit
    uint8_t silent              # upstream: no request was sent on it yet, and so no frame
    uint8_t late                # its idle deadline has passed, but frames were not sent yet
    uint8_t stalled             # some streams may wait for room: they are not writable, or their answer waits

cdef struct Connection:
    int fd                      # -1: a stream
    uint32_t index              # in the slab, from 1
    uint32_t generation
    uint8_t side                # Side
    uint8_t state               # State
    uint8_t layer               # LayerKind
    uint8_t protocol            # Protocol (message/protocol.pxd) of the Messages on it
    uint8_t readable            # a read may return data (edge seen, not drained)
    uint8_t writable            # a write may accept data
    uint8_t ended               # the peer's FIN is part of the readable data
    uint8_t failed              # reset, or closed both ways
    uint8_t queued              # not 0: in the ready list, one more than its lane (order.pxd); a stream: in that of its parent
    uint8_t ending              # the data being sent is the last; the FIN goes in the same packet
    uint8_t untuned             # upstream: its socket does not have its options yet (upstream_tune)
    uint8_t urgent              # has, or had, urgent data: a read ends at their mark, even if more has arrived
    Link link                   # in the one list that its state implies: free, graves, ready, an idle pool,
                                # listeners that must wait
    Link rest                   # list of all idle upstream connections by age (resting.pxd)
    Link own_rest               # the same of a namespace
    Parent *parent              # owned; NULL: carries no streams
    Stream *stream              # owned; NULL: not a stream
    # timer (timer.pyx)
    uint64_t deadline           # milliseconds; 0: none
    Link timer_link             # list of the slot
    uint32_t timer_slot         # index in the wheel
    uint64_t started            # microseconds: upstream, when it was requested; downstream, first byte of a head, or the
                                # beginning of STATE_LINGER
    # bytes
    uint32_t scanned            # HTTP/1: parser state for a head that is still incomplete
    Body frames                 # HTTP/1: the body that is being received
    uint32_t requests           # number of exchanges it had; UDP socket: datagrams to read at once
    Buffer input                # received, not processed yet
    Buffer output               # for the peer, not sent yet
    # downstream
    Tls *tls                    # owned; NULL: plain, or before the ClientHello. Also of an upstream connection
    Exchange *exchange          # owned; NULL: none
    uint32_t listener           # index in Reactor.sockets; also for a listener and a UDP socket
    uint8_t watched             # listener: epoll reports its events; others: also when it is writable
    uint8_t paused              # listener: it must wait (Reactor.paused)
    uint32_t drained            # bytes discarded while lingering
    uint8_t counted             # in Reactor.clients
    Rule *rule                  # until the handshake of TLS whose bytes are passed on is over: where they go. Holds a
    Target *target              # reference; NULL: not known, or no such TLS
    uint64_t leave_at           # milliseconds: when --max-connection-age has passed; 0: never
    # visits (order.pxd)
    uint64_t light_at           # microseconds: from then on it is light
    uint64_t queued_at          # microseconds: when it was queued
    Peer peer
    # upstream
    uint64_t owner              # handle of the downstream connection it serves; 0: none, or a mirror
    Endpoint *endpoint          # holds a reference
    PoolKey *key                # holds a reference
    uint16_t payer              # the namespace of the route that requested it (owner.pxd); downstream: of the last route
    uint8_t coding              # Coding of the body of the request
    uint8_t faultless           # a stream: its parent was too late because its handshake waited for others of the gateway
    Mirror *mirror              # owned; NULL: not a mirror
    uint64_t held               # not 0: its last answer stated a body that must not follow; until then (milliseconds)

cdef enum:
    CHUNK = 256                 # connections per allocation

cdef struct Slab:
    Connection **chunks
    uint32_t chunks_count
    uint32_t chunks_room
    uint32_t free               # first free index; 0: none
    uint32_t graves             # first of those closed since the last slab_exhume; 0: none
    uint32_t graves_end         # the last one of them
    uint32_t live

cdef inline Connection *slab_at(const Slab *slab, uint32_t index) noexcept nogil:
    """The slot `index`, live or not; `index` must have been allocated."""
    return &slab.chunks[index // CHUNK][index % CHUNK]

cdef inline uint64_t handle_of(const Connection *connection) noexcept nogil:
    return <uint64_t> connection.generation << 32 | connection.index

cdef inline Connection *slab_find(const Slab *slab, uint64_t handle) noexcept nogil:
    """The live connection with that handle, or NULL if it has been closed."""
    cdef Connection *connection
    if <uint32_t> handle == 0:
        return NULL
    connection = slab_at(slab, <uint32_t> handle)
    return connection if connection.generation == <uint32_t> (handle >> 32) else NULL

# A new connection, zeroed except for index, generation and timer_slot; NULL if out of memory.
cdef Connection *slab_take(Slab *slab) noexcept nogil
# Closes a connection: its handle is invalid from now on.
cdef void slab_bury(Slab *slab, Connection *connection) noexcept nogil
# Frees the closed slots; call it only where no Connection pointer is on the stack.
cdef void slab_exhume(Slab *slab) noexcept nogil
cdef void slab_free(Slab *slab) noexcept nogil
