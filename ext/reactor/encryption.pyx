"""TLS as a layer of a connection; see encryption.pxd."""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from fastroute.ext.memory.buffer cimport buffer_append, buffer_bytes, buffer_consume, buffer_size
from fastroute.ext.memory.list cimport Link
from fastroute.ext.reactor.connection cimport LAYER_SOCKET, LAYER_TLS, SIDE_UPSTREAM
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.linked cimport list_append, list_remove
from fastroute.ext.reactor.reactor cimport SCRATCH, Layer, layer_at, receive_sealed, transmit_sealed
from fastroute.ext.reactor.waiting cimport waiting_remove
from fastroute.ext.tls.tls cimport (
    PIPE_ROOM, PROGRESS_CLOSED, RECORD, RECORD_ROOM, Tls, tls_close, tls_free, tls_read, tls_write,
)

cdef enum:
    OWED_MOST = 1048576     # unsent bytes above which reading fails the connection: more than any answer puts there


cdef long receive_opened(Reactor r, Connection *c, char *into, uint32_t room) noexcept nogil:
    return open_records(r, c, into, room, room if room < SCRATCH else SCRATCH)


cdef long open_records(Reactor r, Connection *c, char *into, uint32_t room, uint32_t most) noexcept nogil:
    """`receive` with TLS: continues until there is plaintext, or no more input. `most`: encrypted bytes of one read."""
    cdef Tls *tls = c.tls
    cdef long size
    cdef uint32_t held
    while tls.over == 0:
        held = buffer_size(&tls.input)
        r.pipe.input = buffer_bytes(&tls.input)
        r.pipe.input_size = held
        if held == 0 and not tls.more:
            size = receive_sealed(r, c, r.sealed, most)
            if size == -1 and c.side == SIDE_UPSTREAM:
                return -2       # without close_notify, an answer may be cut off (RFC 9112 section 9.8)
            if size <= 0:
                return size
            r.pipe.input = r.sealed
            r.pipe.input_size = <uint32_t> size
        size = tls_read(tls, &r.pipe, into, room)
        if not keep_input(r, tls, held) or ship(r, c) < 0 or buffer_size(&c.output) > OWED_MOST:
            c.failed = True
            return -2
        if buffer_size(&tls.input) or tls.more or tls.over:
            lend_readable(c)
        elif tls.lent:
            tls.lent = False
            c.readable = c.ended or c.failed
        if size > 0:
            return size
        if tls.over == 0 and not c.readable and buffer_size(&tls.input) == 0:
            return 0
    c.readable = False
    if tls.over == PROGRESS_CLOSED:
        c.ended = True
    else:
        c.failed = True
    return tls.over


cdef bint is_quiet_opened(Reactor r, Connection *c) noexcept nogil:
    """Records without data may arrive at any time: session tickets, key updates. Uses no scratch memory that may hold a
    request."""
    cdef char byte
    if not c.tls.more and buffer_size(&c.tls.input) == 0 and layer_at(LAYER_SOCKET).is_quiet(r, c):
        return True
    c.readable = True
    return open_records(r, c, &byte, 1, SCRATCH) == 0


cdef void lend_readable(Connection *c) noexcept nogil:
    if not c.readable:
        c.readable = c.tls.lent = True


cdef bint keep_input(Reactor r, Tls *tls, uint32_t held) noexcept nogil:
    """Keeps input that libssl did not take for the next read. `held`: bytes kept before. False: out of memory."""
    if held:
        buffer_consume(&tls.input, held - r.pipe.input_size)
        return True
    return buffer_append(&tls.input, r.pipe.input, r.pipe.input_size) == 0


cdef int transmit_opened(Reactor r, Connection *c, iovec *parts, int count) noexcept nogil:
    """`transmit` with TLS: makes records as large as possible, regardless of the sizes of the parts."""
    cdef uint32_t used = 0
    cdef size_t left, piece
    cdef const char *at
    cdef int i
    for i in range(count):
        at = <const char *> parts[i].iov_base
        left = parts[i].iov_len
        while left:
            piece = RECORD - used if left > RECORD - used else left
            if used == 0 and (piece == RECORD or i + 1 == count):
                if seal(r, c, at, <uint32_t> piece) < 0:    # alone in its record: not copied
                    return -1
            else:
                memcpy(r.record + used, at, piece)
                used += <uint32_t> piece
            if used == RECORD:
                if seal(r, c, r.record, used) < 0:
                    return -1
                used = 0
            at += piece
            left -= piece
    if used and seal(r, c, r.record, used) < 0:
        return -1
    if c.ending and PIPE_ROOM - r.pipe.output_size >= RECORD_ROOM:
        tls_close(c.tls)        # with the last data, in one system call
    return ship(r, c)


cdef int seal(Reactor r, Connection *c, const char *data, uint32_t size) noexcept nogil:
    """Adds one record to the pipe. Returns 0, or -1 if the connection is broken."""
    if PIPE_ROOM - r.pipe.output_size < RECORD_ROOM and ship(r, c) < 0:
        return -1
    if tls_write(c.tls, data, size) < 0:
        r.pipe.output_size = 0
        c.failed = True
        return -1
    return 0


cdef int put_opened(Reactor r, Connection *c, const char *data, uint32_t size) noexcept nogil:
    cdef uint32_t piece
    cdef int kept = 0
    while size and kept == 0:
        piece = size if size < RECORD else RECORD
        kept = tls_write(c.tls, data, piece)
        if kept == 0:
            kept = buffer_append(&c.output, r.pipe.output, r.pipe.output_size)
        r.pipe.output_size = 0
        data += piece
        size -= piece
    return kept


cdef int ship(Reactor r, Connection *c) noexcept nogil:
    cdef iovec part
    part.iov_base = r.pipe.output
    part.iov_len = r.pipe.output_size
    r.pipe.output_size = 0
    return transmit_sealed(r, c, &part, 1) if part.iov_len else 0


cdef void end_tls(Reactor r, Connection *c) noexcept nogil:
    if not c.tls.handshaking:
        tls_close(c.tls)        # even after a reset, which does not make the session unusable (RFC 5246 section 7.2.1)
        if c.failed:
            r.pipe.output_size = 0
        else:
            c.ending = True
            ship(r, c)
    forget_tls(r, c)


cdef void forget_tls(Reactor r, Connection *c) noexcept nogil:
    if c.tls.handshaking:
        handshake_leave(r, c)
    tls_free(c.tls)
    c.tls = NULL
    c.layer = LAYER_SOCKET


cdef bint say_end_opened(Reactor r, Connection *c) noexcept nogil:
    c.ending = True
    tls_close(c.tls)
    ship(r, c)
    return c.failed or buffer_size(&c.output) == 0


cdef inline Link *tls_link(Connection *c) noexcept nogil:
    return &c.tls.link


cdef inline Link *unread_link(Connection *c) noexcept nogil:
    return &c.tls.unread_link


cdef void handshake_enter(Reactor r, Connection *c) noexcept nogil:
    c.layer = LAYER_TLS
    c.tls.handshaking = True
    list_append(&r.slab, &r.shaking, c, tls_link)
    r.handshakes += 1


cdef void handshake_leave(Reactor r, Connection *c) noexcept nogil:
    if c.tls.waiting.present:
        waiting_remove(&r.waiting, &r.slab, c)
    handshake_note(r, c, 0)
    list_remove(&r.slab, &r.shaking, c, tls_link)
    c.tls.handshaking = False
    r.handshakes -= 1


cdef void handshake_note(Reactor r, Connection *c, uint32_t unread) noexcept nogil:
    if unread != 0 and c.tls.unread == 0:
        list_append(&r.slab, &r.unread, c, unread_link)
    elif unread == 0 and c.tls.unread != 0:
        list_remove(&r.slab, &r.unread, c, unread_link)
    r.handshakes_unread += unread
    r.handshakes_unread -= c.tls.unread
    c.tls.unread = unread


cdef void fill() noexcept:
    cdef Layer *layer = layer_at(LAYER_TLS)
    layer[0] = layer_at(LAYER_SOCKET)[0]
    layer.receive = receive_opened
    layer.transmit = transmit_opened
    layer.put = put_opened
    layer.is_quiet = is_quiet_opened
    layer.say_end = say_end_opened
    layer.forget = forget_tls

fill()
