# One line of the access log: what it says, and the formats in which it is written. Nothing here uses Python.

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.slice cimport Slice


cdef enum LogFormat:
    FORMAT_JSON = 0
    FORMAT_COMMON               # the Common Log Format of NCSA httpd
    FORMAT_COMBINED             # the same, followed by Referer and User-Agent
    FORMATS

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

cdef struct Stamp:              # date and time of the lines of one second
    uint64_t second             # since 1970, UTC
    char[20] iso                # "2026-01-31T23:59:59"
    char[29] common             # "[31/Jan/2026:23:59:59 +0000]"

cdef void stamp_set(Stamp *stamp, uint64_t second) noexcept nogil
# Whether the line is about a failure: a status of 500 or more, one of gRPC that is an error of the server, or a reason.
cdef bint is_failure(const Record *record) noexcept nogil
# Writes one line with values of at most `cut` bytes to `out`; returns its bytes, 0 if `room` is too small. `stamp` is
# that of the second of the record.
cdef uint32_t line_write(char *out, uint32_t room, uint32_t cut, LogFormat format, const Stamp *stamp,
                         const Record *record) noexcept nogil
