"""Requests to HTTP/1 backends, and their answers; see http1_backend.pxd, and backend.pxd for what each function does.

Bodies are passed on unchanged, in chunks if they came in chunks, except for a client that takes no chunks: then their
content is.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from fastroute.ext.http1.body cimport Body, body_open, body_pass, body_restart, body_start, body_take
from fastroute.ext.http1.head cimport FRAMING_CHUNKED, FRAMING_CLOSE
from fastroute.ext.http1.parser cimport parse_response
from fastroute.ext.http1.write cimport write_request
from fastroute.ext.memory.buffer cimport (
    buffer_append, buffer_bytes, buffer_consume, buffer_free, buffer_reserve, buffer_size,
)
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport BODY_UNKNOWN, Message
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport CODING_CHUNKS, CODING_NONE, Exchange
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport Reactor, put, receive, transmit
from fastroute.ext.sides.arrival cimport (
    EVENT_CLOSED, EVENT_END, EVENT_HEAD, EVENT_INTERIM, EVENT_MALFORMED, EVENT_NONE, EVENT_NO_ROOM, EVENT_PIECE,
    Arrival, Piece,
)
from fastroute.ext.sides.client cimport client_takes_chunks
from fastroute.ext.sides.http1_chunk cimport CHUNK_HEAD_MOST, CHUNK_PARTS, add_part, http1_chunk
from fastroute.ext.sides.http1_trailing cimport http1_trailers


# --- the request


cdef inline void begin(Connection *u, const Message *message) noexcept nogil:
    u.coding = CODING_CHUNKS if message.declared == BODY_UNKNOWN else CODING_NONE


cdef int send_piece(Reactor r, Connection *u, uint32_t written, const Piece *piece) noexcept nogil:
    """Sends the `written` bytes of the head in `r.outgoing`, if any, and the piece."""
    cdef iovec parts[CHUNK_PARTS + 1]
    cdef char chunk[CHUNK_HEAD_MOST]
    cdef int count = add_part(parts, 0, r.outgoing, written)
    if u.coding == CODING_CHUNKS and not piece.chunked:
        count = http1_chunk(r, piece, chunk, written, parts, count)
    else:
        count = add_part(parts, count, piece.data.data, piece.data.size)
    if count <= 0:
        return count
    return transmit(r, u, parts, count)


cdef int send(Reactor r, Connection *u, const Message *message, const Piece *piece) noexcept nogil:
    begin(u, message)
    return send_piece(r, u, write_request(r.outgoing, r.outgoing_size, message), piece)


cdef int queue_head(Reactor r, Connection *u, const Message *message) noexcept nogil:
    cdef uint32_t size = write_request(r.outgoing, r.outgoing_size, message)
    begin(u, message)
    return put(r, u, r.outgoing, size) if size else -1


cdef int body(Reactor r, Connection *u, const Piece *piece) noexcept nogil:
    return send_piece(r, u, 0, piece)


# --- the answer


cdef int receive_answer(Reactor r, Connection *u, uint32_t room, Arrival *arrival) noexcept nogil:
    cdef long size
    memset(arrival, 0, sizeof(Arrival))
    arrival.kept = buffer_size(&u.input) != 0
    if not arrival.kept:
        arrival.data = r.scratch
        size = receive(r, u, r.scratch, room)
        if size > 0:
            arrival.size = <uint32_t> size
    else:
        # `u.input` has the first bytes of a head: new bytes are appended to them.
        if buffer_reserve(&u.input, 4096) < 0:
            return -1
        size = receive(r, u, u.input.data + u.input.end, u.input.room - u.input.end)
        arrival.data = buffer_bytes(&u.input)
        if size > 0:
            u.input.end += size
            arrival.size = buffer_size(&u.input)
    arrival.fresh = <uint32_t> size if size > 0 else 0
    arrival.closed = size < 0
    arrival.clean = size == -1
    return 0


cdef void forget(Connection *u, const Arrival *arrival) noexcept nogil:
    if arrival.kept:
        buffer_free(&u.input)


cdef int keep_rest(Connection *u, const Arrival *arrival) noexcept nogil:
    """Keeps the bytes of an incomplete head until more arrive. Returns 0, or -1 if out of memory."""
    if arrival.kept:
        buffer_consume(&u.input, buffer_size(&u.input) - arrival.size)
        return 0
    return buffer_append(&u.input, arrival.data, arrival.size)


cdef int take_head(Reactor r, Connection *u, Arrival *arrival) noexcept nogil:
    cdef int taken
    r.arena.used = 0
    taken = parse_response(&r.head, arrival.data, arrival.size, &u.scanned, arrival.method, arrival.upgrades,
                           &r.head_limits, &r.arena)
    if taken < 0:
        arrival.refusal = -taken
        return EVENT_MALFORMED
    if taken == 0:
        return EVENT_NONE if keep_rest(u, arrival) == 0 else EVENT_NO_ROOM
    u.scanned = 0
    arrival.data += taken
    arrival.size -= taken
    arrival.taken = taken
    arrival.message = &r.head.message
    if r.head.message.status < 200 and r.head.message.status != 101:
        return EVENT_INTERIM
    arrival.headed = True
    return EVENT_HEAD


cdef int take_piece(Reactor r, Connection *u, const Exchange *x, Arrival *arrival) noexcept nogil:
    cdef Piece *piece = &arrival.piece
    cdef bint chunked = u.frames.framing == FRAMING_CHUNKED
    cdef uint64_t before = u.frames.decoded
    cdef long taken = arrival.size
    cdef Slice section
    piece.chunked = chunked and (x is NULL or client_takes_chunks(x))
    if u.frames.framing == FRAMING_CLOSE:
        piece.data = Slice(arrival.data, arrival.size)
        section.size = 0
        u.frames.decoded += arrival.size
    elif chunked and not piece.chunked:
        taken = body_open(&u.frames, arrival.data, arrival.size, &r.head_limits, &piece.data, &section)
    else:
        taken = body_pass(&u.frames, arrival.data, arrival.size, &r.head_limits, &piece.data, &section)
    if taken < 0:
        arrival.refusal = <int> -taken
        return EVENT_MALFORMED
    if section.size and x is not NULL:
        if not arrival.headed:  # the head has been sent
            r.arena.used = 0
        if http1_trailers(r, x, True, &u.frames, section, piece) < 0:
            return EVENT_NO_ROOM
    arrival.data += taken
    arrival.size -= <uint32_t> taken
    arrival.taken = <uint32_t> taken
    arrival.headed = False
    piece.size = <uint32_t> (u.frames.decoded - before)
    piece.end = u.frames.complete
    return EVENT_PIECE


cdef int next_event(Reactor r, Connection *u, const Exchange *x, Arrival *arrival) noexcept nogil:
    if arrival.closed:
        return EVENT_END if arrival.clean and not arrival.waiting and u.frames.framing == FRAMING_CLOSE else EVENT_CLOSED
    if arrival.size == 0 and not arrival.headed:
        if arrival.taken:
            forget(u, arrival)
        return EVENT_NONE
    if arrival.waiting and not arrival.headed:
        return take_head(r, u, arrival)
    return take_piece(r, u, x, arrival)


cdef void accept(Reactor r, Connection *u) noexcept nogil:
    body_restart(&u.frames, &r.head)


cdef bint has_all(Reactor r, const Connection *u, const Arrival *arrival, bint *exact) noexcept nogil:
    cdef Body body
    cdef long taken = 0
    body_start(&body, r.head.framing, r.head.message.content_length)
    if not body.complete and body.framing != FRAMING_CLOSE and arrival.size:
        taken = body_take(&body, arrival.data, arrival.size, &r.head_limits)
    exact[0] = taken == arrival.size
    return body.complete


cdef void http1_backend(BackendSide *side) noexcept:
    side.takes_chunks = True
    side.upgrades = True
    side.send = send
    side.queue_head = queue_head
    side.body = body
    side.receive = receive_answer
    side.event = next_event
    side.accept = accept
    side.has_all = has_all
    side.forget = forget
