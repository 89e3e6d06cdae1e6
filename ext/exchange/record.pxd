# The results of an exchange: its counters and its line in the access log.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport Message
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor


# Copies what the log line needs from the head of the request, before filters change it. Does nothing without a log and
# without a trace.
cdef void record_request(Reactor r, Exchange *x, const Message *message, Slice client, Slice request_id,
                         Slice trace_id) noexcept nogil
# Keeps the server name of a client whose bytes are passed on. Does nothing without a log.
cdef void record_name(Reactor r, Exchange *x, Slice name) noexcept nogil
# The slot of its series: that of its target, else of its rule, else of its listener.
cdef uint32_t record_series(const Exchange *x) noexcept nogil
# Counts a try that failed because of the endpoint in use, as this FailureKind. The try with which the exchange ends is
# counted by record_end, unless it could not connect.
cdef void record_failure(Reactor r, const Exchange *x, uint8_t kind) noexcept nogil
# Counts and logs the exchange, once: after its last byte was sent to the client, or when it failed.
cdef void record_end(Reactor r, Connection *c, Exchange *x) noexcept nogil
