"""The trace of a request; see tracing.pxd.

The request that is kept for all its tries has one traceparent: the span id in it is replaced at each try. A copy for a
mirror has that of the server, and so has a request that is not sampled, whose spans nobody gets. If a filter sets
another traceparent, this one is sent.

Ids are random, but not secret: a fast generator of their own makes them, which says nothing about other choices.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from fastroute.ext.memory.random cimport random_next
from fastroute.ext.memory.slice cimport Slice, arena_take
from fastroute.ext.memory.spare cimport spare_take
from fastroute.ext.message.fieldlist cimport append_field
from fastroute.ext.message.message cimport Field
from fastroute.ext.message.octet cimport hex_value, is_text
from fastroute.ext.message.reason cimport REASON_NONE
from fastroute.ext.message.tracecontext cimport (
    PARENT_TEXT, SPAN_ID_AT, SPAN_ID_TEXT, TRACE_ID_AT, TRACE_ID_TEXT, TraceContext, context_find, context_take,
    context_write, write_hex,
)
from fastroute.ext.reactor.exchange cimport exchange_note
from fastroute.ext.reactor.trace cimport ATTEMPTS_MOST, Attempt, Trace, last_attempt
from fastroute.ext.routing.router cimport Listener
from fastroute.ext.routing.sampling cimport NAMES_MOST, Rate, Sampling, rate_takes, sampling_ref


cdef enum:
    VALUE_MOST = 256            # bytes of a field's value that are kept


cdef inline uint64_t number_of(Slice trace_id) noexcept nogil:
    """The last eight octets of the id (hex digits), which decide whether the trace is sampled, as in the SDKs of
    OpenTelemetry."""
    cdef uint64_t number = 0
    cdef uint32_t i
    for i in range(16, 32):
        number = number << 4 | <uint64_t> hex_value(trace_id.data[i])
    return number


cdef inline uint64_t number_in(const uint8_t *id) noexcept nogil:
    """The same of octets."""
    cdef uint64_t number = 0
    cdef uint32_t i
    for i in range(8, 16):
        number = number << 8 | id[i]
    return number


cdef inline bint is_traced(Reactor r, const Sampling *sampling) noexcept nogil:
    if sampling is NULL:
        return r.traced
    return sampling.traced


cdef inline const Rate *own_rate(Reactor r, const Sampling *sampling) noexcept nogil:
    return &r.trace_rate if sampling is NULL or not sampling.has_rate else &sampling.rate


cdef bint follows(Reactor r, const Sampling *sampling, const TraceContext *parent) noexcept nogil:
    """Whether a request with the context of its sender is sampled."""
    if sampling is NULL:
        return parent.sampled
    if not sampling.respects:
        return rate_takes(own_rate(r, sampling), number_of(parent.trace_id))
    return parent.sampled and rate_takes(&sampling.parents, number_of(parent.trace_id))


cdef bint tracing_begin(Reactor r, Exchange *x, Message *message, const Listener *listener,
                        Slice *trace_id) noexcept nogil:
    cdef Sampling *sampling = listener.sampling if listener is not NULL else NULL
    cdef TraceContext parent
    cdef uint64_t[3] numbers
    cdef char[<int> TRACE_ID_TEXT] id
    cdef char[<int> SPAN_ID_TEXT] span
    cdef char *value
    cdef bint sampled, known
    trace_id[0] = Slice(NULL, 0)
    if not r.traces or not is_traced(r, sampling):
        if r.logs and context_find(&parent, message):
            trace_id[0] = parent.trace_id
        return True
    known = context_take(&parent, message)
    value = <char *> arena_take(&r.arena, PARENT_TEXT)
    if value is NULL:
        return False
    if known:
        memcpy(id, parent.trace_id.data, TRACE_ID_TEXT)
        sampled = follows(r, sampling, &parent)
    else:
        numbers[0] = random_next(&r.spans.random)
        numbers[1] = random_next(&r.spans.random)
        write_hex(id, <uint8_t *> numbers, 16)
        sampled = rate_takes(own_rate(r, sampling), number_in(<uint8_t *> numbers))
    numbers[2] = random_next(&r.spans.random)
    write_hex(span, <uint8_t *> &numbers[2], 8)
    context_write(value, id, span, sampled)
    trace_id[0] = Slice(value + TRACE_ID_AT, TRACE_ID_TEXT)
    if sampled:
        keep(r, x, value, parent.span_id if known else Slice(NULL, 0))
        if sampling is not NULL and x.trace is not NULL:
            x.trace.sampling = sampling_ref(sampling)
            x.trace.values = values_of(x, message, sampling)
    return append_field(message, &r.arena, Slice(b"traceparent", 11), Slice(value, PARENT_TEXT)) is not NULL


cdef void keep(Reactor r, Exchange *x, const char *value, Slice parent) noexcept nogil:
    """Keeps the ids in `value`. Without memory the request is not traced."""
    cdef Trace *trace = <Trace *> spare_take(sizeof(Trace))
    if trace is NULL:
        return
    memset(trace, 0, sizeof(Trace))
    memcpy(trace.id, value + TRACE_ID_AT, TRACE_ID_TEXT)
    memcpy(trace.span, value + SPAN_ID_AT, SPAN_ID_TEXT)
    if parent.size:
        memcpy(trace.parent, parent.data, SPAN_ID_TEXT)
    trace.started = x.started
    x.trace = trace
    exchange_note(x, sizeof(Trace))


cdef Slice *values_of(Exchange *x, const Message *message, const Sampling *sampling) noexcept nogil:
    """The values of the fields that the policy names: of each the first field that is passed on. NULL: there are no names,
    or memory is exhausted; then the span has none of them."""
    cdef Slice[<int> NAMES_MOST] found
    cdef Slice *values
    cdef uint32_t i
    cdef uint32_t size = <uint32_t> (sampling.names_count * sizeof(Slice))
    cdef char *into
    if sampling.names_count == 0:
        return NULL
    for i in range(sampling.names_count):
        found[i] = value_of(message, sampling.names[i])
        size += found[i].size
    values = <Slice *> malloc(size)
    if values is NULL:
        return NULL
    exchange_note(x, size)
    into = <char *> (values + sampling.names_count)
    for i in range(sampling.names_count):
        if found[i].data is not NULL:
            memcpy(into, found[i].data, found[i].size)
            found[i].data = into
            into += found[i].size
        values[i] = found[i]
    return values


cdef Slice value_of(const Message *message, Slice name) noexcept nogil:
    """Its first VALUE_MOST bytes; NULL: there is no such field."""
    cdef const Field *field
    cdef uint32_t i
    for i in range(message.fields_count):
        field = &message.fields[i]
        if not field.dropped and is_text(field.name.data, field.name.size, name.data, name.size):
            return Slice(field.value.data, min(field.value.size, <uint32_t> VALUE_MOST))
    return Slice(NULL, 0)


cdef void tracing_try(Reactor r, Exchange *x, const Endpoint *endpoint) noexcept nogil:
    cdef uint64_t number = random_next(&r.spans.random)
    cdef Trace *trace = x.trace
    cdef Attempt *attempt
    tracing_ended(r, x)
    if trace.kept < <uint32_t> ATTEMPTS_MOST:
        trace.kept += 1
    attempt = last_attempt(trace)
    memset(attempt, 0, sizeof(Attempt))
    write_hex(attempt.span, <uint8_t *> &number, 8)
    memcpy(attempt.label, endpoint.label, sizeof(attempt.label))
    attempt.started = r.now
    become_parent(x, attempt)


cdef void become_parent(Exchange *x, const Attempt *attempt) noexcept nogil:
    """Writes the span of the try into the request, which `x.block` holds."""
    cdef const Field *field
    cdef uint32_t i
    for i in range(x.request.fields_count):
        field = &x.request.fields[i]
        if (field.name.size == 11 and field.value.size == PARENT_TEXT
                and memcmp(field.name.data, b"traceparent", 11) == 0
                and memcmp(field.value.data + TRACE_ID_AT, x.trace.id, TRACE_ID_TEXT) == 0):
            memcpy(<char *> field.value.data + SPAN_ID_AT, attempt.span, SPAN_ID_TEXT)


cdef void tracing_failed(Exchange *x, uint16_t reason) noexcept nogil:
    cdef Attempt *attempt = last_attempt(x.trace)
    if attempt is not NULL and reason != REASON_NONE:
        attempt.reason = reason


cdef void tracing_answered(Exchange *x, const Message *message) noexcept nogil:
    cdef Attempt *attempt = last_attempt(x.trace)
    if attempt is not NULL:
        attempt.status = message.status
    if x.trace.sampling is not NULL:
        free(x.trace.answered)
        x.trace.answered = values_of(x, message, x.trace.sampling)


cdef void tracing_ended(Reactor r, Exchange *x) noexcept nogil:
    cdef Attempt *attempt = last_attempt(x.trace)
    if attempt is not NULL and attempt.ended == 0:
        attempt.ended = r.now
