"""The line of a flow; see record.pxd."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset, strlen

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.forwarded cimport Peer, peer_set
from fastroute.ext.message.message cimport VERSION_UDP, VERSION_UNKNOWN
from fastroute.ext.message.reason cimport REASON_NONE, reason_name
from fastroute.ext.reactor.counters cimport FIXED_BYTES_RECEIVED, FIXED_BYTES_SENT, count
from fastroute.ext.reactor.inet cimport ntohs
from fastroute.ext.reactor.logrecord cimport Record


cdef Slice terminated(const char *text) noexcept nogil:
    cdef Slice slice
    slice.data = text
    slice.size = <uint32_t> strlen(text)
    return slice


cdef void record_flow(Reactor r, const Flow *flow, uint16_t reason) noexcept nogil:
    count(r.counters, FIXED_BYTES_RECEIVED, flow.received)
    count(r.counters, FIXED_BYTES_SENT, flow.sent)
    if r.logs:
        write_line(r, flow, reason)


cdef void write_line(Reactor r, const Flow *flow, uint16_t reason) noexcept nogil:
    cdef Record line
    cdef Peer client
    memset(&line, 0, sizeof(Record))
    peer_set(&client, r.trusted, flow.key.family, flow.key.address, ntohs(flow.key.port))
    line.time = <uint64_t> (<int64_t> flow.started + r.wall)
    line.version = VERSION_UDP
    line.upstream_version = VERSION_UNKNOWN
    if reason != REASON_NONE:
        line.reason = terminated(reason_name(reason))
    line.bytes_received = flow.received
    line.bytes_sent = flow.sent
    line.duration = r.now - flow.started
    if flow.endpoint is not NULL:
        line.upstream_version = VERSION_UDP
        line.upstream = terminated(flow.endpoint.label)
        line.upstream_duration = line.duration
        line.tries = 1
    if flow.rule is not NULL:
        line.gateway = flow.rule.gateway
        line.listener = flow.rule.listener
        line.route = flow.rule.route
        line.route_kind = flow.rule.route_kind
        line.rule = flow.rule.name
    elif flow.listener is not NULL:
        line.gateway = flow.listener.gateway
        line.listener = flow.listener.name
    if flow.target is not NULL:
        line.backend = flow.target.name
    line.client.data = client.text
    line.client.size = client.text_size
    r.log.write(&line)
