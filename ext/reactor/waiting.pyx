"""Handshakes that wait; see waiting.pxd."""

from libc.stdint cimport UINT64_MAX, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastroute.ext.memory.owner cimport OWNERS
from fastroute.ext.reactor.connection cimport slab_at
from fastroute.ext.reactor.groups cimport (
    Group, groups_add, groups_close, groups_largest, groups_open, groups_remove,
)
from fastroute.ext.tls.secure cimport FLOWS


cdef int waiting_open(Waiting *waiting) except -1:
    groups_open(&waiting.flows, FLOWS)
    waiting.listeners = <Usage *> calloc(FLOWS, sizeof(Usage))
    waiting.owners = <Usage *> calloc(OWNERS, sizeof(Usage))
    if waiting.listeners is NULL or waiting.owners is NULL:
        raise MemoryError
    return 0


cdef void waiting_close(Waiting *waiting) noexcept nogil:
    groups_close(&waiting.flows)
    free(waiting.listeners)
    free(waiting.owners)


cdef void waiting_add(Waiting *waiting, Slab *slab, Connection *c) noexcept nogil:
    waiting.listeners[c.tls.flow].owner = c.tls.owner
    groups_add(&waiting.flows, slab, c, c.tls.flow)


cdef void waiting_remove(Waiting *waiting, Slab *slab, Connection *c) noexcept nogil:
    groups_remove(&waiting.flows, slab, c)


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
        owner = spent(&waiting.owners[waiting.listeners[flow].owner], now)
        own = spent(&waiting.listeners[flow], now)
        if owner < least_owner or (owner == least_owner and own < least):
            best = flow
            least_owner = owner
            least = own
    c = slab_at(slab, waiting.flows.groups[best].connections.first)
    waiting_remove(waiting, slab, c)
    return c


cdef Connection *waiting_crowd(const Waiting *waiting, Slab *slab) noexcept nogil:
    cdef const Group *most = groups_largest(&waiting.flows)
    return NULL if most is NULL else slab_at(slab, most.connections.first)


cdef void waiting_charge(Waiting *waiting, const Connection *c, uint64_t microseconds, uint64_t now) noexcept nogil:
    waiting.spent += microseconds
    spent(&waiting.owners[c.tls.owner], now)
    spent(&waiting.listeners[c.tls.flow], now)
    waiting.owners[c.tls.owner].spent += microseconds
    waiting.listeners[c.tls.flow].spent += microseconds
