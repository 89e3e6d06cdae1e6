"""Changes and flows; see changes.pxd.

The work depends on the number of flows of changed rules, and of endpoints that a backend does not list any more. A datagram
of a flow whose rule has changed is compared at once (flow_follows), so none goes to a backend whose reference is refused.
"""

from libc.stdint cimport uint32_t

from fastroute.ext.datagrams.flow cimport flow_end, flow_follows
from fastroute.ext.message.reason cimport REASON_ENDPOINT_LEFT
from fastroute.ext.reactor.flow cimport (
    Flow, Flows, UdpPlace, flow_at, flows_move, neighbour_of, sibling_of,
)
from fastroute.ext.reactor.reactor cimport read_clock
from fastroute.ext.routing.tables cimport Endpoint, backend_find, endpoint_unref


cdef bint changes_apply(Reactor r, uint64_t until) noexcept nogil:
    cdef Flows *flows = &r.flows
    cdef uint32_t i
    if flows.unchecked:
        for i in range(flows.places_count):
            if flows.places[i] is not NULL and flows.places[i].unchecked and not check_place(r, flows.places[i], until):
                return True
    while r.upstreams.left is not NULL:
        if not check_endpoint(r, r.upstreams.left, until):
            return True
        forget_endpoint(r)
    return False


cdef bint check_place(Reactor r, UdpPlace *place, uint64_t until) noexcept nogil:
    """Compares its flows with its rule. False: the time was up before that."""
    cdef Flow *flow
    while place.unchecked and place.flows.first != 0:
        read_clock(r)
        if r.now > until:
            return False
        place.unchecked -= 1
        flow = flow_at(&r.flows, place.flows.first)
        flows_move(&r.flows, &place.flows, flow, neighbour_of)
        flow_follows(r, flow)
    place.unchecked = 0
    r.flows.unchecked -= 1
    return True


cdef bint check_endpoint(Reactor r, Endpoint *endpoint, uint64_t until) noexcept nogil:
    """Ends its flows whose backends do not list it any more. False: the time was up before that."""
    cdef Flow *flow
    while endpoint.unchecked and endpoint.flows.first != 0:
        read_clock(r)
        if r.now > until:
            return False
        endpoint.unchecked -= 1
        flow = flow_at(&r.flows, endpoint.flows.first)
        flows_move(&r.flows, &endpoint.flows, flow, sibling_of)
        if backend_find(flow.target.backend, endpoint.identity) != endpoint:
            flow_end(r, flow, REASON_ENDPOINT_LEFT)
    return True


cdef void forget_endpoint(Reactor r) noexcept nogil:
    """Removes the first one of the endpoints that were left."""
    cdef Endpoint *endpoint = r.upstreams.left
    r.upstreams.left = endpoint.next_left
    endpoint.next_left = NULL
    endpoint.is_left = False
    endpoint.unchecked = 0
    endpoint_unref(endpoint)
