"""Counters and log lines of exchanges; see record.pxd.

Byte counts include heads and framing. An answer is counted in the series with the names of its log line: the series of
its target, else of its rule, else of its listener, else the series without names.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport malloc
from libc.string cimport memcpy, memset, strlen

from fastroute.ext.exchange.tracing cimport tracing_ended
from fastroute.ext.message.grpc cimport grpc_has_failed
from fastroute.ext.message.message cimport (
    VERSION_HTTP11, VERSION_HTTP2, VERSION_TCP, VERSION_TLS, VERSION_UNKNOWN,
)
from fastroute.ext.message.octet cimport is_text
from fastroute.ext.message.protocol cimport PROTOCOL_HTTP2_STREAM
from fastroute.ext.reactor.counters cimport (
    FIXED_BYTES_RECEIVED, FIXED_BYTES_SENT, FIXED_LOCAL_RESPONSES, REQUESTS_NAMELESS, count, count_call, count_request,
    observe,
)
from fastroute.ext.reactor.exchange cimport (
    LOG_TEXTS, STAGE_TUNNEL, TEXT_CLIENT, TEXT_HOST, TEXT_METHOD, TEXT_PATH, TEXT_REFERER, TEXT_REQUEST_ID,
    TEXT_TRACE_ID, TEXT_USER_AGENT, exchange_note, exchange_text, is_raw, text_room,
)
from fastroute.ext.reactor.failures cimport (
    KIND_BACKEND_TIMEOUT, KIND_CLOSED, KIND_GRPC_STATUS, KIND_NONE, KIND_REFUSED, KIND_REQUEST_TIMEOUT, KIND_STATUS,
    failure_kind, failures_note,
)
from fastroute.ext.reactor.logrecord cimport Record
from fastroute.ext.reactor.stream cimport tls_of
from fastroute.ext.routing.tables cimport reason_name
from fastroute.ext.tls.tls cimport Tls, tls_version


cdef void keep(Exchange *x, const Slice *texts) noexcept nogil:
    """Keeps each LogText, if there is memory."""
    cdef uint32_t size = 0
    cdef int i
    for i in range(<int> LOG_TEXTS):
        size += texts[i].size
    if not make_room(x, size):
        return
    size = 0
    for i in range(<int> LOG_TEXTS):
        if texts[i].size:
            memcpy(x.text + size, texts[i].data, texts[i].size)
            size += texts[i].size
        x.text_ends[i] = size


cdef bint make_room(Exchange *x, uint32_t size) noexcept nogil:
    """Makes room for that much text. False: out of memory."""
    cdef char *into
    if size <= text_room(x):
        return True
    into = <char *> malloc(size)
    if into is NULL:
        return False
    x.text = into
    exchange_note(x, size)
    return True


cdef void record_name(Reactor r, Exchange *x, Slice name) noexcept nogil:
    cdef Slice[<int> LOG_TEXTS] texts
    if not r.logs:
        return
    memset(texts, 0, sizeof(texts))
    texts[<int> TEXT_HOST] = name
    keep(x, texts)


cdef void record_request(Reactor r, Exchange *x, const Message *message, Slice client, Slice request_id,
                         Slice trace_id) noexcept nogil:
    cdef Slice[<int> LOG_TEXTS] texts
    if not r.logs and x.trace is NULL:
        return
    texts[<int> TEXT_METHOD] = message.method
    texts[<int> TEXT_HOST] = message.host
    texts[<int> TEXT_PATH] = message.path
    texts[<int> TEXT_CLIENT] = client
    texts[<int> TEXT_REQUEST_ID] = request_id
    texts[<int> TEXT_TRACE_ID] = trace_id
    find_agent(message, &texts[<int> TEXT_USER_AGENT], &texts[<int> TEXT_REFERER])
    keep(x, texts)


cdef void find_agent(const Message *message, Slice *agent, Slice *referer) noexcept nogil:
    """The first User-Agent and the first Referer."""
    cdef uint32_t i
    cdef const Slice *name
    agent[0] = referer[0] = Slice(NULL, 0)
    for i in range(message.fields_count):
        name = &message.fields[i].name
        if name.size == 10 and agent.data is NULL and is_text(name.data, 10, b"user-agent", 10):
            agent[0] = message.fields[i].value
        elif name.size == 7 and referer.data is NULL and is_text(name.data, 7, b"referer", 7):
            referer[0] = message.fields[i].value


cdef Slice terminated(const char *text) noexcept nogil:
    cdef Slice slice
    slice.data = text
    slice.size = 0 if text is NULL else <uint32_t> strlen(text)
    return slice


cdef uint16_t upstream_version(const Connection *c, const Exchange *x) noexcept nogil:
    """The Version on the connection to the backend, which was begun."""
    if not is_raw(x):
        return VERSION_HTTP2 if x.spoken == PROTOCOL_HTTP2_STREAM + 1 else VERSION_HTTP11
    if x.version == VERSION_TLS and c.tls is NULL:
        return VERSION_TLS      # that of the client, passed on
    return VERSION_TLS if x.target.backend.key.verification is not NULL else VERSION_TCP


cdef void add_tls(Reactor r, Connection *c, const Exchange *x, Record *line) noexcept nogil:
    """The host of the request, and the TLS of the client."""
    cdef const Tls *tls = tls_of(r, c)
    if is_raw(x):
        line.server_name = exchange_text(x, TEXT_HOST)
    else:
        line.host = exchange_text(x, TEXT_HOST)
    if tls is not NULL:
        line.tls_version = terminated(tls_version(tls))
        if tls.name_size:
            line.server_name = Slice(&tls.name[0], tls.name_size)


cdef uint32_t record_series(const Exchange *x) noexcept nogil:
    if x.target is not NULL:
        return x.target.series
    if x.rule is not NULL:
        return x.rule.local_series
    return x.listener.series if x.listener is not NULL else <uint32_t> REQUESTS_NAMELESS


cdef void write_line(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    cdef Record line
    memset(&line, 0, sizeof(Record))
    line.time = <uint64_t> (<int64_t> x.started + r.wall)
    line.method = exchange_text(x, TEXT_METHOD)
    line.path = exchange_text(x, TEXT_PATH)
    line.user_agent = exchange_text(x, TEXT_USER_AGENT)
    line.referer = exchange_text(x, TEXT_REFERER)
    line.trace_id = exchange_text(x, TEXT_TRACE_ID)
    line.tries = x.asked_in_all
    add_tls(r, c, x, &line)
    line.version = x.version
    line.upstream_version = VERSION_UNKNOWN
    line.status = x.status
    line.grpc_outcome = x.grpc_outcome
    if x.cause is not NULL:
        line.reason = terminated(x.cause)
    elif x.reason != 0:
        line.reason = terminated(reason_name(x.reason))
    line.bytes_received = x.received
    line.bytes_sent = x.sent
    line.duration = r.now - x.started
    if x.spoken:
        line.upstream_version = upstream_version(c, x)
    if x.tries > 0:
        line.upstream = terminated(x.tried[x.tries - 1].label)
        line.upstream_duration = (x.upstream_ended if x.upstream_ended else r.now) - x.upstream_started
    if x.rule is not NULL:
        line.gateway = x.rule.gateway
        line.listener = x.rule.listener
        line.route = x.rule.route
        line.route_kind = x.rule.route_kind
        line.rule = x.rule.name
    elif x.listener is not NULL:
        line.gateway = x.listener.gateway
        line.listener = x.listener.name
    if x.target is not NULL:
        line.backend = x.target.name
    line.client = exchange_text(x, TEXT_CLIENT)
    if line.client.data is NULL:
        line.client.data = c.peer.text
        line.client.size = c.peer.text_size
    line.request_id = exchange_text(x, TEXT_REQUEST_ID)
    if r.logs:
        r.log.write(&line)
    if x.trace is not NULL:
        add_trace(r, x, &line)
        r.spans.write(&line)


cdef void add_trace(Reactor r, Exchange *x, Record *line) noexcept nogil:
    """The trace, and the request as the backend got it."""
    tracing_ended(r, x)
    line.trace = x.trace
    x.trace.authority = x.request.authority
    x.trace.path = x.request.path
    if x.target is not NULL and x.target.backend is not NULL:
        x.trace.encrypted = x.target.backend.key.verification is not NULL


cdef void record_failure(Reactor r, const Exchange *x, uint8_t kind) noexcept nogil:
    failures_note(&r.failures, x.target.backend, x.tried[x.tries - 1], kind)


cdef uint8_t last_failure(const Exchange *x) noexcept nogil:
    """The FailureKind of the last try. A failure to connect and a timeout of the rule were counted when they happened."""
    cdef uint8_t kind = failure_kind(x.reason)
    if kind != KIND_NONE:
        if kind < KIND_CLOSED or kind == KIND_BACKEND_TIMEOUT or kind == KIND_REQUEST_TIMEOUT or kind == KIND_REFUSED:
            return KIND_NONE
        return kind
    if x.local:
        return KIND_NONE
    if x.status >= 500:
        return KIND_STATUS
    return KIND_GRPC_STATUS if grpc_has_failed(x.grpc_outcome) else KIND_NONE


cdef void record_end(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    cdef uint32_t series = record_series(x)
    if x.recorded:
        return
    x.recorded = True
    if x.tries and (x.reason or x.status >= 500 or x.grpc_outcome > 1):
        record_failure(r, x, last_failure(x))
    if not is_raw(x):
        count_request(r.counters, series, x.status)
    if x.grpc_outcome:
        count_call(r.counters, series, x.grpc_outcome - 1)
    if x.rule is not NULL and x.stage != STAGE_TUNNEL and not is_raw(x):    # the duration of a tunnel is not a response time
        observe(r.counters, x.rule.duration_series, r.now - x.started)
    if x.local:
        count(r.counters, FIXED_LOCAL_RESPONSES + x.reason, 1)
    count(r.counters, FIXED_BYTES_RECEIVED, x.received)
    count(r.counters, FIXED_BYTES_SENT, x.sent)
    if r.logs or x.trace is not NULL:
        write_line(r, c, x)
