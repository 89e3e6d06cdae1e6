# Streams: connections without a socket, whose bytes are framed by a protocol on the socket of their parent (parent.pxd).
#
# A stream is a slot of the slab with `fd` -1 and LAYER_STREAM, so handles, deadlines, the ready list and exchanges work as
# for any connection. `readable`: content, an end or a reset is there. `writable`: its window and the batch of the parent
# have room. A stream has one exchange. When it ends, its slot is freed and the parent goes on.
#
# A stream that the peer has reset, or whose parent has ended, is `failed`, except an upstream stream that the peer had
# ended before: its content can still be read.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastroute.ext.reactor.connection cimport LAYER_STREAM, Connection, slab_find
from fastroute.ext.reactor.reactor cimport Reactor, portion
from fastroute.ext.tls.tls cimport Tls


# --- for protocols

# The peer has opened a stream. NULL: refuse it (too many, the parent is leaving, or out of memory).
cdef Connection *stream_accept(Reactor r, Connection *p, uint32_t id, int64_t window) noexcept nogil
# Content has arrived. Returns 0, or -1 if it exceeds a limit, or out of memory: reset the stream.
cdef int stream_receive(Reactor r, Connection *p, Connection *s, const char *data, uint32_t size) noexcept nogil
# The peer sends no more content.
cdef void stream_ended(Reactor r, Connection *s) noexcept nogil
# The peer, or the protocol, has reset the stream: it sends and accepts nothing more.
cdef void stream_broken(Reactor r, Connection *p, Connection *s) noexcept nogil
# The same; the peer says that it has not processed a stream of the gateway: the request can be sent again.
cdef void stream_refused(Reactor r, Connection *p, Connection *s) noexcept nogil
# The peer accepts `size` more bytes of content.
cdef void stream_can_send(Reactor r, Connection *p, Connection *s, uint32_t size) noexcept nogil

# --- for the code above

# Opens a stream to a backend on a parent that has room: SIDE_UPSTREAM, without endpoint. NULL if that failed.
cdef Connection *stream_open(Reactor r, Connection *p) noexcept nogil

cdef inline Connection *parent_of(Reactor r, const Connection *s) noexcept nogil:
    """The parent of a stream, or NULL if it has ended."""
    return slab_find(&r.slab, s.stream.parent)

# TLS of the socket that carries the connection; NULL: none.
cdef Tls *tls_of(Reactor r, const Connection *c) noexcept nogil
# Bytes that a stream can send now, and at least a few.
cdef uint32_t stream_room(Reactor r, const Connection *s) noexcept nogil

# Visits the connection that the stream belongs to: the stream, or the client's connection for the stream to a backend.
cdef void stream_wake(Reactor r, Connection *s) noexcept nogil
# The connection of an upstream parent is established: its streams go on.
cdef void streams_established(Reactor r, Connection *p) noexcept nogil
# Whether more of an answer may be read for the stream, because the batch of its parent has room. If not, the stream is
# woken later.
cdef bint stream_can_answer(Reactor r, Connection *s) noexcept nogil
# Whether the stream waits for what all streams of its connection share: room on the socket, or the connection's window. Not
# for its own window.
cdef bint stream_is_held(Reactor r, const Connection *s) noexcept nogil
# Wakes streams whose output can be sent now, as many as there is room for.
cdef void streams_wake_writers(Reactor r, Connection *p) noexcept nogil
# Ends the streams of a parent that is about to be closed, and frees what it owns.
cdef void streams_end(Reactor r, Connection *p) noexcept nogil

cdef inline bint is_unprocessed(const Connection *u) noexcept nogil:
    """Whether it is a stream that the backend has not processed."""
    return u.layer == LAYER_STREAM and u.stream.refused

cdef inline bint was_reset(Reactor r, const Connection *u) noexcept nogil:
    """Whether only this stream has ended: its connection goes on."""
    return u.layer == LAYER_STREAM and parent_of(r, u) is not NULL

cdef inline bint is_left(Reactor r, const Connection *s) noexcept nogil:
    """Whether the connection that carries the stream takes no more streams, or has ended."""
    cdef const Connection *p = parent_of(r, s)
    return p is NULL or p.parent.leaving

cdef inline uint32_t room_for(Reactor r, const Connection *c) noexcept nogil:
    """How much to read for `c` at once: what it can send, so that little has to be kept."""
    return portion(r) if c.layer != LAYER_STREAM else stream_room(r, c)
