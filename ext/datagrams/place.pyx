"""The UDP places of an engine; see place.pxd."""

from libc.errno cimport EINVAL, ENOMEM
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, realloc
from libc.string cimport memset

from fastroute.ext.datagrams.replies cimport reader_open, reader_work
from fastroute.ext.memory.address cimport AF_INET6
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.reactor.batch cimport batch_new
from fastroute.ext.reactor.connection cimport SIDE_DATAGRAMS, handle_of, slab_find
from fastroute.ext.reactor.flow cimport Flows, UdpPlace, flows_start
from fastroute.ext.reactor.inet cimport (
    IP_PKTINFO, IPPROTO_IP, IPPROTO_IPV6, IPV6_RECVPKTINFO, SO_DOMAIN, SO_RCVBUF, SO_TYPE, SOCK_DGRAM, SOL_SOCKET,
    getsockopt, setsockopt,
)
from fastroute.ext.reactor.reactor cimport INTEREST_CLIENTS, close_connection, open_connection, unwatch
from fastroute.ext.routing.group cimport Group
from fastroute.ext.routing.hosts cimport hosts_get
from fastroute.ext.routing.router cimport Listener, find_listener, listener_ref, listener_unref
from fastroute.ext.routing.rule cimport Rule, rule_ref, rule_unref

cdef extern from *:
    """
    #define fastroute_set_errno(value) (errno = (value))
    """
    void set_errno "fastroute_set_errno"(int value) noexcept nogil

cdef enum:
    RECEIVE_BUFFER = 4194304    # bytes that may wait in a socket; the kernel allows at most net.core.rmem_max


# --- sockets


cdef int option(int fd, int name) noexcept nogil:
    """The value of an option of the socket; -1 with errno."""
    cdef int value = 0
    cdef uint32_t size = sizeof(int)
    return -1 if getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 else value


cdef int prepare(int fd, bint everywhere) noexcept nogil:
    """Sets the options of a socket. Returns 0, or -1 with errno."""
    cdef int on = 1
    cdef int most = RECEIVE_BUFFER
    cdef int type = option(fd, SO_TYPE)
    if type != SOCK_DGRAM:
        if type >= 0:
            set_errno(EINVAL)
        return -1
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &most, sizeof(int))
    if not everywhere:
        return 0
    if option(fd, SO_DOMAIN) == AF_INET6:
        return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(int))
    return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(int))


cdef UdpPlace *place_at(Flows *flows, uint32_t index) noexcept nogil:
    """The place with this index, a new one if there is none; NULL if out of memory."""
    cdef UdpPlace **places
    if index >= flows.places_count:
        places = <UdpPlace **> realloc(flows.places, (index + 1) * sizeof(UdpPlace *))
        if places is NULL:
            return NULL
        memset(places + flows.places_count, 0, (index + 1 - flows.places_count) * sizeof(UdpPlace *))
        flows.places = places
        flows.places_count = index + 1
    if flows.places[index] is NULL:
        flows.places[index] = <UdpPlace *> calloc(1, sizeof(UdpPlace))
        if flows.places[index] is not NULL:
            flows.places[index].fd = -1
    return flows.places[index]


cdef UdpPlace *start(Reactor r, uint32_t index) noexcept nogil:
    """The place, with what the first one needs and room for one more socket. NULL with errno."""
    cdef Flows *flows = &r.flows
    cdef UdpPlace *place = place_at(flows, index)
    cdef uint64_t *sockets
    if flows.batch is NULL:
        flows.batch = batch_new()
    if place is NULL or flows.batch is NULL or flows_start(flows) < 0:
        set_errno(ENOMEM)
        return NULL
    if flows.reader == 0 and reader_open(r) < 0:
        return NULL
    sockets = <uint64_t *> realloc(place.sockets, (place.sockets_count + 1) * sizeof(uint64_t))
    if sockets is NULL:
        return NULL
    place.sockets = sockets
    return place


cdef int place_open(Reactor r, int fd, uint32_t index, bint everywhere) noexcept nogil:
    cdef UdpPlace *place
    cdef Connection *c
    if prepare(fd, everywhere) < 0:
        return -1
    place = start(r, index)
    if place is NULL:
        return -1
    c = open_connection(r, fd, SIDE_DATAGRAMS, INTEREST_CLIENTS)
    if c is NULL:
        return -1
    c.listener = index
    c.requests = 1
    place.everywhere = everywhere
    place.sockets[place.sockets_count] = handle_of(c)
    place.sockets_count += 1
    r.flows.sockets += 1
    if place.fd < 0:
        place.fd = fd
        follow(r, index)
    return 0


cdef void place_close(Reactor r, Connection *c) noexcept nogil:
    cdef UdpPlace *place = r.flows.places[c.listener]
    cdef uint32_t i
    for i in range(place.sockets_count):
        if place.sockets[i] == handle_of(c):
            place.sockets_count -= 1
            place.sockets[i] = place.sockets[place.sockets_count]
            break
    r.flows.sockets -= 1
    if place.fd == c.fd:
        place.fd = slab_find(&r.slab, place.sockets[0]).fd if place.sockets_count else -1
    if place.sockets_count == 0:
        doubt(r, place)
        follow(r, c.listener)
        reader_work(r)
    unwatch(r, c)               # the main process has a copy of the socket: close alone does not end the watch
    close_connection(r, c)


cdef void place_leave(Reactor r, long index, int fd) noexcept nogil:
    cdef UdpPlace *place
    cdef Connection *c
    cdef uint32_t i, k
    for i in range(r.flows.places_count):
        place = r.flows.places[i]
        if place is NULL or (index >= 0 and index != <long> i):
            continue
        k = place.sockets_count
        while k > 0:            # from the end, because the last one replaces one that is closed
            k -= 1
            c = slab_find(&r.slab, place.sockets[k])
            if fd < 0 or c.fd == fd:
                place_close(r, c)


# --- rules


cdef void doubt(Reactor r, UdpPlace *place) noexcept nogil:
    """Its flows may have to end."""
    if place.count == 0:
        return
    r.flows.unchecked += place.unchecked == 0
    place.unchecked = place.count


cdef Rule *rule_of(const Listener *listener) noexcept nogil:
    """A listener of UDP has one route at most (Gateway API, UDPRoute), and this one rule. NULL: none."""
    cdef Slice any
    cdef const Group *group
    any.data = NULL
    any.size = 0
    group = <const Group *> hosts_get(&listener.groups, any)
    return NULL if group is NULL or group.rules_count == 0 else group.rules[0]


cdef void follow(Reactor r, uint32_t index) noexcept nogil:
    """Looks up listener and rule of a place in the installed tables; a place without sockets has none."""
    cdef UdpPlace *place = r.flows.places[index]
    cdef Listener *listener = NULL
    cdef Rule *rule = NULL
    cdef Slice any
    any.data = NULL
    any.size = 0
    if r.tables is not None and place.sockets_count:
        listener = find_listener(r.tables.routes, r.sockets[index], any)
    if listener is not NULL:
        rule = rule_of(listener)
        listener_ref(listener)
    if rule is not NULL:
        rule_ref(rule)
    if rule != place.rule:
        doubt(r, place)
    if place.listener is not NULL:
        listener_unref(place.listener)
    if place.rule is not NULL:
        rule_unref(place.rule)
    place.listener = listener
    place.rule = rule


cdef bint places_follow(Reactor r) noexcept nogil:
    cdef uint32_t i
    for i in range(r.flows.places_count):
        if r.flows.places[i] is not NULL:
            follow(r, i)
    if r.flows.unchecked:
        reader_work(r)
    return r.flows.unchecked != 0
