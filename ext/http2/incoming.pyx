"""What a session receives; see incoming.pxd.

A block of fields is collected in the Session, because only one can be open at a time, and goes to its stream when it is
complete. Of a block that exceeds a limit the rest is decoded, because the state of the compression depends on it, but not
kept. A client is answered with 431, and that of a backend with 502.

Heads of interim answers of a backend follow one another in `Stream.head`, and the final one is the last.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp

from fastroute.ext.http2.chores cimport REQUEST_MAKES_UP, forget_some, session_fail, session_spend
from fastroute.ext.http2.fieldblock cimport SIZES, put_plain
from fastroute.ext.http2.nghttp2 cimport *
from fastroute.ext.http2.outgoing cimport note_windows, reset
from fastroute.ext.http2.session cimport FRAME_HEAD, RESETS_KEPT, Session, session_handle, session_note, session_of
from fastroute.ext.http2.upstream cimport status_of
from fastroute.ext.memory.buffer cimport Buffer, buffer_append, buffer_bytes, buffer_free, buffer_reserve, buffer_size
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.refusal cimport (
    REFUSAL_ANSWER_MALFORMED, REFUSAL_ARENA_FULL, REFUSAL_FIELDS_TOO_MANY, REFUSAL_HEAD_TOO_LARGE, REFUSAL_INTERIM_TOO_LARGE,
    REFUSAL_REQUEST_MALFORMED, REFUSAL_TRAILERS_TOO_LARGE,
)
from fastroute.ext.reactor.connection cimport Connection, handle_of, slab_at, slab_find
from fastroute.ext.reactor.counters cimport (
    FIXED_HTTP2_FAILED, HTTP2_MALFORMED, HTTP2_REFUSED, HTTP2_VIOLATION, count,
)
from fastroute.ext.reactor.fault cimport fault_note
from fastroute.ext.reactor.parent cimport CAUSE_CANCELLED, CAUSE_VIOLATION, parent_heard, parent_leave
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.reactor.stream cimport (
    stream_accept, stream_broken, stream_can_send, stream_ended, stream_receive, stream_refused, stream_wake,
)

cdef enum:
    BLOCK_FACTOR = 4            # a block of fields this many times larger than a head may be ends the connection
    BLOCKS_MOST = 2097152       # bytes of heads that have arrived and were not taken, of all streams of a connection
    HEADS_FACTOR = 2            # heads of a stream of a backend that were not taken are at most this many times larger
    FIELD_MORE = 4              # bytes of a field in HTTP/1 besides name and value: limits count them
    SETTINGS_CHORES = 5


cdef inline Connection *find(Reactor r, Session *session, int32_t id) noexcept nogil:
    """The stream; NULL if it has ended here."""
    return slab_find(&r.slab, session_handle(session, id))


# --- fields


cdef int on_begin_headers(nghttp2_session *wire, const nghttp2_frame *frame, Reactor r) noexcept nogil:
    cdef Session *session = session_of(r.speaking)
    buffer_free(&session.block)
    session.block_fields = session.block_size = 0
    session.refusal = 0
    session.has_cookie = False
    session.open = <uint32_t> frame.hd.stream_id
    return 0


cdef inline bint is_further_crumb(Session *session, const nghttp2_frame *frame, const uint8_t *name,
                                  size_t name_size) noexcept nogil:
    """Whether it is a crumb of Cookie, but not the first one of its request: all of them become one field."""
    cdef bint further
    if name_size != 6 or memcmp(name, b"cookie", 6) != 0 or frame.headers.cat != NGHTTP2_HCAT_REQUEST:
        return False
    further = session.has_cookie
    session.has_cookie = True
    return further


cdef int on_header(nghttp2_session *wire, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
                   const uint8_t *value, size_t value_size, uint8_t flags, Reactor r) noexcept nogil:
    cdef Session *session = session_of(r.speaking)
    cdef Buffer *block = &session.block
    cdef uint64_t size = <uint64_t> session.block_size + name_size + value_size + FIELD_MORE
    cdef uint32_t room
    if size > <uint64_t> BLOCK_FACTOR * r.head_limits.head:
        return NGHTTP2_ERR_CALLBACK_FAILURE
    session.block_size = <uint32_t> size
    if name[0] != c':':
        if not (session.asks or r.head_limits.keep_underscores) and memchr(name, c'_', name_size) is not NULL:
            return 0            # see drop_underscores of HTTP/1
        if not is_further_crumb(session, frame, name, name_size):
            session.block_fields += 1
    if session.block_fields > r.head_limits.fields:
        session.refusal = REFUSAL_FIELDS_TOO_MANY
    elif size > r.head_limits.head:
        session.refusal = REFUSAL_HEAD_TOO_LARGE
    if session.refusal:
        return 0
    room = <uint32_t> (SIZES + name_size + value_size)
    if block.room - block.end < room and buffer_reserve(block, room) < 0:
        return NGHTTP2_ERR_CALLBACK_FAILURE
    # libnghttp2 reports names in upper case to on_invalid_header.
    put_plain(block.data + block.end, Slice(<const char *> name, <uint32_t> name_size),
              Slice(<const char *> value, <uint32_t> value_size),
              flags & NGHTTP2_NV_FLAG_NO_INDEX != 0)
    block.end += room
    return 0


cdef int on_invalid_header(nghttp2_session *wire, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
                           const uint8_t *value, size_t value_size, uint8_t flags, Reactor r) noexcept nogil:
    """RFC 9113 section 8.2.1: such a message is malformed. By default libnghttp2 would only leave out the field."""
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE


cdef void give_block(Session *session, Buffer *into) noexcept nogil:
    buffer_free(into)           # it may have had an interim head, which was taken
    into[0] = session.block
    session.block = Buffer(NULL, 0, 0, 0)


cdef int take_head(Reactor r, Connection *p, Session *session, const nghttp2_frame *frame) noexcept nogil:
    """A request has begun."""
    cdef int32_t id = frame.hd.stream_id
    cdef Connection *s = NULL
    if <uint64_t> p.parent.heads + session.block.room <= BLOCKS_MOST:
        s = stream_accept(r, p, id, nghttp2_session_get_remote_settings(session.wire, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE))
    if s is NULL:
        fault_note(r, p, HTTP2_REFUSED)
        nghttp2_submit_rst_stream(session.wire, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM)
        return session_spend(r, r.speaking, 0, 1)
    forget_some(&session.chores, REQUEST_MAKES_UP)
    session_note(session, id, handle_of(s))
    give_block(session, &s.stream.head)
    s.stream.heads = s.stream.head.room
    p.parent.heads += s.stream.heads
    s.stream.refusal = session.refusal
    s.readable = True
    stream_wake(r, s)
    if frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
        stream_ended(r, s)
    return 0


cdef void refuse_answer(Reactor r, Connection *p, Connection *s, int refusal) noexcept nogil:
    """The answer of a backend is not used: its client gets 502."""
    s.stream.refusal = <uint16_t> refusal
    reset(r, p, s, CAUSE_CANCELLED)
    stream_broken(r, p, s)


cdef void take_answer(Reactor r, Connection *p, Session *session, Connection *s) noexcept nogil:
    """The head of an interim or of the final answer."""
    cdef Buffer *heads = &s.stream.head
    cdef const char *block = buffer_bytes(&session.block)
    cdef uint32_t size = buffer_size(&session.block)
    if session.refusal:
        refuse_answer(r, p, s, session.refusal)
        return
    if buffer_size(heads) + size > HEADS_FACTOR * r.head_limits.head \
            or <uint64_t> p.parent.heads + size > BLOCKS_MOST:
        refuse_answer(r, p, s, REFUSAL_INTERIM_TOO_LARGE if buffer_size(heads) else REFUSAL_HEAD_TOO_LARGE)
        return
    s.stream.final = status_of(block, size) >= 200
    if buffer_size(heads) == 0:
        give_block(session, heads)
    elif buffer_append(heads, block, size) < 0:
        refuse_answer(r, p, s, REFUSAL_ARENA_FULL)
        return
    p.parent.heads += heads.room - s.stream.heads
    s.stream.heads = heads.room
    s.readable = True
    stream_wake(r, s)


cdef void take_of_backend(Reactor r, Connection *p, Session *session, const nghttp2_frame *frame) noexcept nogil:
    cdef Connection *s = find(r, session, frame.hd.stream_id)
    if s is NULL or s.stream.over or s.ended:
        return
    if s.stream.final:
        take_trailers(r, session, s)
        return
    take_answer(r, p, session, s)
    if frame.hd.flags & NGHTTP2_FLAG_END_STREAM and not s.stream.over:
        stream_ended(r, s)


cdef void take_trailers(Reactor r, Session *session, Connection *s) noexcept nogil:
    if session.refusal:
        s.stream.refusal = REFUSAL_TRAILERS_TOO_LARGE
    else:
        give_block(session, &s.stream.tail)
        s.stream.tail_fields = session.block_fields
    stream_ended(r, s)


cdef int take_block(Reactor r, Connection *p, Session *session, const nghttp2_frame *frame) noexcept nogil:
    cdef Connection *s
    session.open = 0
    if session.asks:
        take_of_backend(r, p, session, frame)
        return 0
    if frame.headers.cat == NGHTTP2_HCAT_REQUEST:
        return take_head(r, p, session, frame)
    s = find(r, session, frame.hd.stream_id)
    if s is not NULL and not s.stream.over and not s.ended:
        take_trailers(r, session, s)
    return 0


# --- frames


cdef bint was_reset(const Session *session, uint32_t id) noexcept nogil:
    """Whether the stream was reset here, as far as that is still known."""
    cdef uint32_t i
    for i in range(<uint32_t> RESETS_KEPT):
        if session.resets_sent[i] == id:
            return True
    return id <= session.resets_lost


cdef bint is_reused(const Session *session, const nghttp2_frame_hd *head) noexcept nogil:
    """Whether HEADERS use the number of a stream again, or one below the highest so far. libnghttp2 ignores this
    violation (RFC 9113 section 5.1.1)."""
    return (head.stream_id <= nghttp2_session_get_last_proc_stream_id(session.wire)
            and nghttp2_session_get_stream_remote_close(session.wire, head.stream_id) < 0
            and not was_reset(session, head.stream_id))


cdef int begin_of_backend(Reactor r, Session *session, const nghttp2_frame_hd *head) noexcept nogil:
    if head.type == NGHTTP2_PUSH_PROMISE:       # our SETTINGS have come before the first request (RFC 9113 section 8.4)
        session_fail(r, r.speaking, HTTP2_VIOLATION)
        return NGHTTP2_ERR_CALLBACK_FAILURE
    if head.length and (head.type == NGHTTP2_DATA or head.type == NGHTTP2_HEADERS):
        if session_handle(session, head.stream_id):
            return 0
        if session.late > 0:
            session.late -= <int64_t> (FRAME_HEAD + head.length)
            return 0
    return session_spend(r, r.speaking, 1, 0)


cdef int on_begin_frame(nghttp2_session *wire, const nghttp2_frame_hd *head, Reactor r) noexcept nogil:
    cdef Session *session = session_of(r.speaking)
    session.fruitful = False
    if head.type != NGHTTP2_CONTINUATION:
        session.open = 0        # the last block has ended, if libnghttp2 did not report it since its stream was reset
    session.unexplained -= <int64_t> (FRAME_HEAD + head.length)
    if session.asks:
        parent_heard(r, r.speaking, head.type == NGHTTP2_PING and head.flags & NGHTTP2_FLAG_ACK != 0)
    if head.type == NGHTTP2_WINDOW_UPDATE and session.updates:
        session.updates -= 1
        return 0
    if head.type == NGHTTP2_SETTINGS:
        return session_spend(r, r.speaking, SETTINGS_CHORES, 0)
    if session.asks:
        return begin_of_backend(r, session, head)
    if (head.type == NGHTTP2_HEADERS and is_reused(session, head)) \
            or (head.type == NGHTTP2_PRIORITY and head.stream_id == 0):
        session_fail(r, r.speaking, HTTP2_VIOLATION)
        return NGHTTP2_ERR_CALLBACK_FAILURE
    if head.type == NGHTTP2_HEADERS or (head.type == NGHTTP2_DATA and head.length):
        return 0
    return session_spend(r, r.speaking, 1, 0)


cdef int on_invalid_frame(nghttp2_session *wire, const nghttp2_frame *frame, int error, Reactor r) noexcept nogil:
    """libnghttp2 resets the stream."""
    cdef Session *session = session_of(r.speaking)
    cdef Connection *s
    if frame.hd.type != NGHTTP2_HEADERS:
        return 0
    session.open = 0
    s = find(r, session, frame.hd.stream_id)
    if session.asks:
        if s is not NULL and not s.stream.over:
            refuse_answer(r, r.speaking, s, REFUSAL_ANSWER_MALFORMED)
        return 0
    if s is not NULL and not s.stream.over:
        return 0                # trailers: see on_stream_close
    fault_note(r, r.speaking, HTTP2_REFUSED if error == NGHTTP2_ERR_REFUSED_STREAM else HTTP2_MALFORMED)
    return session_spend(r, r.speaking, 0, 1)


cdef int on_frame(nghttp2_session *wire, const nghttp2_frame *frame, Reactor r) noexcept nogil:
    """A frame has arrived completely, and is valid."""
    cdef Connection *p = r.speaking
    cdef Session *session = session_of(p)
    cdef Connection *s
    if frame.hd.type == NGHTTP2_HEADERS:
        return take_block(r, p, session, frame)
    if frame.hd.type == NGHTTP2_SETTINGS:
        session.preface = session.resized = True
        if session.asks:
            p.parent.most = nghttp2_session_get_remote_settings(wire, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
            p.endpoint.streams = p.parent.most
        return 0
    if frame.hd.type == NGHTTP2_GOAWAY:
        parent_leave(r, p)
        return 0
    if frame.hd.stream_id == 0:
        p.parent.window = nghttp2_session_get_remote_window_size(wire)
        return 0
    s = find(r, session, frame.hd.stream_id)
    if s is NULL or s.stream.over:
        return 0
    if frame.hd.type == NGHTTP2_DATA:
        if frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
            stream_ended(r, s)
        elif not session.fruitful and frame.hd.length:
            return session_spend(r, r.speaking, 1, 0)      # padding only
    elif frame.hd.type == NGHTTP2_RST_STREAM:
        if session.asks and frame.rst_stream.error_code == NGHTTP2_REFUSED_STREAM and not s.stream.final:
            stream_refused(r, p, s)
        else:
            stream_broken(r, p, s)
        return session_spend(r, r.speaking, 0, 0 if s.stream.said_end else 1)
    elif frame.hd.type == NGHTTP2_WINDOW_UPDATE:
        stream_can_send(r, p, s, frame.window_update.window_size_increment)
        note_windows(p, s)
    return 0


cdef int on_content(nghttp2_session *wire, uint8_t flags, int32_t id, const uint8_t *data, size_t size,
                    Reactor r) noexcept nogil:
    cdef Connection *p = r.speaking
    cdef Connection *s = find(r, session_of(p), id)
    session_of(p).fruitful = True
    if s is NULL or s.stream.over or s.ended:       # it has ended here
        return nghttp2_session_consume_connection(wire, size)
    if stream_receive(r, p, s, <const char *> data, <uint32_t> size) < 0:
        reset(r, p, s, CAUSE_VIOLATION)
        stream_broken(r, p, s)
        return nghttp2_session_consume_connection(wire, size)
    return 0


cdef void end_of_backend(Reactor r, Connection *p, Connection *s, uint32_t code) noexcept nogil:
    """After a GOAWAY, streams with higher numbers were not processed. Otherwise the answer was malformed."""
    if code == NGHTTP2_REFUSED_STREAM and not s.stream.final:
        stream_refused(r, p, s)
        return
    if not s.ended:
        s.stream.refusal = REFUSAL_ANSWER_MALFORMED
    stream_broken(r, p, s)


cdef void end_of_client(Reactor r, Connection *p, Connection *s) noexcept nogil:
    """libnghttp2 has reset the stream, because its content or its trailers are malformed. The line of the exchange says so."""
    s.stream.refusal = REFUSAL_REQUEST_MALFORMED
    if s.exchange is NULL:
        fault_note(r, p, HTTP2_MALFORMED)
    else:
        count(r.counters, FIXED_HTTP2_FAILED + HTTP2_MALFORMED, 1)
    stream_broken(r, p, s)


cdef int on_stream_close(nghttp2_session *wire, int32_t id, uint32_t code, Reactor r) noexcept nogil:
    """Both sides have ended the stream, or one has reset it: libnghttp2 itself too, if the peer violated the protocol."""
    cdef Session *session = session_of(r.speaking)
    cdef Connection *s = find(r, session, id)
    session.found = 0           # libnghttp2 does not know it any more
    if code == NGHTTP2_NO_ERROR:
        forget_some(&session.resets, 1)
    elif s is not NULL and not s.stream.over and session.asks:
        end_of_backend(r, r.speaking, s, code)
    elif s is not NULL and not s.stream.over:
        end_of_client(r, r.speaking, s)
        return session_spend(r, r.speaking, 0, 1)
    return 0


cdef void note_all_windows(Reactor r, Session *session, Connection *p) noexcept nogil:
    cdef uint32_t index = p.parent.streams.first
    cdef Connection *s
    session.resized = False
    while index != 0:
        s = slab_at(&r.slab, index)
        index = s.stream.link.after
        if not s.stream.over and not s.stream.said_end:
            note_windows(p, s)


cdef void receive_with(nghttp2_session_callbacks *callbacks) noexcept:
    set_begin_frame(callbacks, <void *> on_begin_frame)
    set_begin_headers(callbacks, <void *> on_begin_headers)
    set_header(callbacks, <void *> on_header)
    set_invalid_header(callbacks, <void *> on_invalid_header)
    set_data_chunk_recv(callbacks, <void *> on_content)
    set_frame_recv(callbacks, <void *> on_frame)
    set_invalid_frame_recv(callbacks, <void *> on_invalid_frame)
    set_stream_close(callbacks, <void *> on_stream_close)
