"""The line of a sampled request; see traceline.pxd."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport strlen

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport VERSION_UNKNOWN
from fastroute.ext.message.reason cimport REASON_NONE, reason_name
from fastroute.ext.message.tracecontext cimport SPAN_ID_TEXT, TRACE_ID_TEXT
from fastroute.ext.reactor.line cimport put, put_number, put_optional, put_string, put_text
from fastroute.ext.reactor.trace cimport Attempt, Trace
from fastroute.ext.routing.sampling cimport Sampling


cdef inline void put_id(Line *line, const char *text, uint32_t size) noexcept nogil:
    """Hex digits, which need no escapes; null if they begin with a zero byte."""
    if text[0] == 0:
        put(line, ",null", 5)
        return
    put(line, ',"', 2)
    put(line, text, size)
    put(line, '"', 1)


cdef inline void put_item(Line *line, const Slice *value) noexcept nogil:
    put(line, ",", 1)
    put_string(line, value)


cdef inline void put_whole(Line *line, const Slice *value) noexcept nogil:
    """A value that is never cut, because it decides who gets the spans; it is short (two names of Kubernetes)."""
    cdef uint32_t cut = line.cut
    line.cut = 0xFFFFFFFF
    put_item(line, value)
    line.cut = cut


cdef inline void put_count(Line *line, uint64_t number) noexcept nogil:
    put(line, ",", 1)
    put_number(line, number)


cdef inline void put_version(Line *line, int version) noexcept nogil:
    put(line, ",", 1)
    put_optional(line, version, version != VERSION_UNKNOWN)


cdef void put_attempt(Line *line, const Trace *trace, const Attempt *attempt) noexcept nogil:
    """Span, beginning and duration, endpoint, status, reason; times in microseconds, the first one from the beginning of
    the request."""
    cdef Slice label, reason
    label.data = attempt.label
    label.size = <uint32_t> strlen(attempt.label)
    reason.data = reason_name(attempt.reason) if attempt.reason != REASON_NONE else NULL
    reason.size = <uint32_t> strlen(reason.data) if reason.data is not NULL else 0
    put(line, '["', 2)
    put(line, attempt.span, SPAN_ID_TEXT)
    put(line, '"', 1)
    put_count(line, attempt.started - trace.started)
    put_count(line, attempt.ended - attempt.started)
    put_item(line, &label)
    put_count(line, attempt.status)
    put_item(line, &reason)
    put(line, "]", 1)


cdef void put_policy(Line *line, const Trace *trace) noexcept nogil:
    """Its number, and the values of the fields that it names: of the request, or else of the answer."""
    cdef const Sampling *sampling = trace.sampling
    cdef Slice value
    cdef uint32_t i
    if sampling is NULL:
        return
    put_count(line, sampling.number)
    put(line, ",[", 2)
    for i in range(sampling.names_count):
        if i:
            put(line, ",", 1)
        value = Slice(NULL, 0) if trace.values is NULL else trace.values[i]
        if value.data is NULL and trace.answered is not NULL:
            value = trace.answered[i]
        put_string(line, &value)
    put(line, "]", 1)


cdef void put_trace(Line *line, const Record *record) noexcept nogil:
    cdef const Trace *trace = record.trace
    cdef uint32_t i
    put(line, "[", 1)
    put_number(line, record.time)
    put_count(line, record.duration)
    put_id(line, trace.id, TRACE_ID_TEXT)
    put_id(line, trace.span, SPAN_ID_TEXT)
    put_id(line, trace.parent, SPAN_ID_TEXT)
    put_item(line, &record.method)
    put_item(line, &record.host)
    put_item(line, &record.path)
    put_text(line, ",false" if record.tls_version.data is NULL else ",true")
    put_version(line, record.version)
    put_count(line, record.status)
    put_item(line, &record.reason)
    put(line, ",", 1)
    put_optional(line, record.grpc_outcome - 1, record.grpc_outcome != 0)
    put_item(line, &record.client)
    put_item(line, &record.request_id)
    put_item(line, &record.user_agent)
    put_whole(line, &record.gateway)
    put_item(line, &record.listener)
    put_item(line, &record.route)
    put_item(line, &record.route_kind)
    put_item(line, &record.rule)
    put_item(line, &record.backend)
    put_count(line, record.tries)
    put_text(line, ",true" if trace.encrypted else ",false")
    put_item(line, &trace.authority)
    put_item(line, &trace.path)
    put_version(line, record.upstream_version)
    put(line, ",[", 2)
    for i in range(trace.kept):
        if i:
            put(line, ",", 1)
        put_attempt(line, trace, &trace.attempts[i])
    put(line, "]", 1)
    put_policy(line, trace)
    put(line, "]\n", 2)
