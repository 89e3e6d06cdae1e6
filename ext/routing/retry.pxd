# Whether a failed try is followed by another one, and after which pause. Decisions only: attempt.pyx applies them.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef enum Failure:              # how a try ended without an answer for the client
    FAILURE_NONE = 0
    FAILURE_NOT_CONNECTED       # no connection was established: no backend has seen the request
    FAILURE_STATUS              # the backend answered with a status
    FAILURE_TIMEOUT             # the rule's backendRequest timeout expired: the request may have been processed
    FAILURE_CLOSED              # the connection ended before the answer's head: the request may have been processed

cdef struct Retry:              # of a rule; immutable, in its pool
    uint32_t attempts           # tries after the first
    uint32_t backoff            # milliseconds of the first pause
    uint64_t codes[4]           # one bit for each status from 400 on

cdef enum:
    KEPT_MOST = 65536           # bytes of a request body that are buffered for a retry; a longer one is sent once
    PAUSE_CAP = 10              # maximum pause, as a multiple of the first pause

# From a snapshot.Retry.
cdef int retry_fill(Retry *retry, source) except -1
# Whether another try follows after `made` retries. `method`: MethodName. `status`: with FAILURE_STATUS.
cdef bint retry_follows(const Retry *retry, uint32_t made, uint8_t failure, uint16_t status,
                        uint8_t method) noexcept nogil
# Milliseconds to wait before retry number `made` (from 0); at least 1.
cdef uint64_t retry_pause(const Retry *retry, uint32_t made, uint64_t *random) noexcept nogil
