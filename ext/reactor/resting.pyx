"""Connections to backends that carry no request; see resting.pxd."""

from libc.stdint cimport uint16_t

from fastroute.ext.memory.list cimport Link, List
from fastroute.ext.reactor.connection cimport slab_at
from fastroute.ext.reactor.counters cimport FIXED_UPSTREAM_ACTIVE, FIXED_UPSTREAM_IDLE, gauge_add
from fastroute.ext.reactor.linked cimport list_append, list_remove


cdef inline Link *rest_link(Connection *c) noexcept nogil:
    return &c.rest


cdef inline Link *own_rest_link(Connection *c) noexcept nogil:
    return &c.own_rest


cdef inline Connection *first_of(Reactor r, const List *resting) noexcept nogil:
    return slab_at(&r.slab, resting.first) if resting.first != 0 else NULL


cdef void resting_add(Reactor r, Connection *u) noexcept nogil:
    list_append(&r.slab, &r.resting, u, rest_link)
    list_append(&r.slab, &r.resting_of[u.payer], u, own_rest_link)
    r.pooled += 1
    gauge_add(r.counters, FIXED_UPSTREAM_ACTIVE, -1)
    gauge_add(r.counters, FIXED_UPSTREAM_IDLE, 1)


cdef void resting_remove(Reactor r, Connection *u) noexcept nogil:
    list_remove(&r.slab, &r.resting, u, rest_link)
    list_remove(&r.slab, &r.resting_of[u.payer], u, own_rest_link)
    r.pooled -= 1
    gauge_add(r.counters, FIXED_UPSTREAM_IDLE, -1)
    gauge_add(r.counters, FIXED_UPSTREAM_ACTIVE, 1)


cdef Connection *resting_oldest(Reactor r) noexcept nogil:
    return first_of(r, &r.resting)


cdef Connection *resting_oldest_of(Reactor r, uint16_t payer) noexcept nogil:
    return first_of(r, &r.resting_of[payer])
