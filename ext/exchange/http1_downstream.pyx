"""Bodies from HTTP/1 clients, and answers to them; see http1_downstream.pxd.

The bytes of one read are sent in one write, head and body together. Chunks are sent as they were received. A body that
came without framing is sent in chunks, so that the connection can be kept. An HTTP/1.0 client gets content only, and
the body ends when its connection closes.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset

from fastroute.ext.exchange.arrival cimport EVENT_CLOSED, EVENT_MALFORMED, EVENT_NONE, EVENT_NO_ROOM, EVENT_PIECE
from fastroute.ext.exchange.trailing cimport trailers_pass
from fastroute.ext.http1.body cimport CHUNK_HEAD_MOST, body_pass, body_start, body_take
from fastroute.ext.http1.head cimport FRAMING_CHUNKED
from fastroute.ext.http1.write cimport write_chunk_head, write_local_response, write_response
from fastroute.ext.memory.buffer cimport buffer_append, buffer_bytes, buffer_consume, buffer_size
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport BODY_UNKNOWN, VERSION_HTTP10
from fastroute.ext.reactor.exchange cimport CODING_NONE
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport SCRATCH, put, receive, transmit

cdef enum:
    SMALL = 4096            # bytes of a body that are copied after their head

cdef const char *PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"
cdef const char *LAST = b"\r\n0\r\n\r\n"       # the end of a chunk, and the last chunk


# --- the request


cdef void client_begin(Reactor r, Exchange *x) noexcept nogil:
    x.version = r.head.minor
    body_start(&x.request_body, r.head.framing, r.head.message.content_length)
    x.request_body.nominated = r.head.nominates


cdef inline uint32_t room(Reactor r, const Exchange *x) noexcept nogil:
    """How much to read at once: what is certainly left of the body, and Reactor.ahead bytes."""
    # `left` is the rest of the body or of the current chunk, or the part of a chunk size that was read: never too much.
    return SCRATCH if x.request_body.left > SCRATCH - r.ahead else <uint32_t> x.request_body.left + r.ahead


cdef void client_receive(Reactor r, Connection *c, const Exchange *x, uint32_t most, Arrival *arrival) noexcept nogil:
    cdef long size = 0
    memset(arrival, 0, sizeof(Arrival))
    arrival.kept = buffer_size(&c.input) != 0
    if arrival.kept:
        arrival.data = buffer_bytes(&c.input)
        arrival.size = buffer_size(&c.input)
    elif c.readable:
        arrival.data = r.scratch
        size = receive(r, c, r.scratch, min(room(r, x), most))
        arrival.size = <uint32_t> size if size > 0 else 0
        arrival.closed = size < 0


cdef int advance(Arrival *arrival, long taken) noexcept nogil:
    """The bytes were taken. Returns 0, or a Refusal."""
    if taken < 0:
        arrival.refusal = <int> -taken
        return arrival.refusal
    arrival.data += taken
    arrival.size -= <uint32_t> taken
    arrival.taken = <uint32_t> taken
    return 0


cdef int client_event(Reactor r, Exchange *x, Arrival *arrival) noexcept nogil:
    cdef Piece *piece = &arrival.piece
    cdef Slice section
    cdef long taken
    if arrival.closed:
        return EVENT_CLOSED
    if arrival.size == 0:
        return EVENT_NONE
    taken = body_pass(&x.request_body, arrival.data, arrival.size, &r.head_limits, &piece.data, &section)
    if advance(arrival, taken) != 0:
        return EVENT_MALFORMED
    if trailers_pass(r, x, &x.request_body, &piece.data, section) < 0:
        return EVENT_NO_ROOM
    piece.chunked = x.request_body.framing == FRAMING_CHUNKED
    piece.end = x.request_body.complete
    return EVENT_PIECE


cdef int client_skip(Reactor r, Exchange *x, Arrival *arrival) noexcept nogil:
    return advance(arrival, body_take(&x.request_body, arrival.data, arrival.size, &r.head_limits))


cdef int client_keep_rest(Connection *c, const Arrival *arrival) noexcept nogil:
    if not arrival.kept:
        return buffer_append(&c.input, arrival.data, arrival.size)
    buffer_consume(&c.input, arrival.taken)
    return 0


# --- the answer


cdef bint client_interim(Reactor r, Exchange *x, const Message *message, uint32_t *written) noexcept nogil:
    cdef uint32_t size
    if not client_knows_interim(x):
        return True
    if message.status == 100:
        x.expects = False       # the client sends the body now
    size = write_response(r.outgoing + written[0], r.outgoing_size - written[0], message, False, False)
    written[0] += size
    return size != 0


cdef int client_put(Reactor r, Connection *c, Exchange *x, uint32_t written) noexcept nogil:
    x.sent += written
    return put(r, c, r.outgoing, written)


cdef uint32_t client_head(Reactor r, Exchange *x, const Message *message, bint close) noexcept nogil:
    x.close = close or not x.keep_alive
    x.coding = CODING_NONE
    if message.has_body and message.declared == BODY_UNKNOWN:
        x.coding = CODING_CLOSE if x.version == VERSION_HTTP10 else CODING_CHUNKS
        x.close = x.close or x.version == VERSION_HTTP10
    return write_response(r.outgoing, r.outgoing_size, message, x.close, x.version == VERSION_HTTP10)


cdef inline int add_part(iovec *parts, int count, const char *data, size_t size) noexcept nogil:
    if size == 0:
        return count
    parts[count].iov_base = <char *> data
    parts[count].iov_len = size
    return count + 1


cdef int send(Reactor r, Connection *c, Exchange *x, iovec *parts, int count) noexcept nogil:
    cdef int i
    if count == 0:
        return 0
    for i in range(count):
        x.sent += parts[i].iov_len
    x.progress = r.milliseconds
    return transmit(r, c, parts, count)


cdef int client_body(Reactor r, Connection *c, Exchange *x, uint32_t head, const Piece *piece) noexcept nogil:
    cdef iovec parts[4]
    cdef int count = 0
    cdef bint chunk_it = x.coding == CODING_CHUNKS and not piece.chunked
    cdef const char *data = piece.data.data
    cdef uint32_t size = piece.data.size
    cdef char chunk[CHUNK_HEAD_MOST]
    c.ending = x.close and piece.end
    if head and not chunk_it and size <= SMALL and head + size <= r.outgoing_size:
        # Sending one part costs less than two, and copying a few bytes costs almost nothing.
        memcpy(r.outgoing + head, data, size)
        head += size
        size = 0
    count = add_part(parts, count, r.outgoing, head)
    if not chunk_it:
        count = add_part(parts, count, data, size)
    elif size:
        count = add_part(parts, count, chunk, write_chunk_head(chunk, size))
        count = add_part(parts, count, data, size)
        count = add_part(parts, count, LAST, 7 if piece.end else 2)
    elif piece.end:
        count = add_part(parts, count, LAST + 2, 5)
    return send(r, c, x, parts, count)


cdef int client_answer(Reactor r, Connection *c, Exchange *x, LocalResponse *response) noexcept nogil:
    cdef iovec part
    response.close = x.close
    response.to_http10 = x.version == VERSION_HTTP10
    c.ending = x.close
    part.iov_base = r.outgoing
    part.iov_len = write_local_response(r.outgoing, r.outgoing_size, response)
    return send(r, c, x, &part, 1) if part.iov_len else -1


cdef int client_probe(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    cdef iovec part
    part.iov_base = <char *> PROBE
    part.iov_len = 25
    x.sent += part.iov_len
    return transmit(r, c, &part, 1)
