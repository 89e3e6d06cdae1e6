# What a line of the access log says, and a record of a trace.

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.reactor.trace cimport Trace


cdef struct Record:             # the content of one line; NULL data is JSON null. Slices are only read during the call
    uint64_t time               # microseconds since 1970, UTC
    Slice method
    Slice host
    Slice path                  # without query
    uint16_t version            # Version; VERSION_UNKNOWN: null
    uint16_t status             # 0: null (the client left before a response)
    Slice reason                # of a local response, or of the failure
    uint64_t bytes_received
    uint64_t bytes_sent
    uint64_t duration           # microseconds
    Slice upstream              # label of the endpoint
    uint64_t upstream_duration  # microseconds; meaningful with upstream
    Slice gateway
    Slice listener
    Slice route
    Slice route_kind
    Slice rule
    Slice backend
    Slice client
    Slice request_id
    Slice user_agent
    Slice referer
    uint16_t upstream_version   # Version on the connection to the backend; VERSION_UNKNOWN: null
    Slice tls_version           # of the client's TLS, if it ends here
    Slice server_name           # the name that the client's TLS asks for
    uint16_t grpc_outcome       # the status of gRPC plus 1; 0: none
    Slice trace_id
    uint32_t tries              # 0: null
    Trace *trace                # only with FORMAT_TRACES
