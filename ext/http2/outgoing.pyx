"""What a session sends; see outgoing.pxd.

Content is offered to libnghttp2 only while it is sent: a stream has no content for it before and after. So the order of
streams is that of the engine, and no byte is copied twice. Only the end of a stream may wait in libnghttp2: it sends no
DATA frame while a window is closed, not even one without content.
"""

from libc.stdint cimport int32_t, int64_t, uintptr_t

from fastroute.ext.http2.chores cimport CONTENT_MAKES_UP, REQUEST_MAKES_UP, UPDATE_BYTES, UPDATES_MOST, forget_some
from fastroute.ext.http2.nghttp2 cimport *
from fastroute.ext.http2.fieldblock cimport FieldList, list_begin, list_fields, list_keep
from fastroute.ext.http2.response cimport list_message, list_response
from fastroute.ext.http2.session cimport (
    ANSWERS_WINDOW, ANSWER_WINDOW, FRAME_HEAD, OFFER_LAST, OFFER_MORE, OFFER_TRAILED, RESETS_KEPT, Session, session_handle,
    session_note, session_of,
)
from fastroute.ext.memory.buffer cimport Buffer, buffer_bytes, buffer_free, buffer_reserve, buffer_size
from fastroute.ext.reactor.connection cimport handle_of, slab_find
from fastroute.ext.reactor.parent cimport (
    CAUSE_BROKEN, CAUSE_CANCELLED, CAUSE_DONE, CAUSE_REFUSED, CAUSE_VIOLATION, parent_add, parent_leave, parent_owes,
)
from fastroute.ext.reactor.reactor cimport queue
from fastroute.ext.reactor.stream cimport parent_of, stream_refused

cdef enum:
    FRAME_LEAST = 16384         # bytes of content in a frame, except in the last one
    TEACH_EACH = 256            # requests: other fields may have displaced X-Request-Id from the table meanwhile

cdef uint32_t[5] CODES          # by Cause
CODES[<int> CAUSE_DONE] = NGHTTP2_NO_ERROR
CODES[<int> CAUSE_CANCELLED] = NGHTTP2_CANCEL
CODES[<int> CAUSE_BROKEN] = NGHTTP2_INTERNAL_ERROR
CODES[<int> CAUSE_REFUSED] = NGHTTP2_REFUSED_STREAM
CODES[<int> CAUSE_VIOLATION] = NGHTTP2_PROTOCOL_ERROR


cdef int gather(Reactor r, Connection *p) noexcept nogil:
    return put_frames(r, p, True)


cdef int put_frames(Reactor r, Connection *p, bint all_) noexcept nogil:
    """Puts frames of libnghttp2 into the batch: all that it can send, or those until the fields that were submitted last.
    Returns 0, or -1 if the parent must end."""
    cdef Connection *outer = r.speaking
    cdef Session *session = session_of(p)
    cdef const uint8_t *data
    cdef ssize_t size = 0
    cdef int outcome = 0
    if session.unusable:
        return -1
    r.speaking = p
    while all_ or session.unsent:
        size = nghttp2_session_mem_send(session.wire, &data)
        if size <= 0:
            break
        if outcome == 0:        # without memory the rest is lost: nothing of it may stay in libnghttp2
            outcome = parent_add(r, p, <const char *> data, <uint32_t> size)
    r.speaking = outer
    if size < 0:
        p.parent.over = session.unusable = True
        outcome = -1
    return outcome


cdef int send(Reactor r, Connection *p, Connection *s, const char *data, uint32_t size, bint last) noexcept nogil:
    cdef Session *session = session_of(p)
    cdef int outcome
    if buffer_reserve(&p.parent.batch, size + (size // FRAME_LEAST + 2) * FRAME_HEAD) < 0:    # at once, not in steps
        return -1
    session.offered = data
    session.offered_size = size
    session.offering = s.stream.id
    session.offer = OFFER_LAST if last and buffer_size(&s.stream.parting) == 0 else OFFER_MORE
    nghttp2_session_resume_data(session.wire, s.stream.id)
    outcome = gather(r, p)
    session.offering = 0
    p.parent.window -= size - session.offered_size
    s.stream.window -= size - session.offered_size
    if outcome < 0 or session.offered_size:
        return -1
    s.stream.said_end = session.offer == OFFER_LAST
    return 0


cdef int end(Reactor r, Connection *p, Connection *s) noexcept nogil:
    cdef Session *session = session_of(p)
    cdef bint trailed = buffer_size(&s.stream.parting) != 0
    cdef int outcome
    if not s.stream.headed:
        return reset(r, p, s, CAUSE_BROKEN)
    session.offered_size = 0
    session.offering = s.stream.id
    session.offer = OFFER_TRAILED if trailed else OFFER_LAST
    nghttp2_session_resume_data(session.wire, s.stream.id)
    outcome = gather(r, p)
    session.offering = 0
    return send_trailers(r, p, s) if trailed and outcome == 0 else outcome


cdef int send_trailers(Reactor r, Connection *p, Connection *s) noexcept nogil:
    cdef Buffer *parting = &s.stream.parting
    cdef uint32_t used = r.arena.used
    cdef size_t count
    cdef nghttp2_nv *single
    cdef nghttp2_nv *fields = list_fields(buffer_bytes(parting), buffer_size(parting), &count, &single, &r.arena)
    cdef int outcome = -1
    if fields is not NULL and nghttp2_submit_trailer(session_of(p).wire, s.stream.id, fields, count) == 0:
        outcome = gather(r, p)
    r.arena.used = used
    buffer_free(parting)
    return outcome if outcome == 0 else reset(r, p, s, CAUSE_BROKEN)


cdef int reset(Reactor r, Connection *p, Connection *s, uint8_t cause) noexcept nogil:
    if s.stream.id == 0:
        return 0                # nothing of it was sent
    if cause == CAUSE_DONE and nghttp2_session_get_stream_local_close(session_of(p).wire, s.stream.id) == 0:
        return 0                # its end waits for a window: on_frame_sent resets the stream after that
    queue(r, p)
    if session_of(p).open == s.stream.id:
        session_of(p).open = 0  # libnghttp2 does not report the end of the block
    if session_of(p).asks:
        session_of(p).late = min(session_of(p).late + ANSWER_WINDOW, <int64_t> ANSWERS_WINDOW)
    session_note(session_of(p), s.stream.id, 0)
    return nghttp2_submit_rst_stream(session_of(p).wire, NGHTTP2_FLAG_NONE, s.stream.id, CODES[cause])


cdef int credit(Reactor r, Connection *p, Connection *s, uint32_t size) noexcept nogil:
    queue(r, p)
    if s.ended or s.stream.over:
        return nghttp2_session_consume_connection(session_of(p).wire, size)
    return nghttp2_session_consume(session_of(p).wire, s.stream.id, size)


cdef int ping(Reactor r, Connection *p) noexcept nogil:
    queue(r, p)
    return nghttp2_submit_ping(session_of(p).wire, NGHTTP2_FLAG_NONE, NULL)


cdef int leave(Reactor r, Connection *p, bint finally_) noexcept nogil:
    """GOAWAY twice (RFC 9113 section 6.8): the first one refuses no stream that the client may have begun just now."""
    cdef nghttp2_session *wire = session_of(p).wire
    queue(r, p)
    if session_of(p).asks and (p.parent.count or not finally_):
        return 0                # some servers send nothing more after a GOAWAY, not even what they have begun
    if not finally_:
        return nghttp2_submit_shutdown_notice(wire)
    return nghttp2_submit_goaway(wire, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(wire), NGHTTP2_NO_ERROR,
                                 NULL, 0)


cdef void note_windows(Connection *p, Connection *s) noexcept nogil:
    cdef nghttp2_session *wire = session_of(p).wire
    p.parent.window = nghttp2_session_get_remote_window_size(wire)
    if s.stream.id:
        s.stream.window = nghttp2_session_get_stream_remote_window_size(wire, s.stream.id)
    else:
        s.stream.window = nghttp2_session_get_remote_settings(wire, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE)


# --- what a client's side asks for


cdef uint32_t session_head(Reactor r, Connection *s, const Message *message) noexcept nogil:
    cdef Connection *p = parent_of(r, s)
    cdef FieldList *list
    if p is NULL:
        return 1                # nothing can be sent: session_answer says so
    list = &session_of(p).answer
    return list.size if list_response(list, message, &r.arena, r.outgoing, r.outgoing_size) else 0


cdef uint32_t session_text(Reactor r, const Connection *s) noexcept nogil:
    cdef const Connection *p = parent_of(r, s)
    return session_of(p).answer.text_used if p is not NULL else 0


cdef int session_interim(Reactor r, Connection *s) noexcept nogil:
    cdef Connection *p = parent_of(r, s)
    cdef const FieldList *list
    if p is NULL or s.stream.over:
        return -1
    list = &session_of(p).answer
    if nghttp2_submit_headers(session_of(p).wire, NGHTTP2_FLAG_NONE, s.stream.id, NULL, list.fields, list.count, NULL) != 0:
        return -1
    return gather(r, p)


cdef int session_answer(Reactor r, Connection *s, bint ends) noexcept nogil:
    cdef Connection *p = parent_of(r, s)
    cdef nghttp2_data_provider provider
    cdef const FieldList *list
    if p is NULL or s.stream.over:
        return -1
    list = &session_of(p).answer
    provider.source.ptr = NULL
    provider.read_callback = <Read> <void *> read_offered
    if nghttp2_submit_response(session_of(p).wire, s.stream.id, list.fields, list.count, NULL if ends else &provider) != 0:
        return -1
    session_of(p).unsent = s.stream.id
    s.stream.headed = True
    s.stream.said_end = ends
    return 0


cdef int session_flush(Reactor r, Connection *s) noexcept nogil:
    cdef Connection *p = parent_of(r, s)
    if p is NULL:
        return -1
    return put_frames(r, p, False)


cdef int session_keep_trailers(Reactor r, Connection *s, const Message *trailers, uint32_t used) noexcept nogil:
    cdef uint32_t before = r.arena.used
    cdef FieldList list
    cdef int outcome = -1
    if list_begin(&list, trailers.fields_count, &r.arena, r.outgoing + used, r.outgoing_size - used) \
            and list_message(&list, trailers):
        outcome = list_keep(&list, &s.stream.parting)
    r.arena.used = before
    return outcome


# --- what a backend's side asks for


cdef int session_request(Reactor r, Connection *s, const nghttp2_nv *fields, size_t count, nghttp2_nv *single,
                         bint ends) noexcept nogil:
    cdef Connection *p = parent_of(r, s)
    cdef nghttp2_data_provider provider
    cdef int32_t id
    if p is NULL or s.stream.over:
        return -1
    provider.source.ptr = NULL
    provider.read_callback = <Read> <void *> read_offered
    session_of(p).teaches = single is not NULL and session_of(p).untaught == 0
    if session_of(p).teaches:
        single.flags &= ~<uint8_t> NGHTTP2_NV_FLAG_NO_INDEX
    id = nghttp2_submit_request(session_of(p).wire, NULL, fields, count, NULL if ends else &provider,
                                <void *> <uintptr_t> handle_of(s))
    if id < 0:                  # out of memory, or of numbers
        parent_leave(r, p)
        stream_refused(r, p, s)
        return 0
    session_of(p).unsent = s.stream.id = <uint32_t> id
    s.stream.headed = True
    s.stream.said_end = ends
    begin_to_speak(r, p)
    forget_some(&session_of(p).chores, REQUEST_MAKES_UP)
    return 0


cdef void begin_to_speak(Reactor r, Connection *p) noexcept nogil:
    """From now on the backend owes its preface."""
    queue(r, p)
    if p.parent.silent:
        p.parent.silent = False
        parent_owes(r, p, not session_of(p).preface)


cdef int session_opened(Reactor r, Connection *s) noexcept nogil:
    cdef Connection *p = parent_of(r, s)
    if p is NULL or put_frames(r, p, False) < 0:
        return -1
    if session_of(p).unsent and not s.stream.over:
        session_of(p).unsent = 0
        reset(r, p, s, CAUSE_CANCELLED)     # it still waits in libnghttp2
        stream_refused(r, p, s)
    return 0


cdef int open(Reactor r, Connection *p, Connection *s, const char *fields, uint32_t size, bint last) noexcept nogil:
    cdef uint32_t used = r.arena.used
    cdef size_t count
    cdef nghttp2_nv *single
    cdef const nghttp2_nv *list = list_fields(fields, size, &count, &single, &r.arena)
    r.arena.used = used         # libnghttp2 copies the list
    if list is NULL or session_request(r, s, list, count, single, last and buffer_size(&s.stream.parting) == 0) < 0:
        return -1
    return session_opened(r, s)


# --- callbacks


cdef void note_reset(Session *session, uint32_t id) noexcept nogil:
    cdef uint32_t *slot = &session.resets_sent[session.resets_count % RESETS_KEPT]
    session.resets_lost = max(session.resets_lost, slot[0])
    slot[0] = id
    session.resets_count += 1


cdef inline void request_sent(Session *session) noexcept nogil:
    session.unsent = 0
    if session.teaches:
        session.untaught = TEACH_EACH
    if session.untaught:
        session.untaught -= 1


cdef int on_frame_sent(nghttp2_session *wire, const nghttp2_frame *frame, Reactor r) noexcept nogil:
    if frame.hd.type == NGHTTP2_HEADERS:
        if <uint32_t> frame.hd.stream_id == session_of(r.speaking).unsent:
            request_sent(session_of(r.speaking))
    elif frame.hd.type == NGHTTP2_GOAWAY and frame.goaway.error_code != NGHTTP2_NO_ERROR:
        session_of(r.speaking).broken = True
    elif frame.hd.type == NGHTTP2_RST_STREAM:
        note_reset(session_of(r.speaking), frame.hd.stream_id)
    elif frame.hd.type == NGHTTP2_DATA and frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
        return after_end(wire, frame.hd.stream_id, r)
    return 0


cdef int after_end(nghttp2_session *wire, int32_t id, Reactor r) noexcept nogil:
    """The answer of a stream that has ended here may have waited for a window. The rest of the request is not wanted."""
    if session_of(r.speaking).asks or stream_of(r, session_of(r.speaking), id) is not NULL \
            or nghttp2_session_get_stream_remote_close(wire, id) != 0:
        return 0
    return nghttp2_submit_rst_stream(wire, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR)


cdef inline Connection *stream_of(Reactor r, Session *session, int32_t id) noexcept nogil:
    """The stream; NULL if it has ended here."""
    return slab_find(&r.slab, session_handle(session, id))


cdef bint only_ends(Reactor r, Session *session, int32_t id) noexcept nogil:
    """Whether only the end of the stream is left to send: it waits for a window. A stream that has ended here without a
    reset, which would have removed its handle, has said its end."""
    cdef const Connection *s = stream_of(r, session, id)
    if s is NULL:
        return session_handle(session, id) != 0
    return s.stream.said_end


cdef ssize_t read_offered(nghttp2_session *wire, int32_t id, uint8_t *into, size_t room, uint32_t *flags,
                          nghttp2_data_source *source, Reactor r) noexcept nogil:
    """How much of the offered content the next frame has; send_offered copies it."""
    cdef Session *session = session_of(r.speaking)
    cdef uint32_t size = <uint32_t> min(room, <size_t> session.offered_size)
    if <uint32_t> id != session.offering and only_ends(r, session, id):
        flags[0] |= NGHTTP2_DATA_FLAG_NO_COPY | NGHTTP2_DATA_FLAG_EOF
        return 0
    if <uint32_t> id != session.offering or (session.offered_size == 0 and session.offer == OFFER_MORE):
        return NGHTTP2_ERR_DEFERRED
    flags[0] |= NGHTTP2_DATA_FLAG_NO_COPY
    if size == session.offered_size and session.offer != OFFER_MORE:
        flags[0] |= NGHTTP2_DATA_FLAG_EOF
        if session.offer == OFFER_TRAILED:
            flags[0] |= NGHTTP2_DATA_FLAG_NO_END_STREAM
    return size


cdef int send_offered(nghttp2_session *wire, nghttp2_frame *frame, const uint8_t *head, size_t size,
                      nghttp2_data_source *source, Reactor r) noexcept nogil:
    cdef Connection *p = r.speaking
    cdef Session *session = session_of(p)
    if parent_add(r, p, <const char *> head, FRAME_HEAD) < 0 or parent_add(r, p, session.offered, <uint32_t> size) < 0:
        return NGHTTP2_ERR_CALLBACK_FAILURE
    forget_some(&session.chores, CONTENT_MAKES_UP)
    session.updates = min(session.updates + CONTENT_MAKES_UP + <uint32_t> size // UPDATE_BYTES, <uint32_t> UPDATES_MOST)
    session.offered += size
    session.offered_size -= <uint32_t> size
    return 0


cdef void send_with(nghttp2_session_callbacks *callbacks) noexcept:
    set_frame_send(callbacks, <void *> on_frame_sent)
    set_send_data(callbacks, <void *> send_offered)
