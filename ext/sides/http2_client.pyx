"""Requests from HTTP/2 clients, and answers to them, each on a stream; see http2_client.pxd, and client.pxd for what each
function does.

The fields of a request are complete when its stream is opened (http2/session). The bytes of a stream are content only. The
head of an answer is a list of fields that refers to the Message until the first piece of its body is known.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memset

from fastroute.ext.http2.fieldblock cimport next_field
from fastroute.ext.http2.outgoing cimport (
    session_answer, session_flush, session_head, session_interim, session_keep_trailers, session_text,
)
from fastroute.ext.http2.request cimport read_request, read_trailers
from fastroute.ext.memory.buffer cimport Buffer, buffer_bytes, buffer_free, buffer_size
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.grpc cimport CALL_NONE, call_kind, is_web
from fastroute.ext.message.message cimport VERSION_HTTP2, Message
from fastroute.ext.message.refusal cimport REFUSAL_ARENA_FULL
from fastroute.ext.message.websocket cimport websocket_ask
from fastroute.ext.message.octet cimport is_text
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport CODING_NONE, Exchange
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport Reactor, receive, transmit
from fastroute.ext.reactor.stream cimport parent_of
from fastroute.ext.sides.arrival cimport (
    EVENT_CLOSED, EVENT_HEAD, EVENT_MALFORMED, EVENT_NONE, EVENT_NO_ROOM, EVENT_PIECE, Arrival, Piece,
)
from fastroute.ext.sides.trailing cimport trailers_filter


# --- the request


cdef inline Slice content_of(const Buffer *buffer) noexcept nogil:
    return Slice(buffer_bytes(buffer), buffer_size(buffer))


cdef inline bint has_arrived(const Connection *c) noexcept nogil:
    """Whether all content of the request, and its trailers, have arrived."""
    return c.ended and buffer_size(&c.stream.input) == 0


cdef void fetch(Reactor r, Connection *c, uint32_t most, Arrival *arrival) noexcept nogil:
    """Takes content that has arrived."""
    cdef long size = receive(r, c, r.scratch, most) if c.readable else 0
    arrival.data = r.scratch
    arrival.size = <uint32_t> size if size > 0 else 0
    arrival.closed = c.failed
    if has_arrived(c):
        c.readable = False


cdef void take_from_parent(Reactor r, Connection *c) noexcept nogil:
    cdef Connection *p = parent_of(r, c)
    if p is not NULL:
        p.parent.heads -= c.stream.heads
    c.stream.heads = 0


cdef int read(Reactor r, Connection *c, Arrival *arrival) noexcept nogil:
    cdef bint ends
    cdef uint32_t taken
    memset(arrival, 0, sizeof(Arrival))
    if c.requests or buffer_size(&c.stream.head) + c.stream.refusal == 0:
        return EVENT_NONE
    r.arena.used = 0
    take_from_parent(r, c)
    ends = has_arrived(c) and c.stream.tail_fields == 0
    taken = buffer_size(&c.stream.head)
    arrival.refusal = c.stream.refusal
    if arrival.refusal == 0:
        arrival.refusal = -read_request(&r.head.message, content_of(&c.stream.head), ends, &r.head_limits, &r.arena)
    if arrival.refusal == 0 and r.head.message.upgrade:
        # What has arrived is for the tunnel.
        if websocket_ask(&r.head.message, r.entropy, &r.arena) < 0:
            arrival.refusal = REFUSAL_ARENA_FULL
    else:
        fetch(r, c, r.ahead, arrival)
    arrival.taken = taken
    if arrival.refusal:
        return EVENT_MALFORMED
    arrival.message = &r.head.message
    return EVENT_HEAD


cdef bint has_begun(const Connection *c) noexcept nogil:
    return False


cdef uint8_t kind_of(const Buffer *block) noexcept nogil:
    """The CallKind of a request that is refused, by its fields."""
    cdef const char *at = buffer_bytes(block)
    cdef const char *end = at + buffer_size(block)
    cdef Slice name, value
    cdef bint posted = False
    cdef uint8_t kind = CALL_NONE
    while next_field(&at, end, &name, &value, NULL):
        if is_text(name.data, name.size, b":method", 7):
            posted = value.size == 4 and memcmp(value.data, b"POST", 4) == 0
        elif is_text(name.data, name.size, b"content-type", 12):
            kind = call_kind(value)
    return kind if posted else <int> CALL_NONE


cdef void begin(Reactor r, Connection *c, Exchange *x, int event) noexcept nogil:
    x.version = VERSION_HTTP2
    if event == EVENT_MALFORMED:
        x.asks = kind_of(&c.stream.head)
        x.grpc = x.asks != CALL_NONE
        if is_web(x.asks):
            x.web = x.asks


cdef void receive_body(Reactor r, Connection *c, uint32_t most, Arrival *arrival) noexcept nogil:
    memset(arrival, 0, sizeof(Arrival))
    fetch(r, c, most, arrival)


cdef int next_event(Reactor r, Connection *c, Exchange *x, Arrival *arrival) noexcept nogil:
    cdef Piece *piece = &arrival.piece
    if arrival.closed:
        return EVENT_CLOSED
    piece.end = has_arrived(c)
    if arrival.size == 0 and not piece.end:
        return EVENT_NONE
    arrival.refusal = c.stream.refusal
    if arrival.refusal:
        return EVENT_MALFORMED
    piece.data = Slice(arrival.data, arrival.size)
    piece.size = arrival.taken = arrival.size
    arrival.data += arrival.size
    arrival.size = 0
    if piece.end and c.stream.tail_fields:
        if read_trailers(&r.trailers, content_of(&c.stream.tail), c.stream.tail_fields, &r.arena) < 0:
            return EVENT_NO_ROOM
        trailers_filter(r, x, False, False, &r.trailers)
        piece.trailers = &r.trailers
    return EVENT_PIECE


cdef int skip(Reactor r, Connection *c, Arrival *arrival) noexcept nogil:
    return 0                    # a stream ends with its answer


cdef int keep_rest(Connection *c, const Arrival *arrival) noexcept nogil:
    """The request has been kept, or answered."""
    buffer_free(&c.stream.head)
    return 0


# --- the answer


cdef bint interim(Reactor r, Connection *c, Exchange *x, const Message *message, uint32_t *written) noexcept nogil:
    """Sends the interim answer immediately: it does not wait for content."""
    cdef uint32_t size
    if message.status == 100:
        x.expects = False
    elif message.status == 101:
        return True             # HTTP/2 has no such answer (RFC 9113 section 8.6)
    size = session_head(r, c, message)
    x.sent += size
    return size != 0 and session_interim(r, c) == 0


cdef uint32_t head(Reactor r, Connection *c, Exchange *x, const Message *message, bint close) noexcept nogil:
    x.close = False
    x.coding = CODING_NONE
    c.stream.bodiless = not message.has_body
    return session_head(r, c, message)


cdef int body(Reactor r, Connection *c, Exchange *x, uint32_t written, const Piece *piece) noexcept nogil:
    cdef iovec part
    cdef bint only = piece.end and piece.data.size == 0 and piece.trailers is NULL
    cdef int outcome = 0
    if written == 0 and piece.data.size == 0 and piece.trailers is NULL:
        return 0
    x.sent += written + piece.data.size
    x.progress = r.milliseconds
    c.ending = piece.end
    if piece.trailers is not NULL and session_keep_trailers(r, c, piece.trailers, session_text(r, c) if written else 0) < 0:
        return -1
    if written and session_answer(r, c, c.stream.bodiless or only) < 0:
        return -1
    if piece.data.size and not c.stream.bodiless:
        part = iovec(<char *> piece.data.data, piece.data.size)
        outcome = transmit(r, c, &part, 1)
    if written and session_flush(r, c) < 0:     # the fields must not stay in libnghttp2 longer than in the Message
        return -1
    return outcome


cdef void http2_client(ClientSide *side) noexcept:
    side.read = read
    side.has_begun = has_begun
    side.begin = begin
    side.receive = receive_body
    side.event = next_event
    side.skip = skip
    side.keep_rest = keep_rest
    side.interim = interim
    side.head = head
    side.body = body
