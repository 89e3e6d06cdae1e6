# Flows of datagrams: what one client address sends to one UDP place, and what one endpoint answers.
#
# A flow is smaller than a Connection, because there may be many of them: a slot of a slab of its own, named by a handle
# (generation << 32 | index) as a Connection is. It is found by its key in a hash table with chains. The table has as many
# buckets as there may be flows, so it never grows, and its hash has a secret: senders choose their addresses. All flows
# are in one list by their last use, the one that was unused longest first: they all have the same idle time, so the
# first one is the next to expire. The flows of each client address are counted, for those that give way to others, in a
# table that has room for as many addresses as there may be flows.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.list cimport Link, List
from fastroute.ext.reactor.batch cimport Batch
from fastroute.ext.reactor.clients cimport Clients
from fastroute.ext.reactor.epoll cimport epoll_event
from fastroute.ext.routing.router cimport Listener
from fastroute.ext.routing.rule cimport Rule, Target
from fastroute.ext.routing.tables cimport Endpoint


cdef enum:
    FLOWS_CHUNK = 256           # flows per allocation
    FLOWS_EVENTS = 16           # events of their sockets that are fetched at once

cdef struct FlowKey:            # without padding: it is compared and hashed as bytes
    uint32_t place              # index in Flows.places
    uint32_t scope              # the interface of a client with a link-local address; else 0
    uint16_t family             # of the socket: AF_INET6 also for IPv4 clients of a socket with both
    uint16_t port               # network order
    uint8_t address[16]         # of the client, network order; 4 bytes used for IPv4
    uint8_t local[16]           # to which the client sends, if the socket has all addresses of this machine; else 0
    uint32_t interface          # of a link-local `local`

cdef struct Flow:
    FlowKey key
    uint32_t index              # in the slab, from 1
    uint32_t generation         # odd: a live flow
    int fd                      # connected to the endpoint; -1: refused, its datagrams are dropped
    uint32_t chain              # the next flow in its bucket, or the next free slot; 0: none
    Link age                    # list of all flows by their last use (Flows.used)
    Link neighbour              # list of the flows of its place
    Link sibling                # list of the flows of its endpoint
    uint64_t started            # microseconds
    uint64_t used               # milliseconds: its last datagram. Of a refused one: its beginning
    uint64_t received           # bytes from the client
    uint64_t sent               # bytes to the client
    Rule *rule                  # holds a reference; NULL: the place has none
    Listener *listener          # holds a reference; NULL: the place has none
    Target *target              # of `rule`; NULL: none was chosen
    Endpoint *endpoint          # holds a reference; NULL: refused
    uint16_t reason             # LocalReason for which it is refused
    uint8_t burst               # datagrams to read at once from the endpoint
    uint8_t single              # its datagrams cannot be sent together (datagrams/segments)
    uint8_t tests               # the endpoint had failed before: it counts as working if this flow lives

cdef struct UdpPlace:           # what an engine knows of one place
    int fd                      # a socket of the place, by which replies are sent; -1: none is open
    uint64_t *sockets           # handles of its sockets; several while this worker also reads those of another one
    uint32_t sockets_count
    bint everywhere             # it has all addresses of this machine: each datagram says to which one it was sent
    Listener *listener          # holds a reference; NULL: none
    Rule *rule                  # of the listener; holds a reference; NULL: none
    List flows                  # those that were compared with `rule` last are the last
    uint32_t count              # number of these
    uint32_t unchecked          # how many of the first ones are not compared with a changed rule yet

cdef struct Flows:
    Flow **chunks               # the slab
    uint32_t chunks_count
    uint32_t free               # first free slot; 0: none
    uint32_t count              # number of flows
    uint32_t open               # number of flows that have a descriptor
    uint32_t most               # --max-flows
    uint32_t sockets            # number of sockets of all places
    uint64_t idle               # milliseconds: --udp-idle-timeout
    uint32_t *buckets           # indexes of flows; NULL until the first place
    uint32_t mask               # number of buckets minus 1; the number is a power of two
    uint64_t seed
    List used
    Clients clients             # flows by client address
    UdpPlace **places           # by index in Reactor.sockets; NULL: not of UDP, or never had a socket
    uint32_t places_count
    uint32_t unchecked          # places with `unchecked`
    uint64_t reader             # handle of the Connection whose descriptor reports replies; 0: none yet
    epoll_event events[FLOWS_EVENTS]    # of the reader, with handles of flows
    int next                    # first of `events` that is not handled yet
    int found                   # number of `events` (less than 1: none)
    uint64_t leave_at           # milliseconds: when flows end in a drain
    Batch *batch                # NULL until the first place

ctypedef Link *(*FlowLink)(Flow *flow) noexcept nogil


cdef inline Link *age_of(Flow *flow) noexcept nogil:
    return &flow.age


cdef inline Link *neighbour_of(Flow *flow) noexcept nogil:
    return &flow.neighbour


cdef inline Link *sibling_of(Flow *flow) noexcept nogil:
    return &flow.sibling


cdef inline Flow *flow_at(const Flows *flows, uint32_t index) noexcept nogil:
    """The slot `index`, live or not; `index` must have been allocated."""
    return &flows.chunks[index // FLOWS_CHUNK][index % FLOWS_CHUNK]


cdef inline uint64_t flow_handle(const Flow *flow) noexcept nogil:
    return <uint64_t> flow.generation << 32 | flow.index


cdef inline Flow *flow_of(const Flows *flows, uint64_t handle) noexcept nogil:
    """The live flow with that handle; NULL if it has ended."""
    cdef Flow *flow = flow_at(flows, <uint32_t> handle)
    return flow if flow.generation == <uint32_t> (handle >> 32) else NULL


cdef inline void flows_append(const Flows *flows, List *list, Flow *flow, FlowLink at) noexcept nogil:
    """Adds a flow that is not in the list, as the last one."""
    at(flow).before = list.last
    at(flow).after = 0
    if list.last != 0:
        at(flow_at(flows, list.last)).after = flow.index
    else:
        list.first = flow.index
    list.last = flow.index


cdef inline void flows_remove(const Flows *flows, List *list, Flow *flow, FlowLink at) noexcept nogil:
    """Removes a flow that is in the list."""
    cdef Link link = at(flow)[0]
    if link.before != 0:
        at(flow_at(flows, link.before)).after = link.after
    else:
        list.first = link.after
    if link.after != 0:
        at(flow_at(flows, link.after)).before = link.before
    else:
        list.last = link.before


cdef inline void flows_move(const Flows *flows, List *list, Flow *flow, FlowLink at) noexcept nogil:
    """Makes a flow that is in the list the last one."""
    if list.last != flow.index:
        flows_remove(flows, list, flow, at)
        flows_append(flows, list, flow, at)


# Allocates the tables. Returns 0, or -1 if out of memory.
cdef int flows_start(Flows *flows) noexcept nogil
cdef void flows_free(Flows *flows) noexcept nogil       # frees the memory; no flow may be left
cdef Flow *flow_find(const Flows *flows, const FlowKey *key) noexcept nogil     # NULL: there is none
# The number of flows of the client address of a flow.
cdef uint32_t flow_crowd(const Flows *flows, const Flow *flow) noexcept nogil
# A new flow with this key, which no flow has: refused, without rule and reason. NULL if out of memory.
cdef Flow *flow_take(Flows *flows, const FlowKey *key) noexcept nogil
# Frees the slot of a flow, which makes its handle invalid.
cdef void flow_give(Flows *flows, Flow *flow) noexcept nogil
