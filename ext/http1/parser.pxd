# Parsers of heads: from bytes to a Head (RFC 9112).

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.http1.head cimport Head
from fastroute.ext.memory.slice cimport Arena
from fastroute.ext.message.limits cimport HeadLimits


# Both parse a complete head at `data`. They return its bytes (> 0), 0 if more bytes are needed, or -Refusal. `scanned`
# (initially 0, kept by the caller for each connection, 0 again after each head) limits the cost of repeated calls on a
# growing buffer to O(new bytes). The result does not depend on how the bytes were split. CRLFs before a request line
# are skipped (RFC 9112 section 2.2) and included in the returned bytes.
cdef int parse_request(Head *head, const char *data, uint32_t size, uint32_t *scanned,
                       const HeadLimits *limits, Arena *arena) noexcept nogil
# `request_method` is the MethodName of the request that is answered: HEAD affects the framing. A 1xx head is returned
# as a head without a body; the final head follows it. A 101 is refused unless an Upgrade was forwarded (`asked`) and
# the response names the protocol it switches to; the bytes after its head are not HTTP.
cdef int parse_response(Head *head, const char *data, uint32_t size, uint32_t *scanned, uint8_t request_method,
                        bint asked, const HeadLimits *limits, Arena *arena) noexcept nogil
