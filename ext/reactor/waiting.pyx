"""Handshakes that wait; see waiting.pxd."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastroute.ext.memory.owner cimport OWNERS
from fastroute.ext.reactor.connection cimport slab_at
from fastroute.ext.tls.secure cimport FLOWS
from fastroute.ext.tls.tls cimport Tls


cdef int waiting_open(Waiting *waiting) except -1:
    waiting.flows = <Flow *> calloc(FLOWS, sizeof(Flow))
    waiting.owners = <Usage *> calloc(OWNERS, sizeof(Usage))
    waiting.active = <uint16_t *> calloc(FLOWS, sizeof(uint16_t))
    if waiting.flows is NULL or waiting.owners is NULL or waiting.active is NULL:
        raise MemoryError
    return 0


cdef void waiting_close(Waiting *waiting) noexcept nogil:
    free(waiting.flows)
    free(waiting.owners)
    free(waiting.active)


cdef void waiting_add(Waiting *waiting, Slab *slab, Connection *c) noexcept nogil:
    cdef Flow *flow = &waiting.flows[c.tls.flow]
    if flow.count == 0:
        flow.position = waiting.active_count
        waiting.active[waiting.active_count] = c.tls.flow
        waiting.active_count += 1
    c.tls.waits = True
    c.tls.waits_before = flow.last
    c.tls.waits_after = 0
    if flow.last:
        slab_at(slab, flow.last).tls.waits_after = c.index
    else:
        flow.first = c.index
    flow.last = c.index
    flow.count += 1
    waiting.count += 1


cdef void waiting_remove(Waiting *waiting, Slab *slab, Connection *c) noexcept nogil:
    cdef Tls *tls = c.tls
    cdef Flow *flow = &waiting.flows[tls.flow]
    if tls.waits_before:
        slab_at(slab, tls.waits_before).tls.waits_after = tls.waits_after
    else:
        flow.first = tls.waits_after
    if tls.waits_after:
        slab_at(slab, tls.waits_after).tls.waits_before = tls.waits_before
    else:
        flow.last = tls.waits_before
    tls.waits = False
    flow.count -= 1
    waiting.count -= 1
    if flow.count == 0:
        waiting.active_count -= 1
        waiting.active[flow.position] = waiting.active[waiting.active_count]
        waiting.flows[waiting.active[flow.position]].position = flow.position


cdef uint64_t spent(Usage *usage, uint64_t now) noexcept nogil:
    cdef uint64_t halves = (now - usage.since) // DECAY
    if halves:
        usage.spent = usage.spent >> halves if halves < 64 else 0
        usage.since += halves * DECAY
    return usage.spent


cdef Connection *waiting_next(Waiting *waiting, Slab *slab, uint64_t now) noexcept nogil:
    cdef Connection *best = NULL
    cdef Connection *c
    cdef Flow *flow
    cdef uint64_t owner, own, least_owner = 0, least = 0
    cdef uint32_t i
    for i in range(waiting.active_count):
        flow = &waiting.flows[waiting.active[i]]
        c = slab_at(slab, flow.first)
        owner = spent(&waiting.owners[c.tls.owner], now)
        own = spent(&flow.usage, now)
        if best is NULL or owner < least_owner or (owner == least_owner and own < least):
            best = c
            least_owner = owner
            least = own
    if best is not NULL:
        waiting_remove(waiting, slab, best)
    return best


cdef Connection *waiting_crowd(const Waiting *waiting, Slab *slab) noexcept nogil:
    cdef const Flow *most = NULL
    cdef const Flow *flow
    cdef uint32_t i
    for i in range(waiting.active_count):
        flow = &waiting.flows[waiting.active[i]]
        if most is NULL or flow.count > most.count:
            most = flow
    return NULL if most is NULL else slab_at(slab, most.first)


cdef void waiting_charge(Waiting *waiting, const Connection *c, uint64_t microseconds, uint64_t now) noexcept nogil:
    waiting.spent += microseconds
    spent(&waiting.owners[c.tls.owner], now)
    spent(&waiting.flows[c.tls.flow].usage, now)
    waiting.owners[c.tls.owner].spent += microseconds
    waiting.flows[c.tls.flow].usage.spent += microseconds
