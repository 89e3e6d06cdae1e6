# gRPC in HTTP messages (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md): which requests are calls, how long a call may take,
# how it ended, and which status a call gets that the gateway itself answers.

from libc.stdint cimport uint8_t, uint16_t, uint64_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport Message


cdef enum GrpcStatus:           # those that the gateway itself sends; also as text in grpc.pyx
    GRPC_OK = 0
    GRPC_UNKNOWN = 2
    GRPC_DEADLINE_EXCEEDED = 4
    GRPC_RESOURCE_EXHAUSTED = 8
    GRPC_UNIMPLEMENTED = 12
    GRPC_INTERNAL = 13
    GRPC_UNAVAILABLE = 14
    GRPC_DATA_LOSS = 15         # only backends send it

cdef enum CallKind:             # the protocol of a call
    CALL_NONE = 0               # the request is no call
    CALL_GRPC
    WEB_BINARY                  # gRPC-Web (grpcweb.pxd)
    WEB_TEXT                    # the same in base64

cdef enum:
    GRPC_TYPE = 16              # bytes of "application/grpc"

# The CallKind of which this value of Content-Type is: "application/grpc", "application/grpc-web" or
# "application/grpc-web-text", also with a format ("+proto") or parameters.
cdef uint8_t call_kind(Slice value) noexcept nogil
# The CallKind of the request.
cdef uint8_t call_of(const Message *request) noexcept nogil
cdef inline bint is_web(uint8_t kind) noexcept nogil:
    return kind >= WEB_BINARY
# Whether the answer to a call is one of gRPC.
cdef bint is_grpc_answer(const Message *answer) noexcept nogil
# The method of a call to "/service/method": the part after the last '/'; empty if the path has only one.
cdef Slice grpc_method(const Message *request) noexcept nogil
# The milliseconds that the client allows for the call, at least 1; 0: it sets no limit, or a malformed one.
cdef uint64_t grpc_timeout(const Message *request) noexcept nogil
# The status in these fields of an answer, or its trailers, plus 1; 0: there is none.
cdef uint16_t grpc_outcome(const Message *fields) noexcept nogil
# Whether this outcome is an error of the server: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE,
# DATA_LOSS (as in the semantic conventions of OpenTelemetry).
cdef inline bint grpc_has_failed(uint16_t outcome) noexcept nogil:
    return (outcome == GRPC_UNKNOWN + 1 or outcome == GRPC_DEADLINE_EXCEEDED + 1 or outcome == GRPC_UNIMPLEMENTED + 1
            or outcome == GRPC_INTERNAL + 1 or outcome == GRPC_UNAVAILABLE + 1 or outcome == GRPC_DATA_LOSS + 1)
# The status for a call that the gateway answers with this HTTP status; 0: the answer stays one of HTTP.
cdef uint8_t grpc_status_of(uint16_t status) noexcept nogil
