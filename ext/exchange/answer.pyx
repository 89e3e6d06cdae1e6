"""Local responses; see answer.pxd. docs/reference/responses.md lists when each status is returned."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.stdio cimport snprintf
from libc.string cimport memset, strlen

from fastroute.ext.exchange.attempt cimport attempt_end
from fastroute.ext.exchange.record cimport record_end
from fastroute.ext.exchange.webcall cimport webcall_send
from fastroute.ext.memory.decimal cimport DECIMAL_MOST, decimal
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.date cimport write_date
from fastroute.ext.message.content cimport content_add
from fastroute.ext.message.grpc cimport CALL_GRPC, GRPC_UNAVAILABLE, grpc_status_of
from fastroute.ext.message.grpcweb cimport web_is_between, web_type
from fastroute.ext.message.local cimport LOCAL_FIELDS, LocalAnswer, local_compose, local_trailers
from fastroute.ext.message.message cimport BODY_LENGTH, VERSION_HTTP2, VERSION_TCP, Field, Message
from fastroute.ext.message.reason cimport (
    REASON_BODY_TIMEOUT, REASON_BODY_TOO_SLOW, REASON_CLIENT_CLOSED, REASON_UPSTREAM_TOO_SLOW, REASON_UPSTREAM_TRUNCATED,
    reason_option,
)
from fastroute.ext.message.status cimport status_phrase
from fastroute.ext.reactor.connection cimport LAYER_STREAM, slab_find
from fastroute.ext.reactor.exchange cimport (
    STAGE_FLUSHING, VERDICT_ANSWERED, VERDICT_CLOSE, VERDICT_RESET, exchange_origin, is_raw,
)
from fastroute.ext.reactor.reactor cimport DISCARD_BYTES, break_down
from fastroute.ext.routing.cors cimport CORS_FIELDS, PREFLIGHT_FIELDS, cors_fields
from fastroute.ext.routing.filters cimport filter_own_response, filters_change_responses
from fastroute.ext.routing.tables cimport reason_name
from fastroute.ext.sides.arrival cimport Piece
from fastroute.ext.sides.client cimport client_abort, client_body, client_head, client_sees_cut

cdef enum:
    LINE = 128      # maximum bytes of the one line of text
    FIELDS = LOCAL_FIELDS + CORS_FIELDS + PREFLIGHT_FIELDS


cdef bint ends_connection(uint16_t status) noexcept nogil:
    """Whether the rest of the connection cannot be trusted after a response with this status."""
    return (status == 400 or status == 408 or status == 413 or status == 414 or status == 431 or status == 501
            or status == 505)


cdef bint can_be_discarded(const Exchange *x) noexcept nogil:
    if x.discarded > DISCARD_BYTES:
        return False
    if x.request_body.complete:
        return True
    if x.expects and x.request_body.size == 0:
        return False
    return x.request_body.declared != BODY_LENGTH or x.request_body.left <= DISCARD_BYTES


cdef Slice date_now(Reactor r) noexcept nogil:
    cdef Slice date
    cdef int64_t second = (<int64_t> r.now + r.wall) // 1000000
    if second != r.date_second:
        r.date_second = second
        write_date(r.date, second)
    date.data = r.date
    date.size = 29
    return date


cdef uint32_t write_cause(char *line, uint32_t size, const Exchange *x, const Answer *own) noexcept nogil:
    """Writes the reason, and the option that sets the limit that was exceeded, if any, after the first `size` bytes of
    the line. Returns the size of the line, which is less than LINE."""
    cdef const char *option = reason_option(own.reason)
    size += snprintf(line + size, LINE - size, "%s", reason_name(own.reason))
    if x.option is not NULL:
        snprintf(line + size, LINE - size, ": %s (%s)", x.cause, x.option)
    elif option is not NULL:
        snprintf(line + size, LINE - size, " (%s)", option)
    return <uint32_t> strlen(line)


cdef uint32_t write_line(char *line, const Exchange *x, const Answer *own) noexcept nogil:
    """Writes the text of a response, at most LINE bytes: status, cause, and a newline. Returns its size."""
    cdef uint32_t size = snprintf(line, LINE, "%d %s: ", <int> own.status, status_phrase(own.status))
    size = write_cause(line, size, x, own)
    line[size] = c'\n'
    return size + 1


cdef int modify(Reactor r, const Exchange *x, uint16_t status, Message *message) noexcept nogil:
    """Applies the ResponseHeaderModifiers of the rule to a local response that belongs to the rule: a redirect, a
    preflight response, or an error in place of a backend's response. `status`: of the response, or the one that its status
    of gRPC replaces. Returns 0, or -1 if the arena is full.

    A response that ends the connection concerns the request itself, and may precede the choice of a rule: no filter
    changes it.
    """
    if x.rule is NULL or not filters_change_responses(x.rule.filters) or ends_connection(status):
        return 0
    return filter_own_response(x.rule.filters, message, &r.arena)


cdef int send(Reactor r, Connection *c, Exchange *x, LocalAnswer *local, const Answer *own) noexcept nogil:
    """Sends the answer as a message. Returns 0, or -1 if that is impossible."""
    cdef Field fields[FIELDS]
    cdef Message message
    cdef char line[LINE]
    cdef char[DECIMAL_MOST] digits
    cdef Piece text
    cdef uint32_t head
    if x.grpc_outcome:
        local.grpc_status = decimal(digits, x.grpc_outcome - 1)
        local.grpc_message = Slice(&line[0], write_cause(line, 0, x, own))
        local.grpc_type = web_type(x.web or <int> CALL_GRPC)
    else:
        local.size = write_line(line, x, own)
    if local_compose(&message, local, fields, FIELDS, &r.arena) < 0 or modify(r, x, own.status, &message) < 0:
        return -1
    head = client_head(r, c, x, &message, x.close)
    text = Piece(Slice(&line[0], local.size if message.has_body else 0), 0, False, True, NULL)
    return client_body(r, c, x, head, &text) if head else -1


cdef inline bint may_get_status(const Exchange *x) noexcept nogil:
    """Whether trailers with a status of gRPC can end the answer that has begun. (Those of an answer of a declared length
    would come before its end, and those of gRPC-Web may not come within a message.)"""
    if not x.grpc_begun or x.response_body.complete:
        return False
    if x.translated:
        return web_is_between(&x.frames)
    return x.version == VERSION_HTTP2 and x.response_body.declared != BODY_LENGTH


cdef inline int end_body(Reactor r, Connection *c, Exchange *x, const Piece *last) noexcept nogil:
    return webcall_send(r, c, x, 0, last) if x.translated else client_body(r, c, x, 0, last)


cdef int end_call(Reactor r, Connection *c, Exchange *x, uint8_t status, const Answer *own) noexcept nogil:
    """Ends an answer that has begun with this status of gRPC. `own.status`: that of HTTP which it replaces; 0: none."""
    cdef Field fields[LOCAL_FIELDS]
    cdef LocalAnswer local
    cdef Message trailers
    cdef char line[LINE]
    cdef char[DECIMAL_MOST] digits
    cdef Piece last = Piece(Slice(NULL, 0), 0, False, True, &trailers)
    memset(&local, 0, sizeof(LocalAnswer))
    local.grpc_status = decimal(digits, status)
    local.grpc_message = Slice(&line[0], write_cause(line, 0, x, own))
    r.arena.used = 0
    if c.layer != LAYER_STREAM:     # before the last piece is sent: it may say that the connection ends
        x.close = x.close or ends_connection(own.status) or not can_be_discarded(x)
    if local_trailers(&trailers, &local, fields, LOCAL_FIELDS, &r.arena) < 0 or end_body(r, c, x, &last) < 0:
        return break_off(r, c, x, own.reason)
    attempt_end(r, x, False)
    x.upstream_ended = x.upstream_ended or r.now
    x.grpc_outcome = status + 1
    x.reason = own.reason
    x.deadline = 0
    x.stage = STAGE_FLUSHING
    content_add(&x.response_body, 0, True)
    return VERDICT_ANSWERED


cdef int decline(Reactor r, Connection *c, Exchange *x, uint16_t reason) noexcept nogil:
    """Ends a connection whose bytes would be passed on: nothing can be said in them. Also the end of TLS would say that the
    backend has ended."""
    if x.answered:
        return break_off(r, c, x, reason)
    attempt_end(r, x, False)
    if x.upstream_started:
        x.upstream_ended = r.now
    x.local = True
    x.reason = reason
    record_end(r, c, x)
    return VERDICT_RESET if x.version == VERSION_TCP or c.tls is not NULL else VERDICT_CLOSE


cdef int answer(Reactor r, Connection *c, Exchange *x, const Answer *own) noexcept nogil:
    cdef Field fields[CORS_FIELDS]
    cdef LocalAnswer local
    cdef uint8_t grpc
    if is_raw(x):
        return decline(r, c, x, own.reason)
    grpc = grpc_status_of(own.status) if x.grpc and (x.web or x.version == VERSION_HTTP2) else 0
    if x.answered:
        if grpc and own.status != 408 and may_get_status(x):    # after 408 the client may read nothing
            return end_call(r, c, x, grpc, own)
        return cut_short(r, c, x, own.reason)
    attempt_end(r, x, False)
    if x.upstream_started:
        x.upstream_ended = r.now
    x.local = x.answered = True
    x.status = own.status
    x.grpc_outcome = 0
    if grpc:
        x.status = 200
        x.grpc_outcome = grpc + 1
    x.reason = own.reason
    x.deadline = 0
    x.stage = STAGE_FLUSHING
    x.close = is_leaving(r, c) or ends_connection(own.status) or not can_be_discarded(x)
    memset(&local, 0, sizeof(LocalAnswer))
    local.status = x.status
    local.method = x.method
    local.location = own.location
    local.fields = own.fields
    local.fields_count = own.fields_count
    local.date = date_now(r)
    if x.cors is not NULL and own.fields is NULL:
        local.fields = fields
        local.fields_count = cors_fields(x.cors, exchange_origin(x), fields)
    if send(r, c, x, &local, own) < 0:
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    return VERDICT_ANSWERED


cdef int answer_plainly(Reactor r, Connection *c, Exchange *x, uint16_t status, uint16_t reason) noexcept nogil:
    cdef Answer own
    r.arena.used = 0            # its content is not needed any more
    memset(&own, 0, sizeof(Answer))
    own.status = status
    own.reason = reason
    return answer(r, c, x, &own)


cdef int break_off(Reactor r, Connection *c, Exchange *x, uint16_t reason) noexcept nogil:
    cdef Connection *u = slab_find(&r.slab, x.upstream) if is_raw(x) else NULL
    if u is not NULL:
        break_down(r, u)            # the backend, too, must not take a partial stream of bytes for a complete one
    attempt_end(r, x, False)
    if x.upstream_started and x.upstream_ended == 0:
        x.upstream_ended = r.now
    if not x.local:
        x.reason = reason
    record_end(r, c, x)
    return client_abort(c, x)


cdef inline bint is_of_backend(uint16_t reason) noexcept nogil:
    return reason == REASON_UPSTREAM_TRUNCATED or reason == REASON_UPSTREAM_TOO_SLOW


cdef int cut_short(Reactor r, Connection *c, Exchange *x, uint16_t reason) noexcept nogil:
    cdef Answer own
    if is_of_backend(reason) and may_get_status(x):
        memset(&own, 0, sizeof(Answer))
        own.reason = reason
        return end_call(r, c, x, GRPC_UNAVAILABLE, &own)
    if reason == REASON_BODY_TIMEOUT or reason == REASON_BODY_TOO_SLOW or x.local or not client_sees_cut(c, x):
        return break_off(r, c, x, reason)
    attempt_end(r, x, False)
    if x.upstream_ended == 0:
        x.upstream_ended = r.now
    x.reason = reason
    x.deadline = 0
    x.stage = STAGE_FLUSHING
    x.close = True
    return VERDICT_ANSWERED
