"""Connections to backends that carry no request; see resting.pxd."""

from libc.stdint cimport uint16_t, uint32_t

from fastroute.ext.memory.list cimport Link
from fastroute.ext.reactor.connection cimport slab_at
from fastroute.ext.reactor.counters cimport FIXED_UPSTREAM_ACTIVE, FIXED_UPSTREAM_IDLE, gauge_add
from fastroute.ext.reactor.linked cimport list_append, list_remove


cdef inline Link *rest_link(Connection *c) noexcept nogil:
    return &c.rest


cdef void resting_add(Reactor r, Connection *u) noexcept nogil:
    list_append(&r.slab, &r.resting, u, rest_link)
    r.pooled += 1
    gauge_add(r.counters, FIXED_UPSTREAM_ACTIVE, -1)
    gauge_add(r.counters, FIXED_UPSTREAM_IDLE, 1)


cdef void resting_remove(Reactor r, Connection *u) noexcept nogil:
    list_remove(&r.slab, &r.resting, u, rest_link)
    r.pooled -= 1
    gauge_add(r.counters, FIXED_UPSTREAM_IDLE, -1)
    gauge_add(r.counters, FIXED_UPSTREAM_ACTIVE, 1)


cdef Connection *resting_oldest(Reactor r) noexcept nogil:
    return slab_at(&r.slab, r.resting.first) if r.resting.first != 0 else NULL


cdef Connection *resting_oldest_of(Reactor r, uint16_t payer) noexcept nogil:
    cdef uint32_t index = r.resting.first
    cdef Connection *u
    cdef int _
    for _ in range(RESTING_LOOKS):
        if index == 0:
            return NULL
        u = slab_at(&r.slab, index)
        if u.payer == payer:
            return u
        index = u.rest.after
    return NULL
