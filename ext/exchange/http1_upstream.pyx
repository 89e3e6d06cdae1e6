"""Requests to HTTP/1 backends, and their answers; see http1_upstream.pxd.

Bodies are passed on unchanged, in chunks if they came in chunks, except for a client that takes no chunks: then their
content is.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memmove, memset

from fastroute.ext.exchange.http1_downstream cimport client_takes_chunks
from fastroute.ext.exchange.trailing cimport trailers_pass
from fastroute.ext.http1.body cimport Body, body_decode, body_pass, body_start, body_take
from fastroute.ext.http1.head cimport FRAMING_CHUNKED, FRAMING_CLOSE
from fastroute.ext.http1.parser cimport parse_response
from fastroute.ext.http1.write cimport write_request
from fastroute.ext.memory.buffer cimport (
    buffer_append, buffer_bytes, buffer_consume, buffer_free, buffer_reserve, buffer_size,
)
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.reactor.exchange cimport STAGE_WAITING
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport SCRATCH, receive, transmit


# --- the request


cdef uint32_t backend_write(Reactor r, const Message *message) noexcept nogil:
    return write_request(r.outgoing, r.outgoing_size, message)


cdef int backend_send(Reactor r, Connection *u, Exchange *x, const char *body, uint32_t size) noexcept nogil:
    cdef iovec parts[2]
    parts[0].iov_base = r.outgoing
    parts[0].iov_len = backend_write(r, &x.request)
    parts[1].iov_base = <char *> body
    parts[1].iov_len = size
    return transmit(r, u, parts, 2 if size else 1)


# --- the answer


cdef int backend_receive(Reactor r, Connection *u, Arrival *arrival) noexcept nogil:
    cdef long size
    memset(arrival, 0, sizeof(Arrival))
    arrival.kept = buffer_size(&u.input) != 0
    if not arrival.kept:
        arrival.data = r.scratch
        size = receive(r, u, r.scratch, SCRATCH)
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
    arrival.closed = size < 0
    arrival.clean = size == -1
    return 0


cdef void backend_forget(Connection *u, const Arrival *arrival) noexcept nogil:
    if arrival.kept:
        buffer_free(&u.input)


cdef int keep_rest(Connection *u, const Arrival *arrival) noexcept nogil:
    """Keeps the bytes of an incomplete head until more arrive. Returns 0, or -1 if out of memory."""
    if arrival.kept:
        buffer_consume(&u.input, buffer_size(&u.input) - arrival.size)
        return 0
    return buffer_append(&u.input, arrival.data, arrival.size)


cdef int take_head(Reactor r, const Exchange *x, Connection *u, Arrival *arrival) noexcept nogil:
    cdef int taken
    r.arena.used = 0
    taken = parse_response(&r.head, arrival.data, arrival.size, &u.scanned, x.method, x.upgrades, &r.head_limits,
                           &r.arena)
    if taken < 0:
        arrival.refusal = -taken
        return EVENT_MALFORMED
    if taken == 0:
        return EVENT_NONE if keep_rest(u, arrival) == 0 else EVENT_NO_ROOM
    u.scanned = 0
    arrival.data += taken
    arrival.size -= taken
    arrival.taken = taken
    if r.head.message.status < 200 and r.head.message.status != 101:
        return EVENT_INTERIM
    arrival.headed = True
    return EVENT_HEAD


cdef long decode(Reactor r, Exchange *x, Arrival *arrival) noexcept nogil:
    """Removes chunk framing in place: the piece is the content. Returns the bytes taken or -Refusal."""
    cdef const char *content
    cdef uint32_t size
    cdef uint32_t at = 0
    cdef long taken
    while at < arrival.size and not x.response_body.complete:
        taken = body_decode(&x.response_body, arrival.data + at, arrival.size - at, &r.head_limits, &content, &size)
        if taken < 0:
            return taken
        memmove(arrival.data + arrival.piece.data.size, content, size)
        arrival.piece.data.size += size
        at += <uint32_t> taken
    return at


cdef int take_piece(Reactor r, Exchange *x, Arrival *arrival) noexcept nogil:
    cdef Piece *piece = &arrival.piece
    cdef bint chunked = x.response_body.framing == FRAMING_CHUNKED
    cdef long taken = arrival.size
    cdef Slice section
    piece.data = Slice(arrival.data, 0)
    piece.chunked = chunked and client_takes_chunks(x)
    if chunked and not piece.chunked:
        taken = decode(r, x, arrival)
    elif x.response_body.framing == FRAMING_CLOSE:
        piece.data.size = arrival.size
    else:
        taken = body_pass(&x.response_body, arrival.data, arrival.size, &r.head_limits, &piece.data, &section)
        if taken >= 0:
            r.arena.used = 0        # the head has been written
            if trailers_pass(r, x, &x.response_body, &piece.data, section) < 0:
                return EVENT_NO_ROOM
    if taken < 0:
        arrival.refusal = <int> -taken
        return EVENT_MALFORMED
    arrival.data += taken
    arrival.size -= <uint32_t> taken
    arrival.headed = False
    piece.end = x.response_body.complete
    return EVENT_PIECE


cdef int backend_event(Reactor r, Exchange *x, Connection *u, Arrival *arrival) noexcept nogil:
    if arrival.closed:
        return EVENT_CLOSED
    if arrival.size == 0 and not arrival.headed:
        if arrival.taken:
            backend_forget(u, arrival)
        return EVENT_NONE
    if x.stage == STAGE_WAITING and not arrival.headed:
        return take_head(r, x, u, arrival)
    return take_piece(r, x, arrival)


cdef void backend_accept(Reactor r, Exchange *x) noexcept nogil:
    x.upstream_keeps = r.head.message.keep_alive
    body_start(&x.response_body, r.head.framing, r.head.message.content_length)
    x.response_body.nominated = r.head.nominates


cdef bint backend_has_all(Reactor r, const Arrival *arrival, bint *exact) noexcept nogil:
    cdef Body body
    cdef long taken = 0
    body_start(&body, r.head.framing, r.head.message.content_length)
    if not body.complete and body.framing != FRAMING_CLOSE and arrival.size:
        taken = body_take(&body, arrival.data, arrival.size, &r.head_limits)
    exact[0] = taken == arrival.size
    return body.complete


cdef bint backend_is_reusable(const Exchange *x, const Connection *u, bint keeps, bint exact) noexcept nogil:
    return exact and keeps and x.request_body.complete and not x.upload_over and buffer_size(&u.output) == 0
