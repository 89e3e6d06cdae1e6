"""Local responses; see answer.pxd. docs/reference/responses.md lists when each status is returned."""

from libc.stdint cimport int64_t, uint16_t, uint32_t
from libc.stdio cimport snprintf
from libc.string cimport memset, strlen

from fastroute.ext.exchange.attempt cimport attempt_end
from fastroute.ext.exchange.http1_downstream cimport client_answer, client_ends_with_close
from fastroute.ext.exchange.record cimport record_end
from fastroute.ext.http1.head cimport FRAMING_LENGTH
from fastroute.ext.http1.write cimport LocalResponse
from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.date cimport write_date
from fastroute.ext.message.fieldlist cimport append_field
from fastroute.ext.message.message cimport METHOD_HEAD, Field, Message
from fastroute.ext.message.reason cimport REASON_BODY_TIMEOUT, REASON_BODY_TOO_SLOW, REASON_CLIENT_CLOSED, reason_option
from fastroute.ext.message.status cimport status_phrase
from fastroute.ext.reactor.connection cimport LAYER_STREAM
from fastroute.ext.reactor.exchange cimport (
    STAGE_FLUSHING, VERDICT_ANSWERED, VERDICT_CLOSE, VERDICT_RESET, exchange_origin,
)
from fastroute.ext.reactor.reactor cimport DISCARD_BYTES
from fastroute.ext.routing.cors cimport CORS_FIELDS, cors_fields
from fastroute.ext.routing.filters cimport filter_own_response, filters_change_responses
from fastroute.ext.routing.tables cimport reason_name

cdef enum:
    LINE = 128      # maximum bytes of the one line of text
    TEXT_SIZE = 25

cdef const char *TEXT = b"text/plain; charset=utf-8"


cdef bint ends_connection(uint16_t status) noexcept nogil:
    """Whether the rest of the connection cannot be trusted after a response with this status."""
    return (status == 400 or status == 408 or status == 413 or status == 414 or status == 431 or status == 501
            or status == 505)


cdef bint can_be_discarded(const Exchange *x) noexcept nogil:
    if x.discarded > DISCARD_BYTES:
        return False
    if x.request_body.complete:
        return True
    if x.expects and x.request_body.decoded == 0:
        return False
    return x.request_body.framing != FRAMING_LENGTH or x.request_body.left <= DISCARD_BYTES


cdef Slice date_now(Reactor r) noexcept nogil:
    cdef Slice date
    cdef int64_t second = (<int64_t> r.now + r.wall) // 1000000
    if second != r.date_second:
        r.date_second = second
        write_date(r.date, second)
    date.data = r.date
    date.size = 29
    return date


cdef uint32_t write_line(char *line, const Exchange *x, const Answer *own) noexcept nogil:
    """Writes the text of a response, less than LINE bytes: status, reason, and the option that sets the limit that was
    exceeded, if any. Returns its size."""
    cdef const char *option = reason_option(own.reason)
    cdef int size = snprintf(line, LINE, "%d %s: %s", <int> own.status, status_phrase(own.status), reason_name(own.reason))
    if x.option is not NULL:
        snprintf(line + size, LINE - size, ": %s (%s)", x.cause, x.option)
    elif option is not NULL:
        snprintf(line + size, LINE - size, " (%s)", option)
    return <uint32_t> strlen(line)


cdef inline int state(Message *message, Arena *arena, Slice name, Slice value) noexcept nogil:
    """Adds a field unless its value is empty. Returns 0, or -1 if the arena is full."""
    return 0 if value.size == 0 or append_field(message, arena, name, value) is not NULL else -1


cdef int modify(Reactor r, const Exchange *x, LocalResponse *response) noexcept nogil:
    """Applies the ResponseHeaderModifiers of the rule to a local response that belongs to the rule: a redirect, a
    preflight response, or an error in place of a backend's response. Returns 0, or -1 if the arena is full.

    A response that ends the connection concerns the request itself, and may precede the choice of a rule: no filter
    changes it.
    """
    cdef Message message
    cdef uint32_t i
    if x.rule is NULL or not filters_change_responses(x.rule.filters) or ends_connection(response.status):
        return 0
    memset(&message, 0, sizeof(Message))
    if state(&message, &r.arena, Slice(b"Date", 4), response.date) < 0 \
            or state(&message, &r.arena, Slice(b"Location", 8), response.location) < 0:
        return -1
    for i in range(response.fields_count):
        if state(&message, &r.arena, response.fields[i].name, response.fields[i].value) < 0:
            return -1
    if response.status != 204 and state(&message, &r.arena, Slice(b"Content-Type", 12), Slice(TEXT, TEXT_SIZE)) < 0:
        return -1
    if filter_own_response(x.rule.filters, &message, &r.arena) < 0:
        return -1
    response.fields = message.fields
    response.fields_count = message.fields_count
    response.stated = True
    return 0


cdef int answer(Reactor r, Connection *c, Exchange *x, const Answer *own) noexcept nogil:
    cdef Field fields[CORS_FIELDS]
    cdef uint16_t status = own.status
    cdef LocalResponse response
    cdef char line[LINE]
    if x.answered:
        return cut_short(r, c, x, own.reason)
    attempt_end(r, x, False)
    if x.upstream_started:
        x.upstream_ended = r.now
    x.local = x.answered = True
    x.status = status
    x.reason = own.reason
    x.deadline = 0
    x.stage = STAGE_FLUSHING
    x.close = (not x.keep_alive or is_leaving(r, c) or ends_connection(status) or not can_be_discarded(x))
    memset(&response, 0, sizeof(LocalResponse))
    response.status = status
    response.to_head = x.method == METHOD_HEAD
    response.text.data = line
    response.text.size = write_line(line, x, own)
    response.location = own.location
    response.fields = own.fields
    response.fields_count = own.fields_count
    if x.cors is not NULL and own.fields is NULL:
        response.fields = fields
        response.fields_count = cors_fields(x.cors, exchange_origin(x), fields)
    response.date = date_now(r)
    if modify(r, x, &response) < 0 or client_answer(r, c, x, &response) < 0:
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
    attempt_end(r, x, False)
    if x.upstream_started and x.upstream_ended == 0:
        x.upstream_ended = r.now
    if not x.local:
        x.reason = reason
    record_end(r, c, x)
    return VERDICT_RESET if c.layer == LAYER_STREAM or (x.answered and client_ends_with_close(x)) else VERDICT_CLOSE


cdef int cut_short(Reactor r, Connection *c, Exchange *x, uint16_t reason) noexcept nogil:
    if reason == REASON_BODY_TIMEOUT or reason == REASON_BODY_TOO_SLOW or x.local or client_ends_with_close(x) \
            or c.layer == LAYER_STREAM:
        return break_off(r, c, x, reason)
    attempt_end(r, x, False)
    if x.upstream_ended == 0:
        x.upstream_ended = r.now
    x.reason = reason
    x.deadline = 0
    x.stage = STAGE_FLUSHING
    x.close = True
    return VERDICT_ANSWERED
