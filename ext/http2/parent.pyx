"""HTTP/2 as the protocol of a parent; see parent.pxd."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastroute.ext.http2.chores cimport session_fail, session_spend_bytes
from fastroute.ext.http2.incoming cimport note_all_windows, receive_with
from fastroute.ext.http2.memory cimport session_memory
from fastroute.ext.http2.nghttp2 cimport *
from fastroute.ext.http2.outgoing cimport credit, end, gather, leave, note_windows, open, ping, reset, send, send_with
from fastroute.ext.http2.session cimport (
    ACCEPTED_MOST, ANSWERS_WINDOW, ANSWER_WINDOW, CONNECTION_WINDOW, PREFACE_SIZE, SESSION_MEMORY, STREAMS_MOST,
    STREAM_WINDOW, Session,
    session_of,
)
from fastroute.ext.memory.buffer cimport buffer_free, buffers_note
from fastroute.ext.message.protocol cimport PROTOCOL_HTTP2_STREAM
from fastroute.ext.message.refusal cimport REFUSAL_HTTP2_VIOLATION
from fastroute.ext.reactor.connection cimport SIDE_UPSTREAM, Connection, slab_at
from fastroute.ext.reactor.counters cimport HTTP2_BLOCK, HTTP2_CHORES, HTTP2_NO_PREFACE, HTTP2_VIOLATION
from fastroute.ext.reactor.parent cimport parent_owes, part_of_round
from fastroute.ext.reactor.reactor cimport Reactor, read_clock

cdef enum:
    FIRST_WINDOW = 65535        # of a connection (RFC 9113 section 6.9.2)
    SEND_MOST = 4194304         # bytes of a head for a client: more than any other limit allows
    TAKE_PART = 16384           # bytes that are taken at once: 0.4 ms, if each is a field
    TAKE_LEAST = 1024           # the same if many connections have work
    TAKE_TIME = 400             # microseconds after which no further part is taken in a visit
    LIMITED_HERE = 1000000000   # instead of a limit of libnghttp2

cdef nghttp2_session_callbacks *_callbacks
cdef nghttp2_option *_options


cdef Session *new_session(Reactor r, Connection *p, bint asks) noexcept nogil:
    """The session of a new parent. NULL if out of memory."""
    cdef Session *session = <Session *> calloc(1, sizeof(Session))
    cdef int made
    if session is NULL:
        return NULL
    if asks:
        made = nghttp2_session_client_new3(&session.wire, _callbacks, <void *> r, _options, session_memory())
    else:
        made = nghttp2_session_server_new3(&session.wire, _callbacks, <void *> r, _options, session_memory())
    if made != 0:
        free(session)
        return NULL
    p.parent.state = session
    p.parent.memory = SESSION_MEMORY
    p.parent.window = FIRST_WINDOW
    session.asks = asks
    session.eased = r.milliseconds
    buffers_note(SESSION_MEMORY)
    return session


cdef int begin(Reactor r, Connection *p) noexcept nogil:
    cdef Session *session = new_session(r, p, False)
    cdef nghttp2_settings_entry[5] settings
    if session is NULL:
        return -1
    session.unexplained = -PREFACE_SIZE
    settings[0] = nghttp2_settings_entry(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, r.max_streams)
    settings[1] = nghttp2_settings_entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW)
    settings[2] = nghttp2_settings_entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, r.head_limits.head)
    settings[3] = nghttp2_settings_entry(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1)
    settings[4] = nghttp2_settings_entry(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1)
    if nghttp2_submit_settings(session.wire, NGHTTP2_FLAG_NONE, settings, 5) != 0 \
            or nghttp2_session_set_local_window_size(session.wire, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) != 0:
        return -1
    parent_owes(r, p, True)     # the preface
    return gather(r, p)


cdef int begin_to_backend(Reactor r, Connection *p) noexcept nogil:
    cdef Session *session = new_session(r, p, True)
    cdef nghttp2_settings_entry[4] settings
    if session is NULL:
        return -1
    settings[0] = nghttp2_settings_entry(NGHTTP2_SETTINGS_ENABLE_PUSH, 0)
    settings[1] = nghttp2_settings_entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, ANSWER_WINDOW)
    settings[2] = nghttp2_settings_entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, r.head_limits.head)
    settings[3] = nghttp2_settings_entry(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1)
    if nghttp2_submit_settings(session.wire, NGHTTP2_FLAG_NONE, settings, 4) != 0 \
            or nghttp2_session_set_local_window_size(session.wire, NGHTTP2_FLAG_NONE, 0, ANSWERS_WINDOW) != 0:
        return -1
    return gather(r, p)         # which is sent with the first request


cdef void release(void *state) noexcept nogil:
    cdef Session *session = <Session *> state
    if session is NULL:
        return
    nghttp2_session_del(session.wire)
    buffer_free(&session.block)
    free(session)
    buffers_note(-<int64_t> SESSION_MEMORY)


cdef int64_t take(Reactor r, Connection *p, const char *data, uint32_t size) noexcept nogil:
    """Takes it in parts, for a limited time: an octet can be a field, or a frame of nine octets have a lot of work."""
    cdef uint64_t time = part_of_round(r, TAKE_TIME)
    cdef uint64_t until = r.now + time
    cdef uint32_t most = max(<uint32_t> (TAKE_PART * time // TAKE_TIME), <uint32_t> TAKE_LEAST)
    cdef uint32_t taken = 0
    cdef uint32_t part
    while taken < size and not p.parent.unseen:
        part = min(size - taken, most)
        if take_part(r, p, data + taken, part) < 0:
            return -1
        taken += part
        read_clock(r)
        p.parent.unseen = taken < size and r.now > until
    return taken


cdef int take_part(Reactor r, Connection *p, const char *data, uint32_t size) noexcept nogil:
    cdef Session *session = session_of(p)
    cdef ssize_t taken
    r.speaking = p
    taken = nghttp2_session_mem_recv(session.wire, <const uint8_t *> data, size)
    if session.resized:
        note_all_windows(r, session, p)
    r.speaking = NULL
    session.unexplained += size
    if taken >= 0 and session_spend_bytes(r, p) != 0:
        taken = NGHTTP2_ERR_CALLBACK_FAILURE
    if taken < 0:
        note_failure(r, p, taken)
        nghttp2_session_terminate_session(session.wire, code_of(session.failure))
    if gather(r, p) < 0 or taken < 0 or session.broken:
        session_fail(r, p, HTTP2_VIOLATION)
        if session.asks:
            refuse_answers(r, p)
        return -1
    parent_owes(r, p, session.open != 0 or not (session.preface or p.parent.silent))
    return 0


cdef void refuse_answers(Reactor r, Connection *p) noexcept nogil:
    """A backend has violated the protocol: its answers that are not complete cannot be used."""
    cdef uint32_t index = p.parent.streams.first
    cdef Connection *s
    while index != 0:
        s = slab_at(&r.slab, index)
        index = s.stream.link.after
        if not s.ended and s.stream.refusal == 0 and not s.stream.refused:
            s.stream.refusal = REFUSAL_HTTP2_VIOLATION


cdef uint32_t code_of(int failure) noexcept nogil:
    """The error code that the client gets."""
    if failure == HTTP2_NO_PREFACE or failure == HTTP2_VIOLATION:
        return NGHTTP2_PROTOCOL_ERROR
    return NGHTTP2_ENHANCE_YOUR_CALM


cdef void note_failure(Reactor r, Connection *p, ssize_t error) noexcept nogil:
    """libnghttp2 refuses to go on."""
    if error == NGHTTP2_ERR_BAD_CLIENT_MAGIC:
        session_fail(r, p, HTTP2_NO_PREFACE)
    elif error == NGHTTP2_ERR_FLOODED:
        session_fail(r, p, HTTP2_CHORES)
    else:
        session_fail(r, p, HTTP2_BLOCK if session_of(p).open else HTTP2_VIOLATION)


cdef int name(Reactor r, Connection *p, Connection *s) noexcept nogil:
    """The number is assigned when the request is sent, because numbers must be used in their order."""
    if p.side != SIDE_UPSTREAM:
        return -1
    note_windows(p, s)
    return 0


cdef int set_up() except -1:
    global _callbacks, _options
    if nghttp2_session_callbacks_new(&_callbacks) != 0 or nghttp2_option_new(&_options) != 0:
        raise MemoryError
    nghttp2_option_set_no_auto_window_update(_options, 1)
    nghttp2_option_set_no_closed_streams(_options, 1)
    nghttp2_option_set_peer_max_concurrent_streams(_options, STREAMS_MOST)      # until it says how many
    nghttp2_option_set_max_send_header_block_length(_options, SEND_MOST)
    nghttp2_option_set_stream_reset_rate_limit(_options, LIMITED_HERE, LIMITED_HERE)     # see chores
    receive_with(_callbacks)
    send_with(_callbacks)
    return 0

set_up()


cdef void fill(StreamProtocol *protocol) noexcept:
    protocol.messages = PROTOCOL_HTTP2_STREAM
    protocol.streams_most = STREAMS_MOST
    protocol.accepted_most = ACCEPTED_MOST
    protocol.take = take
    protocol.gather = gather
    protocol.name = name
    protocol.send = send
    protocol.open = open
    protocol.end = end
    protocol.reset = reset
    protocol.credit = credit
    protocol.leave = leave
    protocol.ping = ping
    protocol.free = release


cdef void http2_parent(StreamProtocol *protocol) noexcept:
    fill(protocol)
    protocol.begin = begin
    protocol.input_most = STREAM_WINDOW
    protocol.inputs_most = CONNECTION_WINDOW


cdef void http2_backend_parent(StreamProtocol *protocol) noexcept:
    fill(protocol)
    protocol.begin = begin_to_backend
    protocol.input_most = ANSWER_WINDOW
    protocol.inputs_most = ANSWERS_WINDOW
