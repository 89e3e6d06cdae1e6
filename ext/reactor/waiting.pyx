"""Handshakes that wait; see waiting.pxd."""

from libc.stdint cimport UINT64_MAX, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastroute.ext.memory.list cimport Link, Member
from fastroute.ext.memory.owner cimport OWNERS
from fastroute.ext.memory.ranking cimport Ranking
from fastroute.ext.reactor.connection cimport slab_at
from fastroute.ext.reactor.groups cimport groups_add, groups_close, groups_open, groups_remove
from fastroute.ext.tls.secure cimport FLOWS


cdef inline Member *flow_member(Connection *c) noexcept nogil:
    return &c.tls.waiting


cdef inline Link *flow_link(Connection *c) noexcept nogil:
    return &c.tls.waiting.link


cdef int waiting_open(Waiting *waiting) except -1:
    groups_open(&waiting.flows, FLOWS + OWNERS, flow_member, flow_link)
    waiting.usages = <Usage *> calloc(FLOWS + OWNERS, sizeof(Usage))
    waiting.owners = <Usage *> calloc(OWNERS, sizeof(Usage))
    if waiting.usages is NULL or waiting.owners is NULL:
        raise MemoryError
    return 0


cdef void waiting_close(Waiting *waiting) noexcept nogil:
    groups_close(&waiting.flows)
    free(waiting.usages)
    free(waiting.owners)


cdef void waiting_add(Waiting *waiting, Slab *slab, Connection *c) noexcept nogil:
    waiting.usages[c.tls.flow].owner = c.tls.owner
    groups_add(&waiting.flows, slab, c, c.tls.flow)
    waiting.clients += c.tls.flow < FLOWS


cdef void waiting_remove(Waiting *waiting, Slab *slab, Connection *c) noexcept nogil:
    groups_remove(&waiting.flows, slab, c)
    waiting.clients -= c.tls.flow < FLOWS


cdef uint64_t spent(Usage *usage, uint64_t now) noexcept nogil:
    cdef uint64_t halves = (now - usage.since) // DECAY
    if halves:
        usage.spent = usage.spent >> halves if halves < 64 else 0
        usage.since += halves * DECAY
    return usage.spent


cdef Connection *waiting_next(Waiting *waiting, Slab *slab, uint64_t now) noexcept nogil:
    cdef uint16_t flow, best = 0
    cdef uint64_t owner, own, least_owner = UINT64_MAX, least = UINT64_MAX
    cdef Connection *c
    cdef uint32_t i
    if waiting.flows.count == 0:
        return NULL
    for i in range(waiting.flows.sizes.count):
        flow = waiting.flows.sizes.order[i]
        owner = spent(&waiting.owners[waiting.usages[flow].owner], now)
        own = spent(&waiting.usages[flow], now)
        if owner < least_owner or (owner == least_owner and own < least):
            best = flow
            least_owner = owner
            least = own
    c = slab_at(slab, waiting.flows.groups[best].connections.first)
    waiting_remove(waiting, slab, c)
    return c


cdef Connection *waiting_crowd(const Waiting *waiting, Slab *slab) noexcept nogil:
    cdef const Ranking *sizes = &waiting.flows.sizes
    cdef uint16_t flow, most = 0
    cdef uint64_t size = 0
    cdef uint32_t i
    if waiting.clients == 0:
        return NULL
    for i in range(sizes.count):
        flow = sizes.order[i]
        if flow < FLOWS and sizes.weights[flow] > size:
            most = flow
            size = sizes.weights[flow]
    return slab_at(slab, waiting.flows.groups[most].connections.first)


cdef void waiting_charge(Waiting *waiting, const Connection *c, uint64_t microseconds, uint64_t now) noexcept nogil:
    waiting.spent += microseconds
    waiting.longest = max(waiting.longest, microseconds)
    spent(&waiting.owners[c.tls.owner], now)
    spent(&waiting.usages[c.tls.flow], now)
    waiting.owners[c.tls.owner].spent += microseconds
    waiting.usages[c.tls.flow].spent += microseconds
