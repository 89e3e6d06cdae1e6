# Connections that carry streams: a parent, its streams, and the protocol that frames them.
#
# A parent is a connection with a socket (and TLS). What arrives on it is frames, which its protocol takes. A stream is a
# connection without a socket (stream.pxd), which its protocol opens for a frame of the peer, or the gateway for a request.
#
# A visit of a parent reads once, lets the protocol handle all frames, visits streams that have work, and writes once. The
# streams that have work share the visits of their parent: a connection with many streams gets the turn no more often than
# one without.
#
# Limits: the protocol limits the number of streams, and the bytes of each stream and of all streams of a parent that were
# received and not taken (`stream_receive` refuses more). Streams put content into `batch` while it has less than
# BATCH_MOST and the socket has taken all earlier output. Other frames that answer the peer can exceed that by FRAMES_MOST;
# then nothing is read from the peer.
#
# Nothing is sent to a backend before the first request, so that a connection that comes too late for its requests says
# nothing.
#
# A parent without streams is idle, and has the idle deadline. A leaving one says so twice: streams that the peer begins
# within LEAVE_TIME are accepted (RFC 9113 section 6.8). The end of a parent ends each of its streams.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


cdef enum:
    ROUND = 3200                # microseconds that a part of the visits of all connections takes together, if possible
    BATCH_MOST = 262144         # bytes of frames with content that are sent with one write
    FRAMES_MOST = 65536         # bytes of other frames beyond that
    # A backend that sends nothing while streams wait for it is asked whether it is alive (PING), and again at long intervals:
    # implementations of gRPC close connections on which it is asked more often than every 5 minutes without an answer.
    PING_AFTER = 60000          # milliseconds of silence
    PING_AGAIN = 310000
    PONG_TIME = 20000           # milliseconds within which it must answer
    LEAVE_TIME = 1000           # milliseconds for which a leaving parent accepts streams that the peer has begun

cdef enum Cause:                # why a stream is reset
    CAUSE_DONE = 0              # everything was said; the rest of what the peer sends is not needed
    CAUSE_CANCELLED             # the exchange ended before its response was complete
    CAUSE_BROKEN                # the response cannot be completed
    CAUSE_REFUSED               # the stream was not processed
    CAUSE_VIOLATION             # the peer violated the protocol on this stream

cdef struct StreamProtocol:     # functions of a protocol with streams, for any number of parents
    uint8_t messages            # Protocol (message/protocol.pxd) of the Messages on its streams
    uint32_t streams_most       # that the gateway opens on one parent; the peer may accept fewer (Parent.most)
    uint32_t accepted_most      # that a client may open on one, if --max-streams is not lower
    uint32_t input_most         # bytes of one stream that are received and not taken
    uint32_t inputs_most        # of all streams of one parent
    # Sets `state` of a new parent, and may put frames into its batch. Returns 0, or -1 if out of memory.
    int (*begin)(Reactor r, Connection *p) noexcept nogil
    # Handles the frames in `data`: calls stream_accept, stream_receive, stream_ended, stream_broken and stream_can_send.
    # Returns how many bytes it needs no more, or -1 if the parent must end; frames in the batch are sent before that.
    # Sets `unseen` of the parent if it takes the others in the next visit, because they are too much work for this one.
    int64_t (*take)(Reactor r, Connection *p, const char *data, uint32_t size) noexcept nogil
    # Puts all frames that wait into the batch; called before each write. Returns 0, or -1 if the parent must end.
    int (*gather)(Reactor r, Connection *p) noexcept nogil
    # Prepares a stream that the gateway opens. Returns 0, or -1 if the parent can have no more.
    int (*name)(Reactor r, Connection *p, Connection *s) noexcept nogil
    # Puts frames with `size` bytes of content of the stream into the batch; subtracts them from the windows. `last`: no
    # more follows; may then also do what `end` does, and set `said_end`. Returns 0, or -1 if the stream is broken.
    int (*send)(Reactor r, Connection *p, Connection *s, const char *data, uint32_t size, bint last) noexcept nogil
    # Begins a stream with the `size` bytes of fields that were put before its content (Stream.opening). `last`: no content
    # follows. Returns like `send`.
    int (*open)(Reactor r, Connection *p, Connection *s, const char *fields, uint32_t size, bint last) noexcept nogil
    # The stream sends no more content.
    int (*end)(Reactor r, Connection *p, Connection *s) noexcept nogil
    int (*reset)(Reactor r, Connection *p, Connection *s, uint8_t cause) noexcept nogil
    # `size` bytes of content of the stream were taken: the peer may send as many more.
    int (*credit)(Reactor r, Connection *p, Connection *s, uint32_t size) noexcept nogil
    # Asks the peer for a sign of life, which parent_heard notes.
    int (*ping)(Reactor r, Connection *p) noexcept nogil
    # Tells the peer to open no more streams. `finally_`: none is accepted from now on.
    int (*leave)(Reactor r, Connection *p, bint finally_) noexcept nogil
    void (*free)(void *state) noexcept nogil

# The functions of a protocol that has streams; its module fills them in when it is imported.
cdef StreamProtocol *protocol_at(uint8_t protocol) noexcept nogil
# Makes an established connection a parent, or an upstream connection that is being established. Returns 0, or -1 if out
# of memory.
cdef int parent_begin(Reactor r, Connection *p, uint8_t protocol) noexcept nogil
# Adds frames to the batch, and queues the parent so that they are sent. Returns 0, or -1 if out of memory.
cdef int parent_add(Reactor r, Connection *p, const char *data, uint32_t size) noexcept nogil
# Bytes of content that can be added to the batch now.
cdef uint32_t parent_room(const Connection *p) noexcept nogil
# Whether another stream can be opened by the gateway.
cdef bint parent_has_room(const Connection *p) noexcept nogil
# Whether a read may return something, and the peer takes the frames that answer its own.
cdef bint parent_can_read(const Connection *p) noexcept nogil
# Reads once, and passes what was received to the protocol. False: the parent must end.
cdef bint parent_read(Reactor r, Connection *p) noexcept nogil
# Sends the batch with one write. False: the parent must end.
cdef bint parent_write(Reactor r, Connection *p) noexcept nogil
# Called by streams_established.
cdef void parent_established(Reactor r, Connection *p) noexcept nogil
# Opens no more streams; closes soon after the last one ended.
cdef void parent_leave(Reactor r, Connection *p) noexcept nogil
# Tells the peer finally that no more streams are opened, once, if the time for it has come or (`now`) in any case.
cdef void parent_leave_finally(Reactor r, Connection *p, bint now) noexcept nogil
# Whether a leaving parent can be closed.
cdef bint parent_is_done(Reactor r, const Connection *p) noexcept nogil
# The peer has begun something that it must complete within the time for a head, or (False) has completed it.
cdef void parent_owes(Reactor r, Connection *p, bint owes) noexcept nogil
# Whether that time has passed.
cdef bint parent_is_late(Reactor r, const Connection *p) noexcept nogil
# The backend has sent something; `answer`: of PING.
cdef void parent_heard(Reactor r, Connection *p, bint answer) noexcept nogil
# Called when the deadline of a parent to a backend with streams has passed. False: the backend has not answered in time.
cdef bint parent_lives(Reactor r, Connection *p) noexcept nogil
# Notes that the parent has begun its first stream, or ended its last one: its deadline, and gauges.
cdef void parent_busy(Reactor r, Connection *p) noexcept nogil
cdef void parent_rest(Reactor r, Connection *p) noexcept nogil
# Called when the deadline of a parent without streams has passed: whether it gets more time, once, because frames were
# not sent yet.
cdef bint parent_waits(Reactor r, Connection *p) noexcept nogil
# Since when a client's parent has no streams, in milliseconds; now if it has some.
cdef uint64_t parent_rested(Reactor r, const Connection *p) noexcept nogil
# Frees what a parent without streams owns. Called by streams_end.
cdef void parent_free(Reactor r, Connection *p) noexcept nogil


cdef inline uint64_t part_of_round(Reactor r, uint64_t most) noexcept nogil:
    """How many microseconds a part of a visit may take: the less, the more connections have work, so that a connection
    does not wait long for its next visit."""
    return min(most, <uint64_t> ROUND // (r.order.count + 1))
