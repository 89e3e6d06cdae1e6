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

# Whether this value of Content-Type is the one of gRPC: "application/grpc", also with a format ("+proto") or parameters.
# gRPC-Web is another protocol.
cdef bint is_grpc_type(Slice value) noexcept nogil
# Whether the request is a call.
cdef bint is_grpc(const Message *request) noexcept nogil
# Whether the answer to a call is one of gRPC.
cdef bint is_grpc_answer(const Message *answer) noexcept nogil
# The method of a call to "/service/method": the part after the last '/'; empty if the path has only one.
cdef Slice grpc_method(const Message *request) noexcept nogil
# The milliseconds that the client allows for the call, at least 1; 0: it sets no limit, or a malformed one.
cdef uint64_t grpc_timeout(const Message *request) noexcept nogil
# The status in these fields of an answer, or its trailers, plus 1; 0: there is none.
cdef uint16_t grpc_outcome(const Message *fields) noexcept nogil
# The status for a call that the gateway answers with this HTTP status; 0: the answer stays one of HTTP.
cdef uint8_t grpc_status_of(uint16_t status) noexcept nogil
