"""Requests to HTTP/2 backends, and their answers, each on a stream; see http2_backend.pxd, and backend.pxd for what each
function does.

Heads of an answer are blocks of fields in `Stream.head` (http2/incoming), and the bytes of a stream are content only. The
head of a mirrored request is the beginning of its output (Stream.opening) until it is sent.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memset

from fastroute.ext.http2.fieldblock cimport FieldList, list_keep
from fastroute.ext.http2.outgoing cimport session_keep_trailers, session_opened, session_request
from fastroute.ext.http2.request cimport read_trailers
from fastroute.ext.http2.upstream cimport first_head, list_request, read_answer
from fastroute.ext.memory.buffer cimport buffer_bytes, buffer_free, buffer_size
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport Message
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport Reactor, end_writing, receive, transmit
from fastroute.ext.reactor.stream cimport parent_of
from fastroute.ext.sides.arrival cimport (
    EVENT_CLOSED, EVENT_HEAD, EVENT_INTERIM, EVENT_MALFORMED, EVENT_NONE, EVENT_NO_ROOM, EVENT_PIECE, Arrival, Piece,
)
from fastroute.ext.sides.trailing cimport trailers_filter


# --- the request


cdef bint list_head(Reactor r, const Connection *u, const Message *message, FieldList *list) noexcept nogil:
    """The list is in `r.arena`, and its text in `r.outgoing`. False: no room."""
    return list_request(list, message, u.key.verification is not NULL, &r.arena, r.outgoing, r.outgoing_size)


cdef int send_piece(Reactor r, Connection *u, const Piece *piece, uint32_t used) noexcept nogil:
    """`used`: bytes of `r.outgoing` that are in use."""
    cdef iovec part
    u.ending = piece.end
    if piece.trailers is not NULL and session_keep_trailers(r, u, piece.trailers, used) < 0:
        return -1
    if piece.data.size == 0:
        return 0
    part = iovec(<char *> piece.data.data, piece.data.size)
    return transmit(r, u, &part, 1)


cdef int finish(Reactor r, Connection *u) noexcept nogil:
    """Ends the stream in this direction if its last content was sent; otherwise flush_stream does."""
    if u.ending and buffer_size(&u.output) == 0:
        end_writing(r, u)
    return 0


cdef int send(Reactor r, Connection *u, const Message *message, const Piece *piece) noexcept nogil:
    cdef uint32_t used = r.arena.used
    cdef bint only = piece.end and piece.data.size == 0 and piece.trailers is NULL
    cdef FieldList list
    cdef int outcome = -1
    if list_head(r, u, message, &list):
        outcome = session_request(r, u, list.fields, list.count, list.single, only)
    r.arena.used = used         # libnghttp2 has copied the list
    if outcome < 0:
        return -1
    if only:
        return session_opened(r, u)
    if send_piece(r, u, piece, list.text_used) < 0:
        session_opened(r, u)    # the fields must not stay in libnghttp2 longer than in the Message
        return -1
    return finish(r, u) if session_opened(r, u) == 0 else -1


cdef int queue_head(Reactor r, Connection *u, const Message *message) noexcept nogil:
    cdef uint32_t used = r.arena.used
    cdef FieldList list
    cdef int outcome = -1
    if list_head(r, u, message, &list):
        outcome = list_keep(&list, &u.output)
    r.arena.used = used
    u.stream.opening = buffer_size(&u.output)
    return outcome


cdef int body(Reactor r, Connection *u, const Piece *piece) noexcept nogil:
    if send_piece(r, u, piece, 0) < 0:
        return -1
    return finish(r, u)


# --- the answer


cdef inline bint has_arrived(const Connection *u) noexcept nogil:
    """Whether all content of the answer, and its trailers, have arrived."""
    return u.ended and buffer_size(&u.stream.input) == 0


cdef int receive_answer(Reactor r, Connection *u, uint32_t room, Arrival *arrival) noexcept nogil:
    cdef Connection *p = parent_of(r, u)
    cdef long size
    memset(arrival, 0, sizeof(Arrival))
    if p is not NULL:
        p.parent.heads -= u.stream.heads
    u.stream.heads = 0
    size = receive(r, u, r.scratch, room)
    arrival.data = r.scratch
    arrival.size = <uint32_t> size if size > 0 else 0
    arrival.fresh = arrival.size + buffer_size(&u.stream.head)
    arrival.closed = u.failed
    return 0


cdef void forget(Connection *u, const Arrival *arrival) noexcept nogil:
    if buffer_size(&u.stream.head) == 0:
        buffer_free(&u.stream.head)


cdef int take_head(Reactor r, Connection *u, Arrival *arrival) noexcept nogil:
    """The Message points into the head, which is freed by backend_forget."""
    cdef Slice block = Slice(buffer_bytes(&u.stream.head), 0)
    cdef bint ends = has_arrived(u) and u.stream.tail_fields == 0 and arrival.size == 0
    block.size = first_head(block.data, buffer_size(&u.stream.head))
    u.stream.head.start += block.size
    r.arena.used = 0
    arrival.taken = block.size
    arrival.refusal = -read_answer(&r.head.message, block, ends, arrival.method, &r.head_limits, &r.arena)
    if arrival.refusal:
        return EVENT_MALFORMED
    arrival.message = &r.head.message
    if r.head.message.status < 200:
        return EVENT_INTERIM
    arrival.headed = True
    return EVENT_HEAD


cdef int take_piece(Reactor r, Connection *u, const Exchange *x, Arrival *arrival) noexcept nogil:
    cdef Piece *piece = &arrival.piece
    piece.end = u.stream.bodiless or has_arrived(u)
    if arrival.size == 0 and not piece.end and not arrival.headed:
        return EVENT_NONE
    piece.data = Slice(arrival.data, arrival.size)
    piece.size = arrival.taken = arrival.size
    arrival.data += arrival.size
    arrival.size = 0
    arrival.headed = False
    if piece.end and u.stream.tail_fields and x is not NULL and not u.stream.bodiless:
        if read_trailers(&r.trailers, tail_of(u), u.stream.tail_fields, &r.arena) < 0:
            return EVENT_NO_ROOM
        trailers_filter(r, x, True, False, &r.trailers)
        piece.trailers = &r.trailers
    return EVENT_PIECE


cdef inline Slice tail_of(const Connection *u) noexcept nogil:
    return Slice(buffer_bytes(&u.stream.tail), buffer_size(&u.stream.tail))


cdef int next_event(Reactor r, Connection *u, const Exchange *x, Arrival *arrival) noexcept nogil:
    arrival.refusal = u.stream.refusal
    if arrival.refusal:
        return EVENT_MALFORMED
    if arrival.closed:
        return EVENT_CLOSED
    if not arrival.waiting or arrival.headed:
        return take_piece(r, u, x, arrival)
    return take_head(r, u, arrival) if buffer_size(&u.stream.head) else EVENT_NONE


cdef void accept(Reactor r, Connection *u) noexcept nogil:
    u.stream.bodiless = not r.head.message.has_body


cdef bint has_all(Reactor r, const Connection *u, const Arrival *arrival, bint *exact) noexcept nogil:
    exact[0] = True
    return not r.head.message.has_body or has_arrived(u)


cdef void http2_backend(BackendSide *side) noexcept:
    side.send = send
    side.queue_head = queue_head
    side.body = body
    side.receive = receive_answer
    side.event = next_event
    side.accept = accept
    side.has_all = has_all
    side.forget = forget
