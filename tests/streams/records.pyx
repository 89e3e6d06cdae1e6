"""Messages as records; see records.pxd. Importing this module fills in the rows of PROTOCOL_TESTED. It reads only records
that are complete in one read, which is enough for its tests."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdio cimport snprintf
from libc.stdlib cimport strtoul, strtoull
from libc.string cimport memchr, memcpy, memmove, memset, strlen

from fastroute.ext.memory.slice cimport Slice, arena_take
from fastroute.ext.message.authority cimport take_host
from fastroute.ext.message.fieldname cimport field_name
from fastroute.ext.message.message cimport (
    BODY_LENGTH, BODY_NONE, BODY_UNKNOWN, DROPPED_HERE, FIELD_CONTENT_LENGTH, VERSION_HTTP11, Field, Message,
)
from fastroute.ext.message.method cimport method_of
from fastroute.ext.message.octet cimport is_text
from fastroute.ext.message.path cimport take_path
from fastroute.ext.message.protocol cimport PROTOCOL_FRAMED, PROTOCOL_HTTP1, PROTOCOL_TESTED
from fastroute.ext.message.refusal cimport REFUSAL_FIELD_NAME_INVALID
from fastroute.ext.message.status cimport status_phrase
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport CODING_NONE, Exchange
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.parent cimport protocol_at
from fastroute.ext.reactor.reactor cimport SCRATCH, Reactor, put, receive, transmit
from fastroute.ext.sides.arrival cimport (
    EVENT_CLOSED, EVENT_HEAD, EVENT_INTERIM, EVENT_MALFORMED, EVENT_NONE, EVENT_PIECE, Arrival, Piece,
)
from fastroute.ext.sides.backend cimport backend_side
from fastroute.ext.sides.client cimport client_side
from fastroute.ext.sides.side cimport BackendSide, ClientSide
from fastroute.ext.sides.trailing cimport trailers_filter

cdef enum:
    PREFIX = 4

cdef Message received           # the head that was read last


# --- records


cdef bint next_record(const Arrival *arrival, uint32_t at, char *kind, Slice *payload) noexcept nogil:
    cdef const uint8_t *data = <const uint8_t *> arrival.data + at
    if arrival.size < at + PREFIX:
        return False
    kind[0] = data[0]
    payload[0] = Slice(<const char *> data + PREFIX, data[1] << 16 | data[2] << 8 | data[3])
    return arrival.size - at - PREFIX >= payload.size


cdef void take(Arrival *arrival, Slice payload) noexcept nogil:
    arrival.taken = PREFIX + payload.size
    arrival.data += arrival.taken
    arrival.size -= arrival.taken


cdef bint take_pseudo(Reactor r, Message *message, Slice name, Slice value) noexcept nogil:
    if is_text(name.data, name.size, b":method", 7):
        message.method = value
        message.method_name = method_of(value)
    elif is_text(name.data, name.size, b":authority", 10):
        message.authority = value
        return take_host(message, &r.arena) == 0
    elif is_text(name.data, name.size, b":path", 5):
        return take_path(message, value.data, value.data + value.size, &r.head_limits, &r.arena) == 0
    elif is_text(name.data, name.size, b":status", 7):
        message.status = <uint16_t> strtoul(value.data, NULL, 10)
        message.reason.data = status_phrase(message.status)
        message.reason.size = <uint32_t> strlen(message.reason.data)
    return True


cdef bint parse(Reactor r, Message *message, Slice text) noexcept nogil:
    """Reads the lines of a head, or of trailers."""
    cdef const char *at = text.data
    cdef const char *end = text.data + text.size
    cdef const char *stop
    cdef const char *colon
    cdef Field *field
    memset(message, 0, sizeof(Message))
    message.fields_room = 64
    message.fields = <Field *> arena_take(&r.arena, 64 * <uint32_t> sizeof(Field))
    message.keep_alive = message.te_trailers = True
    while at < end and message.fields is not NULL and message.fields_count < 32:
        stop = <const char *> memchr(at, b"\n", end - at)
        colon = NULL if stop is NULL else <const char *> memchr(at + 1, b":", stop - at - 1)
        if colon is NULL or colon[1] != b" ":
            return False
        field = &message.fields[message.fields_count]
        memset(field, 0, sizeof(Field))
        field.name = Slice(at, <uint32_t> (colon - at))
        field.value = Slice(colon + 2, <uint32_t> (stop - colon - 2))
        at = stop + 1
        if field.name.data[0] == b":":
            if not take_pseudo(r, message, field.name, field.value):
                return False
            continue
        field.known = field_name(field.name.data, field.name.size)
        if field.known == FIELD_CONTENT_LENGTH:
            message.content_length = strtoull(field.value.data, NULL, 10)
            message.declared = BODY_LENGTH
            field.dropped = DROPPED_HERE
        message.fields_count += 1
    return message.fields is not NULL


cdef int take_head(Reactor r, Arrival *arrival) noexcept nogil:
    cdef char kind
    cdef Slice payload
    r.arena.used = 0
    if not next_record(arrival, 0, &kind, &payload) or (kind != b"H" and kind != b"h") or not parse(r, &received, payload):
        arrival.refusal = REFUSAL_FIELD_NAME_INVALID
        return EVENT_MALFORMED
    take(arrival, payload)
    received.has_body = kind == b"H"
    if received.has_body and received.declared == BODY_NONE:
        received.declared = BODY_UNKNOWN
    arrival.message = &received
    return EVENT_INTERIM if 100 <= received.status < 200 else EVENT_HEAD


cdef int take_body(Reactor r, const Exchange *x, bint response, Arrival *arrival) noexcept nogil:
    """Takes all records that have arrived, as one piece."""
    cdef Piece *piece = &arrival.piece
    cdef uint32_t at = 0
    cdef char kind
    cdef Slice payload
    piece.data = Slice(arrival.data, 0)
    while not piece.end and next_record(arrival, at, &kind, &payload):
        at += PREFIX + payload.size
        if kind == b"D":
            memmove(<char *> piece.data.data + piece.data.size, payload.data, payload.size)
            piece.data.size += payload.size
        elif kind == b"E" and parse(r, &r.trailers, payload):
            piece.end = True
            if payload.size and x is not NULL:
                trailers_filter(r, x, response, False, &r.trailers)
                piece.trailers = &r.trailers
        else:
            arrival.refusal = REFUSAL_FIELD_NAME_INVALID
            return EVENT_MALFORMED
    arrival.data += at
    arrival.size -= at
    arrival.taken = at
    piece.size = piece.data.size
    return EVENT_PIECE


cdef inline void prefix(char *out, char kind, uint32_t size) noexcept nogil:
    out[0], out[1], out[2], out[3] = kind, <char> (size >> 16), <char> (size >> 8), <char> size


cdef uint32_t put_line(char *out, Slice name, Slice value) noexcept nogil:
    memcpy(out, name.data, name.size)
    memcpy(out + name.size, b": ", 2)
    if value.size:
        memcpy(out + name.size + 2, value.data, value.size)
    out[name.size + 2 + value.size] = b"\n"
    return name.size + value.size + 3


cdef uint32_t put_fields(char *out, const Message *message) noexcept nogil:
    cdef uint32_t size = 0
    cdef uint32_t i
    for i in range(message.fields_count):
        if not message.fields[i].dropped:
            size += put_line(out + size, message.fields[i].name, message.fields[i].value)
    return size


cdef uint32_t write_head(char *out, const Message *message) noexcept nogil:
    cdef uint32_t size = PREFIX
    cdef char number[24]
    if message.status:
        size += put_line(out + size, Slice(b":status", 7), Slice(&number[0], snprintf(number, 24, "%d", <int> message.status)))
    else:
        size += put_line(out + size, Slice(b":method", 7), message.method)
        size += put_line(out + size, Slice(b":scheme", 7), Slice(b"https", 5) if message.scheme else Slice(b"http", 4))
        size += put_line(out + size, Slice(b":authority", 10), message.authority)
        size += put_line(out + size, Slice(b":path", 5), message.path)
    size += put_fields(out + size, message)
    if message.declared == BODY_LENGTH:
        size += put_line(out + size, Slice(b"content-length", 14),
                         Slice(&number[0], snprintf(number, 24, "%llu", <unsigned long long> message.content_length)))
    prefix(out, b"H" if message.has_body else b"h", size - PREFIX)
    return size


cdef int send(Reactor r, Connection *c, uint32_t written, bint only, const Piece *piece) noexcept nogil:
    """Sends the `written` bytes of a head, if any, the content, and the end. `only`: there is no body."""
    cdef iovec parts[4]
    cdef char data[PREFIX]
    cdef char *end = r.outgoing + written
    cdef uint32_t size = 0
    cdef int count = 0
    if written:
        parts[count] = iovec(r.outgoing, written)
        count += 1
    if piece.data.size:
        prefix(data, b"D", piece.data.size)
        parts[count] = iovec(&data[0], PREFIX)
        parts[count + 1] = iovec(<char *> piece.data.data, piece.data.size)
        count += 2
    if piece.end and not only:
        if piece.trailers is not NULL:
            size = put_fields(end + PREFIX, piece.trailers)
        prefix(end, b"E", size)
        parts[count] = iovec(end, PREFIX + size)
        count += 1
    return transmit(r, c, parts, count) if count else 0


# --- towards the client


cdef int client_read(Reactor r, Connection *c, Arrival *arrival) noexcept nogil:
    cdef long size = receive(r, c, r.scratch, SCRATCH) if c.readable else 0
    memset(arrival, 0, sizeof(Arrival))
    if size <= 0:
        return EVENT_NONE if size == 0 else EVENT_CLOSED
    arrival.data = r.scratch
    arrival.size = <uint32_t> size
    return take_head(r, arrival)


cdef bint client_has_begun(const Connection *c) noexcept nogil:
    return False


cdef void client_begin(Reactor r, Connection *c, Exchange *x, int event) noexcept nogil:
    x.version = VERSION_HTTP11


cdef void client_receive(Reactor r, Connection *c, uint32_t most, Arrival *arrival) noexcept nogil:
    cdef long size = receive(r, c, r.scratch, SCRATCH) if c.readable else 0
    memset(arrival, 0, sizeof(Arrival))
    arrival.data = r.scratch
    arrival.size = <uint32_t> size if size > 0 else 0
    arrival.closed = size < 0


cdef int client_event(Reactor r, Connection *c, Exchange *x, Arrival *arrival) noexcept nogil:
    if arrival.closed:
        return EVENT_CLOSED
    return take_body(r, x, False, arrival) if arrival.size else EVENT_NONE


cdef int client_skip(Reactor r, Connection *c, Arrival *arrival) noexcept nogil:
    return 0 if take_body(r, NULL, False, arrival) == EVENT_PIECE else arrival.refusal


cdef int client_keep_rest(Connection *c, const Arrival *arrival) noexcept nogil:
    return 0


cdef bint client_interim(Reactor r, Connection *c, Exchange *x, const Message *message, uint32_t *written) noexcept nogil:
    written[0] += write_head(r.outgoing + written[0], message)
    return True


cdef uint32_t client_head(Reactor r, Connection *c, Exchange *x, const Message *message, bint close) noexcept nogil:
    x.close = False
    x.coding = CODING_NONE
    c.scanned = not message.has_body
    return write_head(r.outgoing, message)


cdef int client_body(Reactor r, Connection *c, Exchange *x, uint32_t head, const Piece *piece) noexcept nogil:
    x.sent += head + piece.data.size
    x.progress = r.milliseconds
    return send(r, c, head, c.scanned != 0, piece)


# --- towards a backend


cdef int backend_send(Reactor r, Connection *u, const Message *message, const Piece *piece) noexcept nogil:
    return send(r, u, write_head(r.outgoing, message), not message.has_body, piece)


cdef int backend_queue_head(Reactor r, Connection *u, const Message *message) noexcept nogil:
    u.requests = not message.has_body
    return put(r, u, r.outgoing, write_head(r.outgoing, message))


cdef int backend_body(Reactor r, Connection *u, const Piece *piece) noexcept nogil:
    return send(r, u, 0, u.requests != 0, piece)


cdef int backend_receive(Reactor r, Connection *u, uint32_t room, Arrival *arrival) noexcept nogil:
    cdef long size = receive(r, u, r.scratch, SCRATCH)
    memset(arrival, 0, sizeof(Arrival))
    arrival.data = r.scratch
    arrival.size = arrival.fresh = <uint32_t> size if size > 0 else 0
    arrival.closed = size < 0
    return 0


cdef int backend_event(Reactor r, Connection *u, const Exchange *x, Arrival *arrival) noexcept nogil:
    cdef int event
    if arrival.closed:
        return EVENT_CLOSED
    if arrival.waiting and not arrival.headed:
        if arrival.size == 0:
            return EVENT_NONE
        event = take_head(r, arrival)
        arrival.headed = event == EVENT_HEAD
        return event
    if arrival.size == 0 and not arrival.headed:
        return EVENT_NONE
    arrival.headed = False
    if u.scanned:
        arrival.piece.data = Slice(arrival.data, 0)
        arrival.piece.end = True
        return EVENT_PIECE
    r.arena.used = 0
    return take_body(r, x, True, arrival)


cdef void backend_accept(Reactor r, Connection *u) noexcept nogil:
    u.scanned = not received.has_body


cdef bint backend_has_all(Reactor r, const Connection *u, const Arrival *arrival, bint *exact) noexcept nogil:
    exact[0] = True
    return not received.has_body


cdef void backend_forget(Connection *u, const Arrival *arrival) noexcept nogil:
    pass


# --- registration


cdef void fill() noexcept:
    cdef ClientSide *client = client_side(PROTOCOL_TESTED)
    cdef BackendSide *backend = backend_side(PROTOCOL_TESTED)
    client.read = client_read
    client.has_begun = client_has_begun
    client.begin = client_begin
    client.receive = client_receive
    client.event = client_event
    client.skip = client_skip
    client.keep_rest = client_keep_rest
    client.interim = client_interim
    client.head = client_head
    client.body = client_body
    backend.send = backend_send
    backend.queue_head = backend_queue_head
    backend.body = backend_body
    backend.receive = backend_receive
    backend.event = backend_event
    backend.accept = backend_accept
    backend.has_all = backend_has_all
    backend.forget = backend_forget

fill()


def speak(bint records):
    """Whether the streams of framing.pyx that are opened from now on carry records instead of HTTP/1.1."""
    protocol_at(PROTOCOL_FRAMED).messages = PROTOCOL_TESTED if records else PROTOCOL_HTTP1
