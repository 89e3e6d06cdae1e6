"""Retries of a `retry` stanza; see retry.pxd (HTTPRouteRule.retry of the Gateway API, GEP-1731).

A request that no backend can have processed is retried whatever the method: no connection was established, or the
backend answered with a code that the route lists. A request that may have been processed (no answer in time, the
connection ended after the request was sent) is retried only if the method is idempotent: v1.6.3 asks for such retries
and v1.7.0 warns of them; for idempotent methods both agree. The pause before retry k is drawn from [b, 2b) with b =
backoff * 2^k, but b is at most PAUSE_CAP / 2 times the backoff: this respects the "minimum duration" of v1.6.3, and
failed requests do not return all at once.
"""

from libc.stdint cimport UINT32_MAX, uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.random cimport random_next
from fastroute.ext.message.message cimport (
    METHOD_CONNECT, METHOD_DELETE, METHOD_GET, METHOD_HEAD, METHOD_OPTIONS, METHOD_OTHER, METHOD_PATCH, METHOD_POST,
    METHOD_PUT, METHOD_TRACE, is_idempotent,
)

cdef enum:
    FIRST_CODE = 400
    LAST_CODE = 599


cdef int retry_fill(Retry *retry, source) except -1:
    retry.attempts = min(source.attempts, UINT32_MAX)
    retry.backoff = min(source.backoff_ms, UINT32_MAX)
    for code in source.codes:
        if FIRST_CODE <= code <= LAST_CODE:
            retry.codes[(code - FIRST_CODE) // 64] |= <uint64_t> 1 << ((code - FIRST_CODE) % 64)
    return 0


cdef bint lists(const Retry *retry, uint16_t status) noexcept nogil:
    cdef uint32_t at = <uint32_t> status - FIRST_CODE
    return FIRST_CODE <= status <= LAST_CODE and (retry.codes[at // 64] >> (at % 64)) & 1


cdef bint retry_follows(const Retry *retry, uint32_t made, uint8_t failure, uint16_t status,
                        uint8_t method) noexcept nogil:
    if retry is NULL or made >= retry.attempts:
        return False
    if failure == FAILURE_STATUS:
        return lists(retry, status)
    return failure == FAILURE_NOT_CONNECTED or is_idempotent(method)


cdef uint64_t retry_pause(const Retry *retry, uint32_t made, uint64_t *random) noexcept nogil:
    cdef uint64_t least = <uint64_t> retry.backoff * PAUSE_CAP // 2
    if made < 8:
        least = min(<uint64_t> retry.backoff << made, least)
    return least + random_next(random) % least if least else 1


# --- for Python


KEPT = KEPT_MOST             # for tests/test_docs.py
FAILURES = {
    "not_connected": FAILURE_NOT_CONNECTED,
    "status": FAILURE_STATUS,
    "timeout": FAILURE_TIMEOUT,
    "closed": FAILURE_CLOSED,
}
METHODS = {"GET": METHOD_GET, "HEAD": METHOD_HEAD, "POST": METHOD_POST, "PUT": METHOD_PUT, "DELETE": METHOD_DELETE,
           "CONNECT": METHOD_CONNECT, "OPTIONS": METHOD_OPTIONS, "TRACE": METHOD_TRACE, "PATCH": METHOD_PATCH}


cdef class Retries:
    """The decisions of a rule with this snapshot.Retry."""

    cdef Retry _retry

    def __cinit__(self, retry not None):
        retry_fill(&self._retry, retry)

    def follows(self, uint32_t made, str failure not None, int status=0, str method="GET") -> bool:
        """Whether another try follows after `made` retries and this failure, one of FAILURES."""
        return retry_follows(&self._retry, made, FAILURES[failure], status, METHODS.get(method, METHOD_OTHER))

    def pause(self, uint32_t made, uint64_t seed) -> int:
        """Milliseconds before retry number `made`, from 0."""
        return retry_pause(&self._retry, made, &seed)
