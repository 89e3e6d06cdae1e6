# One socket of the engine, and the slab that all of them live in.
#
# A connection is named by its handle: generation << 32 | index. Nothing keeps a raw Connection pointer across events.
# Closing raises the generation, so handles (also those in epoll events already fetched) stop finding it at once; the
# slot itself is used again only in a later turn.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.buffer cimport Buffer
from fastroute.ext.exchange cimport Exchange
from fastroute.ext.forwarded cimport Peer
from fastroute.ext.mirror cimport Mirror
from fastroute.ext.tables cimport Endpoint
from fastroute.ext.tls cimport Tls


cdef enum Side:
    SIDE_NONE = 0
    SIDE_TIMER                  # the engine's timerfd
    SIDE_HEEDED                 # a descriptor of trio's, see Engine.heed; not ours to close
    SIDE_LISTENER
    SIDE_DOWNSTREAM
    SIDE_UPSTREAM

cdef enum State:
    STATE_CLOSED = 0
    STATE_LISTENING             # listener
    STATE_LEAVING               # listener: takes what is queued, then closes
    STATE_PREFACE               # downstream: a PROXY protocol header must come first
    STATE_HELLO                 # downstream: a TLS client must say which name it wants
    STATE_HANDSHAKE             # downstream: TLS is being agreed
    STATE_IDLE                  # downstream: between requests
    STATE_HEAD                  # downstream: a part of a request's head is here
    STATE_EXCHANGE              # downstream: has an exchange
    STATE_LINGER                # downstream: answered and half-closed; what still comes is read away
    STATE_CONNECTING            # upstream
    STATE_ACTIVE                # upstream: serves the exchange of `owner`
    STATE_POOLED                # upstream: waits in its endpoint's pool

cdef enum:
    NO_SLOT = 0xFFFFFFFF        # timer_slot of a connection that is not in the wheel

cdef struct Connection:
    int fd
    uint32_t index              # in the slab, from 1
    uint32_t generation
    uint8_t side                # Side
    uint8_t state               # State
    uint8_t readable            # a read may give something (edge seen, not drained)
    uint8_t writable            # a write may take something
    uint8_t ended               # the peer's FIN is among what can be read
    uint8_t failed              # reset, or closed both ways
    uint8_t queued              # in the ready list
    uint8_t ending              # what is sent now is the last: its end follows at once, and goes in the same packet
    uint32_t next               # in the one list its state puts it in: free, graves, ready, an endpoint's pool
    uint32_t previous
    # timer (timer.pyx)
    uint64_t deadline           # milliseconds; 0: none
    uint32_t timer_next
    uint32_t timer_previous
    uint32_t timer_slot         # where it is in the wheel
    uint64_t started            # microseconds: upstream, when it was asked for; downstream, a head's first byte
    # bytes
    uint32_t scanned            # parse_x's memory of a head that is still growing
    uint32_t requests           # exchanges it had
    Buffer input                # read, not used yet
    Buffer output               # for the peer, not taken yet
    # downstream
    Tls *tls                    # owned; NULL: plain, or the name was not heard yet
    Exchange *exchange          # owned; NULL: none
    uint32_t listener           # index in Reactor.sockets; of a listener too
    uint32_t drained            # bytes read away while it lingers
    Peer peer
    # upstream
    uint64_t owner              # handle of the downstream connection it works for; 0: none, or a mirror
    Endpoint *endpoint          # counted
    Mirror *mirror              # owned; NULL: it is none
    uint64_t held               # not 0: its last answer stated a body that must not follow; until then (milliseconds)

cdef enum:
    CHUNK = 256                 # connections of one allocation

cdef struct Slab:
    Connection **chunks
    uint32_t chunks_count
    uint32_t chunks_room
    uint32_t free               # first free index; 0: none
    uint32_t graves             # first of those closed since the last slab_exhume
    uint32_t live

cdef inline Connection *slab_at(const Slab *slab, uint32_t index) noexcept nogil:
    """The slot `index`, live or not; `index` must have been given out."""
    return &slab.chunks[index // CHUNK][index % CHUNK]

cdef inline uint64_t handle_of(const Connection *connection) noexcept nogil:
    return <uint64_t> connection.generation << 32 | connection.index

cdef inline Connection *slab_find(const Slab *slab, uint64_t handle) noexcept nogil:
    """The live connection of that handle, or NULL when it has been closed."""
    cdef Connection *connection
    if <uint32_t> handle == 0:
        return NULL
    connection = slab_at(slab, <uint32_t> handle)
    return connection if connection.generation == <uint32_t> (handle >> 32) else NULL

# A fresh connection, zeroed but for index, generation and timer_slot; NULL without memory.
cdef Connection *slab_take(Slab *slab) noexcept nogil
# Ends the life of a connection: its handle finds nothing from now on.
cdef void slab_bury(Slab *slab, Connection *connection) noexcept nogil
# Gives the buried slots free; called where no Connection pointer is on the stack.
cdef void slab_exhume(Slab *slab) noexcept nogil
cdef void slab_free(Slab *slab) noexcept nogil
