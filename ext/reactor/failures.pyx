"""Failures of endpoints; see failures.pxd."""

from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fastroute.ext.message.reason cimport (
    REASON_BACKEND_TIMEOUT, REASON_CONNECT_FAILED, REASON_CONNECT_TIMEOUT, REASON_NONE, REASON_REQUEST_TIMEOUT,
    REASON_UPLOAD_TIMEOUT, REASON_UPSTREAM_CERTIFICATE_INVALID, REASON_UPSTREAM_CLOSED, REASON_UPSTREAM_MALFORMED,
    REASON_UPSTREAM_REFUSED, REASON_UPSTREAM_TLS_FAILED, REASON_UPSTREAM_TOO_SLOW, REASON_UPSTREAM_TRUNCATED,
    reason_name,
)
from fastroute.ext.routing.backends cimport backend_ref, backend_unref
from fastroute.ext.routing.tables cimport endpoint_ref, endpoint_unref

cdef uint16_t[<int> KINDS] REASONS      # LocalReason by FailureKind; 0: it has none
REASONS[<int> KIND_NONE] = REASON_NONE
REASONS[<int> KIND_CONNECT_FAILED] = REASON_CONNECT_FAILED
REASONS[<int> KIND_CONNECT_TIMEOUT] = REASON_CONNECT_TIMEOUT
REASONS[<int> KIND_TLS_FAILED] = REASON_UPSTREAM_TLS_FAILED
REASONS[<int> KIND_CERTIFICATE_INVALID] = REASON_UPSTREAM_CERTIFICATE_INVALID
REASONS[<int> KIND_CLOSED] = REASON_UPSTREAM_CLOSED
REASONS[<int> KIND_MALFORMED] = REASON_UPSTREAM_MALFORMED
REASONS[<int> KIND_TRUNCATED] = REASON_UPSTREAM_TRUNCATED
REASONS[<int> KIND_BACKEND_TIMEOUT] = REASON_BACKEND_TIMEOUT
REASONS[<int> KIND_REQUEST_TIMEOUT] = REASON_REQUEST_TIMEOUT
REASONS[<int> KIND_UPLOAD_TIMEOUT] = REASON_UPLOAD_TIMEOUT
REASONS[<int> KIND_TOO_SLOW] = REASON_UPSTREAM_TOO_SLOW
REASONS[<int> KIND_REFUSED] = REASON_UPSTREAM_REFUSED
REASONS[<int> KIND_STATUS] = REASON_NONE
REASONS[<int> KIND_GRPC_STATUS] = REASON_NONE


cdef uint8_t failure_kind(uint16_t reason) noexcept nogil:
    cdef int kind
    for kind in range(1, <int> KIND_STATUS):
        if REASONS[kind] == reason:
            return <uint8_t> kind
    return KIND_NONE


cdef void failures_note(Failures *failures, Backend *backend, Endpoint *endpoint, uint8_t kind) noexcept nogil:
    cdef Failing *one
    if kind == KIND_NONE:
        return
    one = find(failures, backend, endpoint)
    if one is NULL:
        failures.rest[kind] += 1
    else:
        one.counts[kind] += 1


cdef Failing *find(Failures *failures, Backend *backend, Endpoint *endpoint) noexcept nogil:
    """NULL: there is no room for a further one."""
    cdef Failing *one
    cdef uint32_t i
    for i in range(failures.count, 0, -1):
        one = &failures.known[i - 1]
        if one.endpoint == endpoint and one.backend == backend:
            return one
    one = room(failures, backend.owner)
    if one is not NULL:
        memset(one, 0, sizeof(Failing))
        backend_ref(backend)
        endpoint_ref(endpoint)
        one.backend = backend
        one.endpoint = endpoint
        one.owner = backend.owner
        failures.held[one.owner] += 1
    return one


cdef Failing *room(Failures *failures, uint16_t owner) noexcept nogil:
    """An unused place for an endpoint of this namespace, or NULL."""
    if failures.known is NULL:
        failures.known = <Failing *> calloc(FAILING_MOST, sizeof(Failing))
        if failures.known is NULL:
            return NULL
    if failures.count == FAILING_MOST:
        return crowd(failures, owner)
    failures.count += 1
    return &failures.known[failures.count - 1]


cdef Failing *crowd(Failures *failures, uint16_t owner) noexcept nogil:
    """The place of the last endpoint of the namespace with the most, which is counted as one without room from now on.
    NULL if `owner` would not have fewer than that namespace."""
    cdef Failing *found = &failures.known[FAILING_MOST - 1]
    cdef uint32_t i
    cdef int kind
    for i in range(FAILING_MOST - 1, 0, -1):
        if failures.held[failures.known[i - 1].owner] > failures.held[found.owner]:
            found = &failures.known[i - 1]
    if failures.held[owner] + 1 >= failures.held[found.owner]:
        return NULL
    for kind in range(<int> KINDS):
        failures.rest[kind] += found.counts[kind]
    drop(failures, found)
    return found


cdef void drop(Failures *failures, const Failing *one) noexcept nogil:
    failures.held[one.owner] -= 1
    endpoint_unref(one.endpoint)
    backend_unref(one.backend)


cdef void drop_last(Failures *failures) noexcept nogil:
    failures.count -= 1
    drop(failures, &failures.known[failures.count])


cdef dict named(const uint32_t *counts):
    """By the name of the kind: as `reason` in the access log, "status" or "grpc_status"."""
    return {kinds[kind]: counts[kind] for kind in range(1, <int> KINDS) if counts[kind]}


cdef list failures_take(Failures *failures, uint32_t most):
    cdef const Failing *one
    cdef list found = []
    cdef dict rest = named(failures.rest)
    if rest:
        found.append(("", "", rest))
        memset(failures.rest, 0, sizeof(failures.rest))
    while failures.count and <uint32_t> len(found) < most:
        one = &failures.known[failures.count - 1]
        found.append((one.backend.name.data[:one.backend.name.size].decode(), one.endpoint.label.decode(), named(one.counts)))
        drop_last(failures)
    return found


cdef void failures_free(Failures *failures) noexcept nogil:
    while failures.count:
        drop_last(failures)
    free(failures.known)
    failures.known = NULL


# --- for Python

kinds = tuple([
    "status" if kind == KIND_STATUS else "grpc_status" if kind == KIND_GRPC_STATUS else reason_name(REASONS[kind]).decode()
    for kind in range(<int> KINDS)
])
