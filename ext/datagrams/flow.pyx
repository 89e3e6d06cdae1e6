"""The life of a flow; see flow.pxd."""

from libc.errno cimport (
    EADDRNOTAVAIL, EAGAIN, ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, EMFILE, ENETDOWN, ENETUNREACH, ENOBUFS, ENOMEM,
    ENOPROTOOPT, EPROTO, errno,
)
from libc.stdint cimport uint32_t, uint64_t
from posix.unistd cimport close

from fastroute.ext.datagrams.address cimport endpoint_address
from fastroute.ext.datagrams.record cimport record_flow
from fastroute.ext.memory.address cimport AF_INET6
from fastroute.ext.memory.random cimport random_below
from fastroute.ext.memory.slice cimport slices_equal
from fastroute.ext.message.reason cimport (
    REASON_CONNECT_FAILED, REASON_DRAINED, REASON_FLOWS_FULL, REASON_NO_ENDPOINT, REASON_NO_LISTENER, REASON_NO_RULE,
    REASON_NONE, REASON_OVERLOADED,
)
from fastroute.ext.reactor.connection cimport Connection, slab_find
from fastroute.ext.reactor.counters cimport FIXED_LOCAL_RESPONSES, count, count_flow
from fastroute.ext.reactor.epoll cimport EPOLL_CTL_ADD, EPOLLIN, epoll_ctl, epoll_event
from fastroute.ext.reactor.failures cimport KIND_CONNECT_FAILED, failures_note
from fastroute.ext.reactor.flow cimport (
    FLOWS_CHUNK, Flows, age_of, flow_at, flow_crowd, flow_give, flow_handle, flow_take, flows_append, flows_move, flows_remove, neighbour_of,
    sibling_of,
)
from fastroute.ext.reactor.inet cimport (
    IP_RECVERR, IPPROTO_IP, IPPROTO_IPV6, IPV6_RECVERR, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, connect, setsockopt,
    sockaddr, sockaddr_storage, socket,
)
from fastroute.ext.reactor.reactor cimport MILLISECOND, set_deadline
from fastroute.ext.routing.balancer cimport (
    choose_endpoint, choose_target, endpoint_failed, endpoint_spared, endpoint_succeeded, endpoint_used,
)
from fastroute.ext.routing.router cimport Listener, listener_ref, listener_unref
from fastroute.ext.routing.rule cimport Rule, Target
from fastroute.ext.routing.tables cimport Backend, Endpoint, endpoint_ref, endpoint_unref, rule_ref, rule_unref

cdef extern from *:
    """
    #define fastroute_set_errno(value) (errno = (value))
    """
    void set_errno "fastroute_set_errno"(int value) noexcept nogil

cdef enum:
    TRIES = 3                   # endpoints that are tried for a flow
    LOOKS = 16                  # of the flows that were unused longest, those that are looked at for one with a socket
    SAMPLE = 16                 # random flows that are looked at for one of a client address with many
    SLOTS = 128                 # slots that are looked at for them, of which many may be free in a small table
    FEW = 8                     # flows of one client address that are never many
    PART = 256                  # of the flows of the worker: an address that has no more than this part has not many
    PROVEN = 1000               # milliseconds without an error after which an endpoint that had failed counts as working
    NO_ROOM = -2                # no descriptor, local port or memory is left


# --- the beginning


cdef Flow *flow_begin(Reactor r, const FlowKey *key) noexcept nogil:
    cdef Flows *flows = &r.flows
    cdef UdpPlace *place = flows.places[key.place]
    cdef Flow *flow
    if r.draining:
        return NULL
    if flows.count >= flows.most:
        give_way(r, False)
    flow = flow_take(flows, key)
    if flow is NULL:
        return NULL
    flow.started = r.now
    flow.used = r.milliseconds
    flows_append(flows, &place.flows, flow, neighbour_of)
    place.count += 1
    take_rule(place, flow)
    flow.reason = decide(r, place, flow)
    if flow.reason != REASON_NONE:
        count(r.counters, FIXED_LOCAL_RESPONSES + flow.reason, 1)
    if flow.reason == REASON_OVERLOADED:        # the next datagram tries again; a line for each would be too many
        forget(r, flow)
        return NULL
    expect_end(r)
    return flow


cdef void expect_end(Reactor r) noexcept nogil:
    """Sets the deadline of the reader, if it has none: the first flow to expire sets the next one."""
    cdef Connection *reader = slab_find(&r.slab, r.flows.reader)
    if reader.deadline == 0:
        set_deadline(r, reader, flow_at(&r.flows, r.flows.used.first).used + r.flows.idle)


cdef void take_rule(UdpPlace *place, Flow *flow) noexcept nogil:
    flow.rule = place.rule
    flow.listener = place.listener
    if flow.rule is not NULL:
        rule_ref(flow.rule)
    if flow.listener is not NULL:
        listener_ref(flow.listener)


cdef void drop_rule(Rule *rule, Listener *listener) noexcept nogil:
    if rule is not NULL:
        rule_unref(rule)
    if listener is not NULL:
        listener_unref(listener)


cdef uint16_t decide(Reactor r, const UdpPlace *place, Flow *flow) noexcept nogil:
    """Chooses backend and endpoint. Returns the reason for which the flow is refused, or REASON_NONE."""
    cdef Rule *rule = place.rule
    cdef int index
    if rule is NULL:
        return REASON_NO_LISTENER if place.listener is NULL else REASON_NO_RULE
    index = choose_target(rule.choice)
    if index < 0:
        return rule.reason
    flow.target = &rule.targets[index]
    if flow.target.backend is NULL:
        return flow.target.reason
    return join(r, flow, flow.target.backend)


cdef uint16_t join(Reactor r, Flow *flow, Backend *backend) noexcept nogil:
    """Connects the flow to an endpoint of the backend. Returns like `decide`."""
    cdef Endpoint *tried[TRIES]
    cdef Endpoint *endpoint
    cdef uint32_t tries
    cdef bint tests
    cdef int fd
    for tries in range(TRIES):
        endpoint = choose_endpoint(backend, tried, tries, r.milliseconds, &r.random)
        if endpoint is NULL:
            return REASON_CONNECT_FAILED if tries else REASON_NO_ENDPOINT
        flow.tests = endpoint.failures != 0
        tests = endpoint_used(endpoint, r.milliseconds)
        fd = open_socket(r, endpoint)
        if fd >= 0:
            return attach(r, flow, endpoint, fd)
        if fd == NO_ROOM:
            if tests:
                endpoint_spared(endpoint, r.milliseconds)
            return REASON_OVERLOADED
        note_failure(r, backend, endpoint)
        tried[tries] = endpoint
    return REASON_CONNECT_FAILED


cdef uint16_t attach(Reactor r, Flow *flow, Endpoint *endpoint, int fd) noexcept nogil:
    cdef epoll_event event
    event.events = EPOLLIN      # as long as there is something to read, so nothing must be remembered for the flow
    event.data.u64 = flow_handle(flow)
    if epoll_ctl(slab_find(&r.slab, r.flows.reader).fd, EPOLL_CTL_ADD, fd, &event) < 0:
        note_shortage(r)
        close(fd)
        return REASON_OVERLOADED
    flow.fd = fd
    r.flows.open += 1
    flow.endpoint = endpoint
    endpoint_ref(endpoint)
    endpoint.in_flight += 1
    flows_append(&r.flows, &endpoint.flows, flow, sibling_of)
    count_flow(r.counters, flow.target.series, 1)
    return REASON_NONE


# --- sockets


cdef void note_shortage(Reactor r) noexcept nogil:
    r.connect_shortage.count += 1
    r.connect_shortage.error = errno


cdef int new_socket(Reactor r, const Endpoint *endpoint) noexcept nogil:
    """-1 with errno: also if flows have as many descriptors as they may."""
    cdef int on = 1
    cdef int fd
    if 2 * <uint64_t> r.flows.open + r.listeners_count >= r.max_upstreams:
        set_errno(EMFILE)
        return -1
    fd = socket(endpoint.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    if fd < 0:
        return -1
    # Also errors that may pass, such as an unreachable host, are reported.
    if endpoint.family == AF_INET6:
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(int))
    else:
        setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(int))
    return fd


cdef int open_socket(Reactor r, const Endpoint *endpoint) noexcept nogil:
    """A socket that is connected to the endpoint. -1: the kernel has no route to it; NO_ROOM."""
    cdef sockaddr_storage address
    cdef uint32_t size = endpoint_address(endpoint, &address)
    cdef int fd = new_socket(r, endpoint)
    if fd < 0 and give_way(r, True):
        fd = new_socket(r, endpoint)
    if fd < 0:
        note_shortage(r)
        return NO_ROOM
    if connect(fd, <sockaddr *> &address, size) == 0:
        return fd
    # EAGAIN: no local port is left. Each flow needs one of its own.
    if has_no_room(errno) and give_way(r, True) and connect(fd, <sockaddr *> &address, size) == 0:
        return fd
    if has_no_room(errno):
        note_shortage(r)
        close(fd)
        return NO_ROOM
    close(fd)
    return -1


cdef bint has_no_room(int error) noexcept nogil:
    return error == EAGAIN or error == EADDRNOTAVAIL or error == ENOBUFS or error == ENOMEM


cdef Flow *oldest(const Flows *flows, bint open) noexcept nogil:
    """The flow that was unused longest; with `open` of those with a socket, if it is one of the oldest. NULL: there is none."""
    cdef uint32_t index = flows.used.first
    cdef Flow *flow
    cdef int _
    for _ in range(LOOKS):
        if index == 0:
            return NULL
        flow = flow_at(flows, index)
        if flow.fd >= 0 or not open:
            return flow
        index = flow.age.after
    return NULL


cdef uint32_t excess(const Flows *flows, const Flow *flow) noexcept nogil:
    """The number of flows of the flow's client address; 0 if it has not many: a client with two active flows must not
    lose them to a sender that forges addresses with one flow each."""
    cdef uint32_t crowd = flow_crowd(flows, flow)
    return crowd if crowd > max(<uint32_t> FEW, flows.count // PART) else 0


cdef bint give_way(Reactor r, bint open) noexcept nogil:
    """Ends a flow for another one: of the oldest one and some at random, one of the client address with the most flows.
    So an address with many flows ends its own. Of several, or if no address has many, the one that was unused longest
    ends. False: there is none."""
    cdef const Flows *flows = &r.flows
    cdef Flow *best = oldest(flows, open)
    cdef Flow *flow
    cdef uint32_t most = 0 if best is NULL else excess(flows, best)
    cdef uint32_t crowd
    cdef int left = SAMPLE
    cdef int _
    if best is NULL:
        return False
    for _ in range(SLOTS):
        if left == 0:
            break
        flow = flow_at(flows, 1 + random_below(&r.random, flows.chunks_count * FLOWS_CHUNK - 1))
        if flow.generation % 2 == 0 or (open and flow.fd < 0):
            continue
        left -= 1
        crowd = excess(flows, flow)
        if crowd > most or (crowd == most and flow.used < best.used):
            best = flow
            most = crowd
    flow_end(r, best, REASON_FLOWS_FULL)
    return True


cdef bint is_unreachable(int error) noexcept nogil:
    return (error == ECONNREFUSED or error == EHOSTUNREACH or error == ENETUNREACH or error == EHOSTDOWN
            or error == ENETDOWN or error == ENOPROTOOPT or error == EPROTO)


# --- the end


cdef void flow_end(Reactor r, Flow *flow, uint16_t reason) noexcept nogil:
    if flow.endpoint is not NULL and reason == REASON_NONE:
        flow_prove(r, flow)
    record_flow(r, flow, reason if flow.reason == REASON_NONE else flow.reason)
    forget(r, flow)


cdef void forget(Reactor r, Flow *flow) noexcept nogil:
    cdef UdpPlace *place = r.flows.places[flow.key.place]
    if flow.endpoint is not NULL:
        leave(r, flow)
    flows_remove(&r.flows, &place.flows, flow, neighbour_of)
    place.count -= 1
    drop_rule(flow.rule, flow.listener)
    flow_give(&r.flows, flow)


cdef void leave(Reactor r, Flow *flow) noexcept nogil:
    """Closes the socket of the flow, which also ends its watch by epoll: no other process has a copy."""
    count_flow(r.counters, flow.target.series, -1)
    flows_remove(&r.flows, &flow.endpoint.flows, flow, sibling_of)
    flow.endpoint.in_flight -= 1
    endpoint_unref(flow.endpoint)
    flow.endpoint = NULL
    close(flow.fd)
    flow.fd = -1
    r.flows.open -= 1


cdef void note_failure(Reactor r, Backend *backend, Endpoint *endpoint) noexcept nogil:
    endpoint_failed(endpoint, r.milliseconds, &r.random)
    failures_note(&r.failures, backend, endpoint, KIND_CONNECT_FAILED)


cdef void flow_fail(Reactor r, Flow *flow) noexcept nogil:
    note_failure(r, flow.target.backend, flow.endpoint)
    flow_end(r, flow, REASON_CONNECT_FAILED)


# --- between


cdef void flow_touch(Reactor r, Flow *flow) noexcept nogil:
    flow.used = r.milliseconds
    flows_move(&r.flows, &r.flows.used, flow, age_of)


cdef void flow_prove(Reactor r, Flow *flow) noexcept nogil:
    """If its endpoint had failed before the flow began, and no error has come for long enough, the endpoint works:
    many endpoints never answer."""
    if flow.tests and r.now - flow.started >= <uint64_t> PROVEN * MILLISECOND:
        endpoint_succeeded(flow.endpoint)
        flow.tests = False


cdef Target *same_target(const Flow *flow, Rule *rule) noexcept nogil:
    """The target of `rule` with the same backend as that of the flow, at the same place if possible; NULL."""
    cdef uint32_t index = <uint32_t> (flow.target - flow.rule.targets)
    cdef uint32_t i
    if index < rule.targets_count and slices_equal(&rule.targets[index].name, &flow.target.name):
        return &rule.targets[index]
    for i in range(rule.targets_count):
        if slices_equal(&rule.targets[i].name, &flow.target.name):
            return &rule.targets[i]
    return NULL


cdef uint16_t after_change(Reactor r, const Flow *flow, const UdpPlace *place, Target **target) noexcept nogil:
    """REASON_NONE and the target with which the flow goes on; or why it ends."""
    cdef Rule *rule = place.rule
    if place.sockets_count == 0:
        return REASON_DRAINED if r.draining else REASON_NO_LISTENER
    if rule is NULL or flow.target is NULL:
        return REASON_NO_RULE
    if not slices_equal(&rule.route, &flow.rule.route) or not slices_equal(&rule.route_kind, &flow.rule.route_kind):
        return REASON_NO_RULE
    target[0] = same_target(flow, rule)
    if target[0] is NULL:
        return REASON_NO_RULE
    if target[0].backend == flow.target.backend and target[0].reason == flow.target.reason:
        return REASON_NONE
    return REASON_NO_RULE if target[0].backend is not NULL else target[0].reason


cdef bint flow_follows(Reactor r, Flow *flow) noexcept nogil:
    cdef UdpPlace *place = r.flows.places[flow.key.place]
    cdef Rule *rule = flow.rule
    cdef Listener *listener = flow.listener
    cdef Target *target = NULL
    cdef uint16_t reason
    if rule == place.rule and place.sockets_count:
        return True
    reason = after_change(r, flow, place, &target)
    if reason != REASON_NONE:
        flow_end(r, flow, reason)
        return False
    if flow.endpoint is not NULL:
        count_flow(r.counters, flow.target.series, -1)
        count_flow(r.counters, target.series, 1)
    flow.target = target
    take_rule(place, flow)
    drop_rule(rule, listener)
    return True
