# The life of a flow: its endpoint is chosen when it begins, and is the same until it ends.
#
# A flow begins with a datagram of a client for which there is none. The backend is chosen by weight, as for a request,
# and the endpoint as well. A flow is refused if its share is refused, or if there is no backend or no endpoint. It then has
# no socket, and its datagrams are dropped until its time is over. So a client that tries again does not get another share.
#
# A flow ends after the idle time, when its endpoint leaves the backend, when its rule no longer sends anything to the
# backend, when the kernel reports that the endpoint cannot be reached (ICMP), or for a new flow if there are too many. The
# next datagram of the client begins another one.

from libc.stdint cimport uint16_t

from fastroute.ext.reactor.flow cimport Flow, FlowKey, UdpPlace
from fastroute.ext.reactor.reactor cimport Reactor


# Begins the flow of a key that has none. NULL: no memory, descriptor or port is left, or the engine drains. May end others.
cdef Flow *flow_begin(Reactor r, const FlowKey *key) noexcept nogil
# Ends a flow; `reason`: LocalReason, REASON_NONE after its idle time.
cdef void flow_end(Reactor r, Flow *flow, uint16_t reason) noexcept nogil
# Ends a flow whose endpoint cannot be reached, which counts as a failure of the endpoint.
cdef void flow_fail(Reactor r, Flow *flow) noexcept nogil
# Notes that the flow was used, now.
cdef void flow_touch(Reactor r, Flow *flow) noexcept nogil
# If its endpoint had failed before the flow began, and no error has come for long enough, the endpoint works.
cdef void flow_prove(Reactor r, Flow *flow) noexcept nogil
# Whether the flow goes on with the present rule of its place; otherwise it has ended.
cdef bint flow_follows(Reactor r, Flow *flow) noexcept nogil
# Whether an error of a socket says that the endpoint cannot be reached. Other errors concern one datagram.
cdef bint is_unreachable(int error) noexcept nogil
