# The trace of a request: which one, whether it is sampled, and its tries.
#
# With tracing, each request to a backend has a traceparent of the gateway. Only of a sampled request is a Trace kept, and
# written at its end (record.pyx); nothing else here costs anything without one.

from libc.stdint cimport uint16_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport Message
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.routing.router cimport Listener
from fastroute.ext.routing.tables cimport Endpoint


# Decides about the request and replaces its traceparent; sets `trace_id` for its log line, also without tracing.
# `listener`: NULL if there is none. False: the arena is full.
cdef bint tracing_begin(Reactor r, Exchange *x, Message *message, const Listener *listener,
                        Slice *trace_id) noexcept nogil
# --- only with `x.trace`
# A try begins: the request that is sent has its span as parent.
cdef void tracing_try(Reactor r, Exchange *x, const Endpoint *endpoint) noexcept nogil
# The last try has failed for this LocalReason; REASON_NONE: that of the request, or none.
cdef void tracing_failed(Exchange *x, uint16_t reason) noexcept nogil
# The backend has answered the last try, with this final head.
cdef void tracing_answered(Exchange *x, const Message *message) noexcept nogil
# The last try has ended. Does nothing if it had ended before.
cdef void tracing_ended(Reactor r, Exchange *x) noexcept nogil
