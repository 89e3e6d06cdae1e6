"""What clients did wrong; see fault.pxd."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset, strlen

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport VERSION_HTTP2, VERSION_TLS, VERSION_UNKNOWN
from fastroute.ext.message.reason cimport reason_name
from fastroute.ext.reactor.counters cimport FIXED_HTTP2_FAILED, FIXED_LOCAL_RESPONSES, HTTP2_FAILURES, count
from fastroute.ext.reactor.counters import HTTP2_REASONS
from fastroute.ext.reactor.logrecord cimport Record

_NAMES = [f"http2_{reason}".encode() for reason in HTTP2_REASONS]
cdef const char *names[HTTP2_FAILURES]


def _lay_out():
    for number, name in enumerate(_NAMES):
        names[number] = name    # lives as long as _NAMES


_lay_out()


cdef void fault_log(Reactor r, const Connection *c, int version, const char *reason) noexcept nogil:
    write_line(r, c, version, reason, Slice(NULL, 0))


cdef void fault_route(Reactor r, const Connection *c, uint16_t reason, Slice name) noexcept nogil:
    count(r.counters, FIXED_LOCAL_RESPONSES + reason, 1)
    if name.size == 0:
        name.data = NULL
    write_line(r, c, VERSION_TLS, reason_name(reason), name)


cdef void write_line(Reactor r, const Connection *c, int version, const char *reason, Slice name) noexcept nogil:
    cdef Record line
    cdef uint64_t started = c.tls.started if c.tls is not NULL and version == VERSION_UNKNOWN else r.now
    if not r.logs:
        return
    memset(&line, 0, sizeof(Record))
    line.time = <uint64_t> (<int64_t> started + r.wall)
    line.duration = r.now - started
    line.version = <uint16_t> version
    line.upstream_version = VERSION_UNKNOWN
    line.reason = Slice(reason, <uint32_t> strlen(reason))
    line.client.data = c.peer.text
    line.client.size = c.peer.text_size
    line.server_name = name
    r.log.write(&line)


cdef void fault_note(Reactor r, const Connection *p, int failure) noexcept nogil:
    count(r.counters, FIXED_HTTP2_FAILED + failure, 1)
    fault_log(r, p, VERSION_HTTP2, names[failure])
