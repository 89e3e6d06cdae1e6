# The line of a flow in the access log, and its bytes in the counters.

from libc.stdint cimport uint16_t

from fastroute.ext.reactor.flow cimport Flow
from fastroute.ext.reactor.reactor cimport Reactor


# The flow ends; `reason`: LocalReason. Bytes are those of the datagrams' content.
cdef void record_flow(Reactor r, const Flow *flow, uint16_t reason) noexcept nogil
