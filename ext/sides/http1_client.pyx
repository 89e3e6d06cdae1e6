"""Requests from HTTP/1 clients, and answers to them; see http1_client.pxd, and client.pxd for what each function does.

The bytes of one read are sent in one write, head and body together. Chunks are sent as they were received. A body that
came without framing is sent in chunks, so that the connection can be kept. An HTTP/1.0 client gets content only, and
the body ends when its connection closes.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from fastroute.ext.http1.body cimport body_free, body_open, body_pass, body_restart, body_start, body_take, Body
from fastroute.ext.http1.head cimport FRAMING_CHUNKED
from fastroute.ext.http1.parser cimport parse_request
from fastroute.ext.http1.write cimport write_response
from fastroute.ext.http2.session cimport PREFACE, PREFACE_SIZE
from fastroute.ext.memory.buffer cimport (
    buffer_append, buffer_bytes, buffer_consume, buffer_free, buffer_reserve, buffer_size,
)
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport BODY_LENGTH, BODY_NONE, BODY_UNKNOWN, METHOD_HEAD, VERSION_HTTP10, Message
from fastroute.ext.reactor.connection cimport LAYER_SOCKET, STATE_HEAD, STATE_IDLE, Connection
from fastroute.ext.reactor.exchange cimport CODING_CHUNKS, CODING_CLOSE, CODING_NONE, Exchange, exchange_keep_trailers
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport SCRATCH, Reactor, receive, transmit
from fastroute.ext.sides.arrival cimport (
    EVENT_CLOSED, EVENT_HEAD, EVENT_HTTP2, EVENT_MALFORMED, EVENT_NONE, EVENT_NO_ROOM, EVENT_PART, EVENT_PIECE, Arrival, Piece,
    last_piece,
)
from fastroute.ext.sides.http1_chunk cimport CHUNK_HEAD_MOST, CHUNK_PARTS, add_part, http1_chunk
from fastroute.ext.sides.http1_trailing cimport http1_trailers

cdef enum:
    SMALL = 4096            # bytes of a body that are copied after their head



# --- the head of a request


cdef int read(Reactor r, Connection *c, Arrival *arrival) noexcept nogil:
    """Bytes of a pipelined request may already be in the input. A head that is not complete is kept there."""
    cdef long size = 0
    memset(arrival, 0, sizeof(Arrival))
    arrival.kept = buffer_size(&c.input) != 0
    if not arrival.kept:
        arrival.data = r.scratch
        if c.readable:
            size = receive(r, c, r.scratch, r.ahead)
        arrival.size = <uint32_t> size if size > 0 else 0
    else:
        if c.readable and c.state == STATE_HEAD:
            if buffer_reserve(&c.input, 4096) < 0:
                return EVENT_NO_ROOM
            size = receive(r, c, c.input.data + c.input.end, min(c.input.room - c.input.end, r.ahead))
            c.input.end += <uint32_t> size if size > 0 else 0
        arrival.data = buffer_bytes(&c.input)
        arrival.size = buffer_size(&c.input)
    if size < 0:
        return EVENT_CLOSED
    if size == 0 and not (arrival.kept and c.state == STATE_IDLE):
        return EVENT_NONE
    return take_head(r, c, arrival)


cdef int keep_part(Connection *c, const Arrival *arrival) noexcept nogil:
    if not arrival.kept and buffer_append(&c.input, arrival.data, arrival.size) < 0:
        return EVENT_NO_ROOM
    return EVENT_PART


cdef int starts_http2(const Arrival *arrival) noexcept nogil:
    """EVENT_HTTP2 if the bytes begin with the preface of HTTP/2, EVENT_PART if they may, otherwise EVENT_NONE."""
    if memcmp(arrival.data, PREFACE, min(arrival.size, <uint32_t> PREFACE_SIZE)) != 0 or arrival.size < 3:
        return EVENT_NONE       # "PR" may also be an HTTP/1 method
    return EVENT_HTTP2 if arrival.size >= PREFACE_SIZE else EVENT_PART


cdef int take_head(Reactor r, Connection *c, Arrival *arrival) noexcept nogil:
    cdef int taken
    if arrival.data[0] == b"P" and c.requests == 0 and c.tls is NULL and c.layer == LAYER_SOCKET:
        taken = starts_http2(arrival)
        if taken:
            return EVENT_HTTP2 if taken == EVENT_HTTP2 else keep_part(c, arrival)
    r.arena.used = 0
    taken = parse_request(&r.head, arrival.data, arrival.size, &c.scanned, &r.head_limits, &r.arena)
    if taken == 0:
        return keep_part(c, arrival)
    c.scanned = 0
    if taken < 0:
        arrival.refusal = -taken
        arrival.taken = arrival.size
        arrival.size = 0        # it is unknown where the next request would begin
        return EVENT_MALFORMED
    arrival.data += taken
    arrival.size -= <uint32_t> taken
    arrival.taken = <uint32_t> taken
    arrival.message = &r.head.message
    return EVENT_HEAD


cdef bint has_begun(const Connection *c) noexcept nogil:
    """False for line ends: some clients send one too many after a body, without another request."""
    cdef uint32_t i
    for i in range(c.input.start, c.input.end):
        if c.input.data[i] != b"\r" and c.input.data[i] != b"\n":
            return True
    return False


cdef void begin(Reactor r, Connection *c, Exchange *x, int event) noexcept nogil:
    if event == EVENT_PART:
        c.scanned = 0
        r.arena.used = 0        # the version may have arrived
        parse_request(&r.head, buffer_bytes(&c.input), buffer_size(&c.input), &c.scanned, &r.head_limits, &r.arena)
    x.version = r.head.minor
    if event == EVENT_HEAD:
        body_restart(&c.frames, &r.head)


# --- its body


cdef inline uint32_t room(Reactor r, const Connection *c) noexcept nogil:
    """How much to read at once: what is certainly left of the body, and Reactor.ahead bytes."""
    # `left` is the rest of the body or of the current chunk, or the part of a chunk size that was read: never too much.
    return SCRATCH if c.frames.left > SCRATCH - r.ahead else <uint32_t> c.frames.left + r.ahead


cdef void receive_body(Reactor r, Connection *c, uint32_t most, Arrival *arrival) noexcept nogil:
    cdef long size = 0
    memset(arrival, 0, sizeof(Arrival))
    arrival.kept = buffer_size(&c.input) != 0
    if arrival.kept:
        arrival.data = buffer_bytes(&c.input)
        arrival.size = buffer_size(&c.input)
    elif c.readable:
        arrival.data = r.scratch
        size = receive(r, c, r.scratch, min(room(r, c), most))
        arrival.size = <uint32_t> size if size > 0 else 0
        arrival.closed = size < 0


cdef int advance(Connection *c, uint64_t before, Arrival *arrival, long taken) noexcept nogil:
    """The bytes were taken; `before`: the bytes of content before that. Returns 0, or a Refusal."""
    if taken < 0:
        arrival.refusal = <int> -taken
        return arrival.refusal
    arrival.data += taken
    arrival.size -= <uint32_t> taken
    arrival.taken = <uint32_t> taken
    arrival.piece.size = <uint32_t> (c.frames.decoded - before)
    arrival.piece.end = c.frames.complete
    return 0


cdef int next_event(Reactor r, Connection *c, Exchange *x, Arrival *arrival) noexcept nogil:
    cdef Piece *piece = &arrival.piece
    cdef bint chunked = c.frames.framing == FRAMING_CHUNKED
    cdef uint64_t before = c.frames.decoded
    cdef Slice section
    cdef long taken
    if arrival.closed:
        return EVENT_CLOSED
    if arrival.size == 0:
        return EVENT_NONE
    piece.chunked = chunked and not x.plain
    if chunked and x.plain:
        taken = body_open(&c.frames, arrival.data, arrival.size, &r.head_limits, &piece.data, &section)
    else:
        taken = body_pass(&c.frames, arrival.data, arrival.size, &r.head_limits, &piece.data, &section)
    if advance(c, before, arrival, taken) != 0:
        return EVENT_MALFORMED
    if http1_trailers(r, x, False, &c.frames, section, piece) < 0:
        return EVENT_NO_ROOM
    return EVENT_PIECE


cdef int skip(Reactor r, Connection *c, Arrival *arrival) noexcept nogil:
    cdef uint64_t before = c.frames.decoded
    return advance(c, before, arrival, body_take(&c.frames, arrival.data, arrival.size, &r.head_limits))


cdef int keep_rest(Connection *c, const Arrival *arrival) noexcept nogil:
    if c.frames.complete:
        buffer_free(&c.frames.section)
    if not arrival.kept:
        return buffer_append(&c.input, arrival.data, arrival.size)
    buffer_consume(&c.input, buffer_size(&c.input) - arrival.size)
    return 0


cdef int unwrap(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    cdef Piece piece = last_piece()
    cdef Slice section
    cdef Body body
    cdef int kept
    body_start(&body, FRAMING_CHUNKED, 0)
    body.nominated = c.frames.nominated
    if body_open(&body, buffer_bytes(&x.held), buffer_size(&x.held), &r.head_limits, &piece.data, &section) < 0:
        body_free(&body)
        return -1
    r.arena.used = 0
    kept = http1_trailers(r, x, False, &body, section, &piece)
    if kept == 0 and not exchange_keep_trailers(x, piece.trailers):
        kept = -1
    x.held.end = x.held.start + piece.data.size
    x.plain = True
    x.held_chunked = False
    body_free(&body)
    return kept


# --- the answer


cdef bint interim(Reactor r, Connection *c, Exchange *x, const Message *message, uint32_t *written) noexcept nogil:
    cdef uint32_t size
    if x.version == VERSION_HTTP10:
        return True
    if message.status == 100:
        x.expects = False       # the client sends the body now
    size = write_response(r.outgoing + written[0], r.outgoing_size - written[0], message, False, False)
    written[0] += size
    return size != 0


cdef inline bint is_bodiless(const Exchange *x, const Message *message) noexcept nogil:
    """Whether the client expects no body (RFC 9112 section 6.3), whatever the fields say."""
    return message.status < 200 or message.status == 204 or message.status == 304 or x.method == METHOD_HEAD


cdef uint32_t head_without_body(Reactor r, Exchange *x, const Message *message, bint to_http10) noexcept nogil:
    """An HTTP/2 backend can end an answer with its head. The client then gets Content-Length: 0."""
    cdef Message stated = message[0]
    stated.declared = BODY_LENGTH
    stated.content_length = 0
    return write_response(r.outgoing, r.outgoing_size, &stated, x.close, to_http10)


cdef uint32_t head(Reactor r, Connection *c, Exchange *x, const Message *message, bint close) noexcept nogil:
    cdef bint to_http10 = x.version == VERSION_HTTP10
    x.close = close or not x.keep_alive
    x.coding = CODING_NONE
    if message.declared == BODY_NONE and not is_bodiless(x, message):
        return head_without_body(r, x, message, to_http10)
    if message.has_body and message.declared == BODY_UNKNOWN:
        x.coding = CODING_CLOSE if to_http10 else CODING_CHUNKS
        x.close = x.close or to_http10
    return write_response(r.outgoing, r.outgoing_size, message, x.close, to_http10)


cdef int send(Reactor r, Connection *c, Exchange *x, iovec *parts, int count) noexcept nogil:
    cdef int i
    if count == 0:
        return 0
    for i in range(count):
        x.sent += parts[i].iov_len
    x.progress = r.milliseconds
    return transmit(r, c, parts, count)


cdef int body(Reactor r, Connection *c, Exchange *x, uint32_t written, const Piece *piece) noexcept nogil:
    cdef iovec parts[CHUNK_PARTS + 1]
    cdef bint chunk_it = x.coding == CODING_CHUNKS and not piece.chunked
    cdef const char *data = piece.data.data
    cdef uint32_t size = piece.data.size
    cdef char chunk[CHUNK_HEAD_MOST]
    cdef int count
    c.ending = x.close and piece.end
    if size and written and not chunk_it and size <= SMALL and written + size <= r.outgoing_size:
        # Sending one part costs less than two, and copying a few bytes costs almost nothing.
        memcpy(r.outgoing + written, data, size)
        written += size
        size = 0
    count = add_part(parts, 0, r.outgoing, written)
    if chunk_it:
        count = http1_chunk(r, piece, chunk, written, parts, count)
    else:
        count = add_part(parts, count, data, size)
    return send(r, c, x, parts, count) if count >= 0 else -1


cdef void http1_client(ClientSide *side) noexcept:
    side.read = read
    side.has_begun = has_begun
    side.begin = begin
    side.receive = receive_body
    side.event = next_event
    side.skip = skip
    side.unwrap = unwrap
    side.keep_rest = keep_rest
    side.interim = interim
    side.head = head
    side.body = body
