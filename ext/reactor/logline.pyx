"""One line of the access log; see logline.pxd.

In JSON, values may contain any bytes (line.pyx). In the other formats, everything that is not a printable character of
ASCII, and spaces inside of a part, is written as \\xhh, as Apache does; so no value can end its part or its line.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.time cimport gmtime_r, strftime, time_t, tm

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport VERSION_HTTP2, VERSION_UDP
from fastroute.ext.reactor.line cimport Line, put, put_escaped, put_number, put_optional, put_string, put_text
from fastroute.ext.reactor.traceline cimport put_trace


cdef enum:
    VERSIONS = VERSION_UDP + 1

# By Version: `protocol` and the name of the next member, `status`; and `upstream_protocol`.
cdef const char *PROTOCOL_NAMES[VERSIONS + 1]
PROTOCOL_NAMES[:] = [
    b',"protocol":"HTTP/1.0","status":', b',"protocol":"HTTP/1.1","status":', b',"protocol":"HTTP/2","status":',
    b',"protocol":"TCP","status":', b',"protocol":"TLS","status":', b',"protocol":"UDP","status":',
    b',"protocol":null,"status":',
]
cdef const char *UPSTREAM_NAMES[VERSIONS + 1]
UPSTREAM_NAMES[:] = [
    b',"upstream_protocol":"HTTP/1.0"', b',"upstream_protocol":"HTTP/1.1"', b',"upstream_protocol":"HTTP/2"',
    b',"upstream_protocol":"TCP"', b',"upstream_protocol":"TLS"', b',"upstream_protocol":"UDP"',
    b',"upstream_protocol":null',
]

cdef const char *VERSION_NAMES[3]
VERSION_NAMES[:] = [b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2"]

cdef enum:
    # The statuses of gRPC that are errors of the server: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL,
    # UNAVAILABLE, DATA_LOSS (as in the semantic conventions of OpenTelemetry).
    FAILED_CALLS = 1 << 2 | 1 << 4 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15


cdef inline void put_member(Line *line, const char *name, const Slice *value) noexcept nogil:
    put_text(line, name)
    put_string(line, value)


cdef inline const char *named(const char **names, uint16_t version) noexcept nogil:
    """The name of a Version; the last one is that of VERSION_UNKNOWN."""
    return names[version if version < VERSIONS else <int> VERSIONS]


cdef void put_fraction(Line *line, uint32_t microseconds) noexcept nogil:
    """A dot and six digits."""
    cdef char[7] text
    cdef int i
    text[0] = 46
    for i in range(6, 0, -1):
        text[i] = <char> (48 + microseconds % 10)
        microseconds //= 10
    put(line, text, 7)


cdef void put_json(Line *line, const Stamp *stamp, const Record *record) noexcept nogil:
    put_text(line, '{"time":"')
    put(line, stamp.iso, 19)
    put_fraction(line, <uint32_t> (record.time % 1_000_000))
    put_member(line, 'Z","method":', &record.method)
    put_member(line, ',"host":', &record.host)
    put_member(line, ',"path":', &record.path)
    put_text(line, named(PROTOCOL_NAMES, record.version))
    put_optional(line, record.status, record.status != 0)
    put_member(line, ',"reason":', &record.reason)
    put_text(line, ',"bytes_received":')
    put_number(line, record.bytes_received)
    put_text(line, ',"bytes_sent":')
    put_number(line, record.bytes_sent)
    put_text(line, ',"duration_us":')
    put_number(line, record.duration)
    put_member(line, ',"upstream":', &record.upstream)
    put_text(line, ',"upstream_duration_us":')
    put_optional(line, record.upstream_duration, record.upstream.data != NULL)
    put_member(line, ',"gateway":', &record.gateway)
    put_member(line, ',"listener":', &record.listener)
    put_member(line, ',"route":', &record.route)
    put_member(line, ',"rule":', &record.rule)
    put_member(line, ',"backend":', &record.backend)
    put_member(line, ',"client":', &record.client)
    put_member(line, ',"request_id":', &record.request_id)
    put_member(line, ',"route_kind":', &record.route_kind)
    put_member(line, ',"user_agent":', &record.user_agent)
    put_member(line, ',"referer":', &record.referer)
    put_text(line, named(UPSTREAM_NAMES, record.upstream_version))
    put_member(line, ',"tls_version":', &record.tls_version)
    put_member(line, ',"tls_server_name":', &record.server_name)
    put_text(line, ',"grpc_status":')
    put_optional(line, record.grpc_outcome - 1, record.grpc_outcome != 0)
    put_member(line, ',"trace_id":', &record.trace_id)
    put_text(line, ',"tries":')
    put_optional(line, record.tries, record.tries != 0)
    put_text(line, "}\n")


# --- the formats of NCSA httpd and Apache


cdef void put_hex(Line *line, uint8_t byte) noexcept nogil:
    cdef const char *digits = "0123456789abcdef"
    cdef char[4] escape
    escape[0] = 92
    escape[1] = 120
    escape[2] = digits[byte >> 4]
    escape[3] = digits[byte & 15]
    put(line, escape, 4)


cdef void put_plain(Line *line, const Slice *value, bint spaces) noexcept nogil:
    """`value` without quotes, or "-"; only the first `line.cut` bytes of a longer one. `spaces`: they may be in it."""
    cdef const uint8_t *data = <const uint8_t *> value.data
    cdef uint32_t size = value.size if value.size <= line.cut else line.cut
    cdef uint32_t i, plain = 0
    if size == 0:
        put(line, "-", 1)
        return
    for i in range(size):
        if 32 < data[i] < 127 and data[i] != 34 and data[i] != 92 or (spaces and data[i] == 32):
            continue
        put(line, <const char *> data + plain, i - plain)
        if data[i] == 34 or data[i] == 92:
            put_escaped(line, data[i])
        else:
            put_hex(line, data[i])
        plain = i + 1
    put(line, <const char *> data + plain, size - plain)
    if size < value.size:
        put(line, "...", 3)


cdef void put_request(Line *line, const Record *record) noexcept nogil:
    """Method, path and version; "-" if there was no request."""
    if record.method.data == NULL:
        put(line, "-", 1)
        return
    put_plain(line, &record.method, False)
    put(line, " ", 1)
    put_plain(line, &record.path, False)
    if record.version <= VERSION_HTTP2:
        put(line, " ", 1)
        put_text(line, VERSION_NAMES[record.version])


cdef void put_quoted(Line *line, const Slice *value) noexcept nogil:
    put(line, ' "', 2)
    put_plain(line, value, True)
    put(line, '"', 1)


cdef void put_common(Line *line, const Stamp *stamp, const Record *record) noexcept nogil:
    put_plain(line, &record.client, False)
    put(line, " - - ", 5)
    put(line, stamp.common, 28)
    put(line, ' "', 2)
    put_request(line, record)
    put(line, '" ', 2)
    put_number_or_dash(line, record.status)
    put(line, " ", 1)
    put_number_or_dash(line, record.bytes_sent)


cdef void put_number_or_dash(Line *line, uint64_t number) noexcept nogil:
    if number:
        put_number(line, number)
    else:
        put(line, "-", 1)


# --- a line


cdef uint32_t line_write(char *out, uint32_t room, uint32_t cut, LogFormat format, const Stamp *stamp,
                         const Record *record) noexcept nogil:
    cdef Line line = Line(at=out, end=out + room, cut=cut, failed=False)
    if format == FORMAT_JSON:
        put_json(&line, stamp, record)
    elif format == FORMAT_TRACES:
        put_trace(&line, record)
    else:
        put_common(&line, stamp, record)
        if format == FORMAT_COMBINED:
            put_quoted(&line, &record.referer)
            put_quoted(&line, &record.user_agent)
        put(&line, "\n", 1)
    return 0 if line.failed else <uint32_t> (line.at - out)


cdef void stamp_set(Stamp *stamp, uint64_t second) noexcept nogil:
    cdef time_t moment = <time_t> second
    cdef tm parts
    gmtime_r(&moment, &parts)
    strftime(stamp.iso, sizeof(stamp.iso), "%Y-%m-%dT%H:%M:%S", &parts)
    strftime(stamp.common, sizeof(stamp.common), "[%d/%b/%Y:%H:%M:%S +0000]", &parts)   # in the C locale
    stamp.second = second


cdef bint is_failure(const Record *record) noexcept nogil:
    if record.reason.data != NULL or record.status >= 500:
        return True
    return 0 < record.grpc_outcome <= 17 and (FAILED_CALLS >> (record.grpc_outcome - 1)) & 1
