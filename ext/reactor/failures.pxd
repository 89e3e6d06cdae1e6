# Failures of endpoints: tries of requests that failed because of the endpoint that was tried, by backend and endpoint.
#
# A request that succeeds costs nothing. The worker takes them once a second and reports them to the main process, so the
# table is small: it has those of one second. If it is full, the namespace with the most gives up an endpoint for a
# namespace that has fewer. The namespace is that of the backend.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastroute.ext.memory.owner cimport OWNERS
from fastroute.ext.routing.tables cimport Backend, Endpoint


cdef enum:
    FAILING_MOST = 512          # endpoints whose failures are told apart until they are taken

cdef enum FailureKind:          # named by `kinds` in failures.pyx
    KIND_NONE = 0               # no failure of the endpoint
    KIND_CONNECT_FAILED
    KIND_CONNECT_TIMEOUT
    KIND_TLS_FAILED
    KIND_CERTIFICATE_INVALID
    KIND_CLOSED
    KIND_MALFORMED
    KIND_TRUNCATED
    KIND_BACKEND_TIMEOUT
    KIND_REQUEST_TIMEOUT
    KIND_UPLOAD_TIMEOUT
    KIND_TOO_SLOW
    KIND_REFUSED                # it has not processed the request, and the connection stays open
    KIND_STATUS                 # it answered with 500 to 599
    KIND_GRPC_STATUS            # it ended a call of gRPC with a status that is an error of the server
    KINDS

cdef struct Failing:            # one endpoint of one backend
    Backend *backend            # holds a reference
    Endpoint *endpoint          # holds a reference
    uint32_t counts[KINDS]
    uint16_t owner              # as in the backend

cdef struct Failures:           # all zero: none
    Failing *known              # FAILING_MOST; NULL: no failure so far
    uint32_t count
    uint16_t held[OWNERS]       # how many of them each namespace has
    uint32_t rest[KINDS]        # of endpoints for which there was no room

# The FailureKind of a LocalReason; KIND_NONE if it is not the fault of an endpoint.
cdef uint8_t failure_kind(uint16_t reason) noexcept nogil
# Counts a failure, unless its kind is KIND_NONE. Visits the table at most twice.
cdef void failures_note(Failures *failures, Backend *backend, Endpoint *endpoint, uint8_t kind) noexcept nogil
# Returns the failures of at most `most` endpoints, and removes them from the table. An item is a tuple of three: the id of
# the backend, the label of the endpoint ("10.0.0.1:80"), and a dictionary with the count of each kind, by its name in
# `kinds`. If endpoints failed for which the table had no room, the first item counts all of them; its id and its label
# are empty. The list is empty when nothing has failed since the last call.
cdef list failures_take(Failures *failures, uint32_t most)
cdef void failures_free(Failures *failures) noexcept nogil
